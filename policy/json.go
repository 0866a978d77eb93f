package policy

import (
	"math"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const (
	// maxDepth is how deep lists and maps may be nested in a claim.
	maxDepth = 16
	// maxSize bounds a claim's value, in bytes of JSON or a little more. A context is far smaller; this
	// bound only keeps a rule from building something huge before that is measured.
	maxSize = 64 << 10
	// maxInteger is the greatest integer that every JSON reader keeps exactly (RFC 8259 §6).
	maxInteger = 1<<53 - 1
)

// toJSON turns a result into what encoding/json writes without loss. Its error is a misfit.
func toJSON(v ref.Val) (any, error) {
	c := converter{left: maxSize}
	return c.value(v, 0)
}

// A converter counts what it may still convert.
type converter struct{ left int }

func (c *converter) value(v ref.Val, depth int) (any, error) {
	if err := c.take(8); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return integer(int64(v), v > maxInteger || v < -maxInteger)
	case types.Uint:
		return integer(uint64(v), v > maxInteger)
	case types.Double:
		return finite(float64(v))
	case types.String:
		return c.string(string(v))
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339Nano), nil
	case traits.Lister:
		return c.list(v, depth+1)
	case traits.Mapper:
		return c.object(v, depth+1)
	}
	return nil, misfit("a value of type " + typeName(v) + ", which JSON cannot say")
}

func (c *converter) list(v traits.Lister, depth int) (any, error) {
	if depth > maxDepth {
		return nil, misfit("nested too deep")
	}
	list := []any{}
	for it := v.Iterator(); it.HasNext() == types.True; {
		element, err := c.value(it.Next(), depth)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	return list, nil
}

func (c *converter) object(v traits.Mapper, depth int) (any, error) {
	if depth > maxDepth {
		return nil, misfit("nested too deep")
	}
	object := map[string]any{}
	for it := v.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, misfit("a map with a key that is not a string but " + typeName(key))
		}
		if _, err := c.string(string(name)); err != nil {
			return nil, err
		}
		member, err := c.value(v.Get(key), depth)
		if err != nil {
			return nil, err
		}
		object[string(name)] = member
	}
	return object, nil
}

func (c *converter) string(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, misfit("a string that is not UTF-8")
	}
	return s, c.take(len(s))
}

func (c *converter) take(n int) error {
	c.left -= n
	if c.left < 0 {
		return misfit("too large")
	}
	return nil
}

func integer[T int64 | uint64](n T, unsafe bool) (any, error) {
	if unsafe {
		return nil, misfit("an integer beyond 2^53")
	}
	return n, nil
}

func finite(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, misfit("a number that is not finite")
	}
	return f, nil
}
