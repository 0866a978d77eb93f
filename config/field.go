package config

import (
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// A field is one key of the file: the Go field it fills, and the rules that its tags state.
type field struct {
	key      string
	owner    reflect.Type // the struct that declares it
	goName   string
	index    []int
	typ      reflect.Type
	required bool
	standard string // default
	example  string
	enum     []string
	least    string
	greatest string
	form     string // of a text, or of each text in a list
	names    string // form of the keys of a map
}

// fieldsOf returns the keys of a part of the file, in order. Those of an embedded struct count as its own.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		least, greatest, _ := strings.Cut(f.Tag.Get("range"), " ")
		fields = append(fields, field{
			key: key, owner: ownerOf(t, f.Index), goName: f.Name, index: f.Index, typ: f.Type,
			required: f.Tag.Get("required") == "true",
			standard: f.Tag.Get("default"),
			example:  f.Tag.Get("example"),
			enum:     strings.Fields(f.Tag.Get("enum")),
			least:    least, greatest: greatest,
			form:  f.Tag.Get("form"),
			names: f.Tag.Get("names"),
		})
	}
	return fields
}

func ownerOf(t reflect.Type, index []int) reflect.Type {
	for _, i := range index[:len(index)-1] {
		t = t.Field(i).Type
	}
	return t
}

// sample returns something to write for f.
func (f field) sample() string {
	text := "a value"
	switch {
	case f.example != "":
		text = f.example
	case len(f.enum) > 0:
		text = f.enum[0]
	case f.standard != "":
		text = strings.Fields(f.standard)[0]
	}
	switch shape := shapeOf(f.typ); {
	case shape == list && !strings.HasPrefix(text, "["):
		return "[" + text + "]"
	case (shape == named || shape == table) && strings.Contains(text, ": "):
		return "{" + text + "}"
	}
	return text
}

// A shape is how a value is written in YAML.
type shape int

const (
	scalar  shape = iota
	section       // a map with known keys
	named         // a map whose keys become the elements' names, in file order
	table         // a map with free keys
	list
	mapping // a [Mapping]: text or a section
)

func shapeOf(t reflect.Type) shape {
	switch t {
	case reflect.TypeFor[Secret](), reflect.TypeFor[SecretURL](), reflect.TypeFor[Document](),
		reflect.TypeFor[SiteAbsolute](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[time.Duration]():
		return scalar
	case reflect.TypeFor[Mapping]():
		return mapping
	}
	switch t.Kind() {
	case reflect.Struct:
		return section
	case reflect.Map:
		return table
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct && hasName(t.Elem()) {
			return named
		}
		return list
	}
	return scalar
}

func hasName(t reflect.Type) bool {
	_, ok := t.FieldByName("Name")
	return ok
}

// fillDefaults sets what the tags of a section and of the sections in it say.
func fillDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		target := v.FieldByIndex(f.index)
		switch shapeOf(f.typ) {
		case section:
			fillDefaults(target)
		case list:
			for _, text := range strings.Fields(f.standard) {
				element := reflect.New(f.typ.Elem()).Elem()
				assign(element, text)
				target.Set(reflect.Append(target, element))
			}
		case scalar:
			if f.standard != "" {
				assign(target, f.standard)
			}
		}
	}
}
