package config

import (
	"bytes"
	"embed"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// sources are the files whose comments describe the keys.
//
//go:embed config.go issuer.go app.go
var sources embed.FS

// Schema returns the JSON Schema (draft 2020-12) of the file, for editors: keys, types, descriptions,
// defaults and patterns. What takes more than one value to judge, only [Read] can tell.
func Schema() []byte {
	w := schemaWriter{comments: comments()}
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "chatpass configuration"},
	}
	root = append(root, w.section(reflect.TypeFor[Config]())...)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(root) // strings, numbers and lists of them: it cannot fail
	return out.Bytes()
}

// An object is a JSON object that keeps its order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON encodes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(strconv.Quote(m.key) + ":")
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// marshal is json.Marshal without its escapes for HTML.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}

type schemaWriter struct{ comments map[string]string }

// section describes a map with known keys.
func (w schemaWriter) section(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		properties = append(properties, member{f.key, w.field(f)})
		if f.required && f.standard == "" {
			required = append(required, f.key)
		}
	}
	o := object{{"type", "object"}, {"additionalProperties", false}}
	if len(required) > 0 {
		o = append(o, member{"required", required})
	}
	return append(o, member{"properties", properties})
}

// field describes a key: what it means, then what it may hold.
func (w schemaWriter) field(f field) object {
	o := object{{"description", w.describe(f)}}
	if shapeOf(f.typ) != section && f.standard != "" {
		o = append(o, member{"default", standardOf(f)})
	}
	return append(o, w.value(f.typ, f)...)
}

func (w schemaWriter) describe(f field) string {
	text := w.comments[f.owner.Name()+"."+f.goName]
	if f.least != "" {
		text += " Range: " + f.least + " to " + f.greatest + "."
	}
	if says := formOf(f.form).says; says != "" {
		text += " Form: " + says + "."
	}
	if says := formOf(f.names).says; says != "" {
		text += " Names: " + says + "."
	}
	return text
}

// standardOf returns a default as it would be written.
func standardOf(f field) any {
	switch {
	case shapeOf(f.typ) == list:
		return strings.Fields(f.standard)
	case f.typ.Kind() == reflect.Bool:
		return f.standard == "true"
	case f.typ == reflect.TypeFor[int]():
		return plainNumber(f.standard)
	}
	return f.standard
}

func (w schemaWriter) value(t reflect.Type, f field) object {
	switch shapeOf(t) {
	case section:
		return w.section(t)
	case named, table:
		return w.byName(t, f)
	case list:
		items := object{{"type", "array"}, {"items", w.value(t.Elem(), f)}, {"uniqueItems", true}}
		return atLeastOne(items, "minItems", f)
	case mapping:
		return object{{"anyOf", []object{{{"type", "string"}, {"minLength", 1}}, w.section(t)}}}
	}
	return scalarSchema(t, f)
}

func (w schemaWriter) byName(t reflect.Type, f field) object {
	inner := f
	inner.required = shapeOf(t.Elem()) == list // an empty list by name would mean nothing
	o := object{{"type", "object"}}
	if pattern := formOf(f.names).pattern; pattern != "" {
		o = append(o, member{"propertyNames", object{{"pattern", pattern}}})
	}
	o = append(o, member{"additionalProperties", w.value(t.Elem(), inner)})
	return atLeastOne(o, "minProperties", f)
}

func atLeastOne(o object, keyword string, f field) object {
	if f.required {
		o = append(o, member{keyword, 1})
	}
	return o
}

const (
	durationPattern  = `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$|^0$`
	referencePattern = `^(env:.+|file:/.+)$`
)

func scalarSchema(t reflect.Type, f field) object {
	duration := []object{{{"type", "string"}, {"pattern", durationPattern}}, {{"const", 0}}}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return object{{"anyOf", duration}}
	case reflect.TypeFor[SiteAbsolute]():
		return object{{"anyOf", append(duration, object{{"const", "subject"}})}}
	case reflect.TypeFor[netip.Prefix]():
		return object{{"type", "string"}, {"pattern", "^[0-9A-Fa-f.:]+/[0-9]+$"}}
	case reflect.TypeFor[Secret](), reflect.TypeFor[Document]():
		return object{{"type", "string"}, {"pattern", referencePattern}}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int:
		return object{{"type", "integer"}, {"minimum", plainNumber(f.least)}, {"maximum", plainNumber(f.greatest)}}
	}
	return textSchema(f)
}

func textSchema(f field) object {
	if len(f.enum) > 0 {
		return object{{"type", "string"}, {"enum", f.enum}}
	}
	if pattern := formOf(f.form).pattern; pattern != "" {
		return object{{"type", "string"}, {"pattern", pattern}}
	}
	return object{{"type", "string"}, {"minLength", 1}}
}

// comments returns the comment of each field, by "Type.Field", on one line.
func comments() map[string]string {
	found := map[string]string{}
	entries, _ := sources.ReadDir(".") // embedded: it cannot fail
	for _, entry := range entries {
		text, _ := sources.ReadFile(entry.Name())
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			continue // it would not have compiled
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				commentsOf(spec, found)
			}
			return true
		})
	}
	return found
}

func commentsOf(spec *ast.TypeSpec, found map[string]string) {
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	}
}
