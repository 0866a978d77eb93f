package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// A Source is an app's rules as written.
type Source struct {
	// Admit says who is admitted: an expression that yields a bool. Empty admits everybody whose token
	// was verified.
	Admit string
	// Subject yields the context's `sub`, a string; empty if the subject is not a rule.
	Subject string
	// Claims says by name which claims a context carries.
	Claims map[string]Mapping
}

// A Mapping is the rule of one claim: an expression, or the short form.
type Mapping struct {
	// Expr yields the claim's value; null or an empty optional leaves the claim out.
	Expr string
	// From is the short form: the claim of the token to copy, a string or a list of strings. Missing,
	// null or of another type it is a refusal. With Prefix, a list keeps what begins with it, perhaps
	// nothing, and a string must begin with it; Strip removes it from what is kept.
	From, Prefix string
	Strip        bool
}

// Compile checks and compiles rules: syntax, types, the greatest cost where it can be told, claim
// names. If anything is wrong the error is [Faults], every one of them.
func Compile(src Source) (*Rules, error) {
	typed := fields()
	env, err := newEnv(typed)
	if err != nil {
		return nil, fmt.Errorf("build rule environment: %w", err)
	}
	c := compiler{env: env, typed: typed}
	rules := &Rules{admit: c.admit(src.Admit), subject: c.subject(src.Subject), claims: c.claims(src.Claims)}
	if len(c.faults) > 0 {
		return nil, c.faults.sorted()
	}
	return rules, nil
}

func (c *compiler) admit(text string) *rule {
	if text == "" {
		text = "true"
	}
	return c.compile("admit", text, func(t *cel.Type) string {
		if t.Kind() == types.BoolKind || t.Kind() == types.DynKind {
			return ""
		}
		return "write a condition, such as has(claims.email) or 'staff' in claims.groups"
	})
}

func (c *compiler) subject(text string) *rule {
	if text == "" {
		return nil
	}
	return c.compile("subject", text, func(t *cel.Type) string {
		if t.Kind() == types.StringKind || t.Kind() == types.DynKind {
			return ""
		}
		return "a subject is a string: write string(…), or a claim that is one"
	})
}

func (c *compiler) claims(mappings map[string]Mapping) []*rule {
	var rules []*rule
	for _, name := range slices.Sorted(maps.Keys(mappings)) {
		c.checkName(name)
		if r := c.claim(name, mappings[name]); r != nil {
			rules = append(rules, r)
		}
	}
	return rules
}

func (c *compiler) claim(name string, m Mapping) *rule {
	if m.From != "" {
		return c.copy(name, m)
	}
	r := c.compile("claims."+name, m.Expr, unfitClaim)
	if r == nil {
		return nil
	}
	if isWhole(r.source) {
		c.fault(Fault{
			Path: "claims." + name, Line: 1, Column: 1, Message: "copies everything that the issuer says of the person",
			Remedy: "name what the services need, such as claims.name",
		})
		return nil
	}
	r.name = name
	return r
}

// isWhole reports whether a rule is the variable claims and nothing else.
func isWhole(checked *cel.Ast) bool {
	root := checked.NativeRep().Expr()
	return root.Kind() == ast.IdentKind && root.AsIdent() == "claims"
}

func unfitClaim(t *cel.Type) string {
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	if fitsJSON(t) {
		return ""
	}
	return "a claim is a bool, number, string, timestamp, list, or map with string keys; string(…) makes a string"
}

var claimName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_:/.-]{0,63}$`)

func (c *compiler) checkName(name string) {
	if !claimName.MatchString(name) {
		c.fault(Fault{
			Path: "claims." + name, Message: "not a claim name",
			Remedy: "use 1 to 64 of letters, digits and _ : / . -, a letter or _ first",
		})
	}
	if isReserved(name) {
		c.fault(Fault{Path: "claims." + name, Message: "this claim is ours to set", Remedy: "choose another name"})
	}
}

// isReserved reports whether a claim has a meaning that a mapping must not change.
func isReserved(claim string) bool {
	switch claim {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "act", "may_act", "cnf", "client_id", "scope",
		"sid", "status", "chat", "auth_time", "acr", "amr", "idp", "azp", "nonce", "at_hash", "c_hash",
		"events", "sub_id", "txn":
		return true
	}
	return false
}

// fitsJSON reports whether a value of that type may be a claim.
func fitsJSON(t *cel.Type) bool {
	switch t.Kind() {
	case types.DynKind, types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind,
		types.StringKind, types.NullTypeKind, types.TimestampKind:
		return true
	case types.ListKind:
		return fitsJSON(t.Parameters()[0])
	case types.MapKind:
		key := t.Parameters()[0].Kind()
		return (key == types.StringKind || key == types.DynKind) && fitsJSON(t.Parameters()[1])
	}
	return false
}

func isOptional(t *cel.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == types.OptionalType.TypeName()
}

// describe names a type as a rule's author would.
func describe(t *cel.Type) string {
	return strings.TrimPrefix(t.String(), "@")
}
