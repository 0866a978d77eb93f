package config

import (
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalar decodes a single value.
func (d *decoder) scalar(path string, node ast.Node, v reflect.Value, f field) {
	text, kind := textOf(node)
	p := suits(v.Type(), kind, text, f)
	if p.none() && text == "" {
		p = problem{"is empty", "write " + f.sample() + ", or remove the key"}
	}
	if !p.none() {
		d.fault(path, p)
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *Secret:
		p = d.secret(path, text, target)
	case *SecretURL:
		p = d.secretURL(path, text, target)
		d.leaves = append(d.leaves, leaf{path, f, v})
	case *Document:
		p = d.document(text, target)
	default:
		p = assign(v, text)
		d.leaves = append(d.leaves, leaf{path, f, v})
	}
	d.fault(path, p)
}

// secret resolves a reference. The value is never part of a fault.
func (d *decoder) secret(path, text string, target *Secret) problem {
	value, p := resolve(text, d.env)
	if !p.none() {
		return p
	}
	*target = newSecret(value)
	d.secrets = append(d.secrets, *target)
	if file, ok := strings.CutPrefix(text, "file:"); ok && exposed(file) {
		d.advise(path, problem{"file " + label(file) + " may be read by everybody on this machine", "run chmod o-r " + label(file)})
	}
	return problem{}
}

func (d *decoder) secretURL(path, text string, target *SecretURL) problem {
	if isReference(text) {
		return d.secret(path, text, &target.Secret)
	}
	if holdsPassword(text) {
		return problem{"holds a password, which anybody who reads this file would see", "remove the password, or write the whole URL elsewhere and env:NAME or file:/path here"}
	}
	target.Secret = newSecret(text)
	return problem{}
}

func (d *decoder) document(text string, target *Document) problem {
	if !isReference(text) {
		return problem{"is not a reference", writeReference}
	}
	value, p := resolve(text, d.env)
	*target = Document(value)
	return p
}

// Kinds of YAML value, as faults call them.
const (
	aText    = "text"
	aBool    = "a boolean"
	aWhole   = "a whole number"
	aNumber  = "a number"
	aList    = "a list"
	aMap     = "a map"
	aNothing = "nothing"
)

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return aText
	case *ast.BoolNode:
		return aBool
	case *ast.IntegerNode:
		return aWhole
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return aNumber
	case *ast.SequenceNode:
		return aList
	case *ast.MappingNode:
		return aMap
	}
	return aNothing
}

// textOf returns a scalar as it is written.
func textOf(node ast.Node) (text, kind string) {
	kind = kindOf(node)
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, kind
	case *ast.LiteralNode:
		return n.Value.Value, kind
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, kind
	}
	return "", kind
}

// suits says what is wrong with a value of that kind where a t is wanted.
func suits(t reflect.Type, kind, text string, f field) problem {
	want := wanted(t)
	simple := kind != aList && kind != aMap && kind != aNothing
	switch {
	case kind == want, want == "" && simple:
		return problem{}
	case want == aText && simple:
		return problem{"is " + kind + ", not text", "write it in quotes: " + quoted(text)}
	case want == aBool:
		return problem{"is " + kind + ", not a boolean", "write true or false"}
	case want == "":
		return problem{"is " + kind, "write " + f.sample()}
	}
	return problem{"is " + kind + ", not " + want, "write " + f.sample()}
}

// wanted is the kind of value a t is written as; "" if any scalar may be tried.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[SiteAbsolute](), reflect.TypeFor[netip.Prefix](),
		reflect.TypeFor[Secret](), reflect.TypeFor[SecretURL](), reflect.TypeFor[Document]():
		return ""
	}
	switch t.Kind() {
	case reflect.Bool:
		return aBool
	case reflect.Int:
		return aWhole
	}
	return aText
}
