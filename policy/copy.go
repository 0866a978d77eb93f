package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A copied claim is the short form of a rule: a claim of the token, or those of its values that begin
// with a prefix. It refuses whatever it is not sure of: a claim that is missing or of another type never
// just disappears, since a rule downstream might take that for a no.
type copied struct {
	from, prefix string
	strip        bool
}

// copy checks a short form; nil if it is at fault.
func (c *compiler) copy(name string, m Mapping) *rule {
	r := &rule{name: name, path: "claims." + name, copied: &copied{m.From, m.Prefix, m.Strip}}
	switch {
	case m.Expr != "":
		c.fault(Fault{Path: r.path, Message: "has both an expression and the short form", Remedy: "keep one of them"})
		return nil
	case m.Strip && m.Prefix == "":
		c.fault(Fault{Path: r.path, Message: "strip has no prefix to remove", Remedy: "add prefix, or leave strip out"})
		return nil
	case m.Prefix == "":
		r.text = "a string or a list of strings in the claim " + m.From
	default:
		r.text = "a string that begins with " + strconv.Quote(m.Prefix) + ", or a list of strings, in the claim " + m.From
	}
	return r
}

// value returns a string of a string, and a list of a list, which is empty if nothing is kept. Its error
// is a misfit.
func (c *copied) value(claims map[string]any) (any, error) {
	value, there := claims[c.from]
	if !there {
		return nil, misfit("no claim " + c.from)
	}
	bounded := converter{left: maxSize}
	switch value := value.(type) {
	case string:
		kept, ok := c.keep(value)
		if !ok {
			return nil, misfit("a string that begins otherwise")
		}
		return bounded.string(kept)
	case []any:
		return c.list(&bounded, value)
	}
	return nil, misfit(kindOf(value))
}

func (c *copied) list(bounded *converter, values []any) (any, error) {
	list := []any{}
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, misfit(fmt.Sprintf("%s as element %d of the list", kindOf(value), i+1))
		}
		kept, ok := c.keep(text)
		if !ok {
			continue
		}
		element, err := bounded.string(kept)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	return list, nil
}

func (c *copied) keep(text string) (string, bool) {
	if c.strip {
		return strings.CutPrefix(text, c.prefix)
	}
	return text, strings.HasPrefix(text, c.prefix)
}

// kindOf names the kind of a claim's value, as JSON does.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}
