package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A decoder fills a [Config] from the syntax tree. It notes where everything stands, and whatever has
// the wrong type, is unknown, missing, empty or written twice; the leaves it leaves for [checker].
type decoder struct {
	*report
	lines  []string
	env    func(string) (string, bool)
	leaves []leaf
}

// A leaf is a value that was read without fault and whose rules are still to be checked.
type leaf struct {
	path  string
	field field
	value reflect.Value
}

// value decodes whatever node is into v.
func (d *decoder) value(path string, node ast.Node, v reflect.Value, f field) {
	if _, ok := node.(*ast.NullNode); ok {
		d.fault(path, problem{"has no value", "write " + f.sample() + ", or remove the key"})
		return
	}
	switch shapeOf(v.Type()) {
	case section:
		d.section(path, node, v)
	case named:
		d.named(path, node, v, f)
	case table:
		d.table(path, node, v, f)
	case list:
		d.list(path, node, v, f)
	case mapping:
		d.mapping(path, node, v, f)
	case scalar:
		d.scalar(path, node, v, f)
	}
}

// section decodes a map with known keys.
func (d *decoder) section(path string, node ast.Node, v reflect.Value) {
	pairs, ok := d.pairs(path, node)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	for _, pair := range pairs {
		f, ok := find(fields, pair.key)
		if !ok {
			d.unknown(path, pair, fields)
			continue
		}
		d.value(join(path, pair.key), pair.node, v.FieldByIndex(f.index), f)
	}
	for _, f := range fields {
		if at := join(path, f.key); f.required && f.standard == "" && !d.given(at) {
			d.fault(at, problem{"is missing", "write " + f.key + ": " + f.sample()})
		}
	}
}

func find(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// unknown notes an unknown key. A known one that was probably meant is not missed then.
func (d *decoder) unknown(path string, pair pair, fields []field) {
	var known []string
	for _, f := range fields {
		known = append(known, f.key)
	}
	remedy := "remove it; the keys here are " + strings.Join(known, ", ")
	if near := nearest(pair.key, known); near != "" {
		remedy = "write " + near
		d.missed(join(path, near))
	} else if strings.Contains(pair.key, ":") {
		remedy = "write a space after the colon"
	}
	d.faultAt(pair.at, join(path, pair.key), problem{"is a key unknown here", remedy})
}

// missed notes that an unknown key was probably meant to be path.
func (d *decoder) missed(path string) {
	if !d.given(path) {
		d.faulty[path] = true
	}
}

// named decodes a map into a list of structs that keep their key as Name.
func (d *decoder) named(path string, node ast.Node, v reflect.Value, f field) {
	d.entries(path, node, f, func(key string, node ast.Node, f field) {
		element := reflect.New(v.Type().Elem()).Elem()
		fillDefaults(element)
		element.FieldByName("Name").SetString(key)
		d.value(join(path, key), node, element, f)
		v.Set(reflect.Append(v, element))
	})
}

// table decodes a map with free keys.
func (d *decoder) table(path string, node ast.Node, v reflect.Value, f field) {
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(path, node, f, func(key string, node ast.Node, f field) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key), node, element, f)
		v.SetMapIndex(reflect.ValueOf(key), element)
	})
}

// entries hands every entry of a map whose keys are names to decode, with the field as it is for one.
func (d *decoder) entries(path string, node ast.Node, f field, decode func(key string, node ast.Node, f field)) {
	pairs, ok := d.pairs(path, node)
	if !ok {
		return
	}
	d.requireEntries(path, len(pairs), f)
	inner := f
	inner.typ = f.typ.Elem()
	_, inner.example, _ = strings.Cut(f.example, ": ")
	for _, pair := range pairs {
		d.faultAt(pair.at, join(path, pair.key), formOf(f.names).check(pair.key, false))
		if pair.key != "" && len(pair.key) <= maxName { // else every path below would repeat it
			decode(pair.key, pair.node, inner)
		}
	}
}

func (d *decoder) list(path string, node ast.Node, v reflect.Value, f field) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.fault(path, problem{"is " + kindOf(node) + ", not a list", "write " + f.sample()})
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	d.requireEntries(path, len(sequence.Values), f)
	inner := f
	inner.typ = f.typ.Elem()
	for i, item := range sequence.Values {
		at := indexed(path, i)
		d.at[at] = start(item, d.lines)
		element := reflect.New(v.Type().Elem()).Elem()
		if shapeOf(element.Type()) == section {
			fillDefaults(element)
		}
		d.value(at, item, element, inner)
		v.Set(reflect.Append(v, element))
	}
	d.leaves = append(d.leaves, leaf{path, f, v})
}

// mapping decodes a [Mapping]: CEL text, or its short form.
func (d *decoder) mapping(path string, node ast.Node, v reflect.Value, f field) {
	if _, ok := node.(*ast.MappingNode); ok {
		d.section(path, node, v)
		return
	}
	d.scalar(path, node, v.FieldByName("Expr"), f)
}

// requireEntries notes a list or map that is empty and must not be.
func (d *decoder) requireEntries(path string, count int, f field) {
	if f.required && count == 0 {
		d.fault(path, problem{"is empty", "write at least one, such as " + f.sample()})
	}
}

// A pair is one key of a map, where it stands, and its value.
type pair struct {
	key  string
	at   position
	node ast.Node
}

// pairs returns the keys of a map after noting where each value stands; a key written twice counts once.
func (d *decoder) pairs(path string, node ast.Node) ([]pair, bool) {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		d.fault(path, problem{"is " + kindOf(node) + ", not a map", "write key: value below it"})
		return nil, false
	}
	var pairs []pair
	seen := map[string]position{}
	for _, value := range m.Values {
		token := value.Key.GetToken()
		key, at := token.Value, tokenPosition(token)
		if first, twice := seen[key]; twice {
			d.faultAt(at, join(path, key), problem{fmt.Sprintf("is written twice, first in line %d", first.line), "keep one of them"})
			continue
		}
		seen[key] = at
		d.at[join(path, key)] = valuePosition(value, d.lines)
		pairs = append(pairs, pair{key, at, value.Value})
	}
	return pairs, true
}

// valuePosition is where a key's value stands; of a list or map, and of nothing, where the key does.
func valuePosition(value *ast.MappingValueNode, lines []string) position {
	switch value.Value.(type) {
	case *ast.MappingNode, *ast.SequenceNode, *ast.NullNode:
		return tokenPosition(value.Key.GetToken())
	}
	return start(value.Value, lines)
}

func join(path, key string) string {
	if path == "" {
		return label(key)
	}
	return path + "." + label(key)
}

// indexed returns the path of an element of a list.
func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
