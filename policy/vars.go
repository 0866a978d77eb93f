package policy

import (
	"errors"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// vars shows an [Input] to an evaluation. It is the activation, and the value of each of the three
// typed variables: which of them is meant follows from the type of the field that is read.
type vars struct{ *Input }

// ResolveName returns the value of a variable.
func (v vars) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		return v.Identity.Claims, true
	case "identity", "client", "request":
		return v, true
	}
	return nil, false
}

// Parent returns nil: there is no outer scope.
func (vars) Parent() cel.Activation { return nil }

// String keeps the input out of the library's error texts.
func (vars) String() string { return "input" }

// A field of a typed variable. read returns nil if the input does not know it.
type field struct {
	celType *cel.Type
	read    func(vars) any
}

// fields lists what each typed variable has.
func fields() map[string]map[string]field {
	str, list, instant := cel.StringType, cel.ListType(cel.StringType), cel.TimestampType
	return map[string]map[string]field{
		"identity": {
			"issuer":    {str, func(v vars) any { return known(v.Identity.Issuer) }},
			"idp":       {str, func(v vars) any { return known(v.Identity.IDP) }},
			"subject":   {str, func(v vars) any { return known(v.Identity.Subject) }},
			"client":    {str, func(v vars) any { return known(v.Identity.Client) }},
			"acr":       {str, func(v vars) any { return known(v.Identity.ACR) }},
			"amr":       {list, func(v vars) any { return v.Identity.AMR }},
			"auth_time": {instant, func(v vars) any { return known(v.Identity.AuthTime) }},
			"issued_at": {instant, func(v vars) any { return known(v.Identity.IssuedAt) }},
			"expires":   {instant, func(v vars) any { return known(v.Identity.Expires) }},
		},
		"client": {
			"id":   {str, func(v vars) any { return text(v.Client["id"]) }},
			"type": {str, func(v vars) any { return text(v.Client["type"]) }},
			"app":  {str, func(v vars) any { return text(v.Client["app"]) }},
		},
		"request": {
			"audience":     {list, func(v vars) any { return texts(v.Request["audience"]) }},
			"scope":        {list, func(v vars) any { return texts(v.Request["scope"]) }},
			"conversation": {str, func(v vars) any { return text(v.Request["conversation"]) }},
			"origin":       {str, func(v vars) any { return text(v.Request["origin"]) }},
		},
	}
}

func known[T string | time.Time](value T) any {
	var zero T
	if value == zero {
		return nil
	}
	return value
}

func text(value any) any {
	s, _ := value.(string)
	return known(s)
}

func texts(value any) any {
	switch list := value.(type) {
	case nil:
		return []string{}
	case []string:
		return list
	}
	return nil
}

// typeOf returns the type of a typed variable. Its name cannot be written in an expression, so no
// rule can make such a value itself.
func typeOf(variable string) *cel.Type { return cel.ObjectType("@" + variable) }

// provider tells CEL about the typed variables, on top of what it knows.
type provider struct {
	types.Provider
	fields map[string]map[string]field
}

var errNotKnown = errors.New("not known for this request")

// FindStructType finds the type of a typed variable by its name.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if p.fieldsOf(name) != nil {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldType finds a field of a typed variable and how it is read.
func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	known := p.fieldsOf(name)
	if known == nil {
		return p.Provider.FindStructFieldType(name, fieldName)
	}
	f, ok := known[fieldName]
	if !ok {
		return nil, false
	}
	return &types.FieldType{Type: f.celType, IsSet: f.isSet, GetFrom: f.getFrom}, true
}

// fieldsOf returns the fields of a type that [typeOf] made, else nil.
func (p provider) fieldsOf(typeName string) map[string]field {
	variable, ok := strings.CutPrefix(typeName, "@")
	if !ok {
		return nil
	}
	return p.fields[variable]
}

func (f field) isSet(target any) bool {
	v, ok := target.(vars)
	return ok && f.read(v) != nil
}

func (f field) getFrom(target any) (any, error) {
	v, ok := target.(vars)
	if !ok {
		return nil, errNotKnown
	}
	value := f.read(v)
	if value == nil {
		return nil, errNotKnown
	}
	return value, nil
}

func names(known map[string]field) []string {
	list := make([]string, 0, len(known))
	for name := range known {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
