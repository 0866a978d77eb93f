package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"chatpass/config"
)

const documentation = "../docs/configuration.md"

func TestSchemaIsCommitted(t *testing.T) {
	compareGolden(t, "../config.schema.json", config.Schema())
}

// A node is a part of the schema.
type node struct {
	Description          string
	Default              any
	Type                 string
	Pattern              string
	Enum                 []string
	Required             []string
	AnyOf                []node
	Items                *node
	AdditionalProperties json.RawMessage
	Properties           json.RawMessage
}

// A row documents one key.
type row struct{ key, meaning, standard, values string }

// rowsOf returns a row for every key below a part of the schema, in file order.
func rowsOf(t *testing.T, path string, n node) []row {
	t.Helper()
	var all []row
	for _, p := range properties(t, n) {
		name := p.name
		if path != "" {
			name = path + "." + p.name
		}
		all = append(all, rowOf(name, p.node, slices.Contains(n.Required, p.name)))
		all = append(all, rowsOf(t, name, p.node)...)
	}
	if byName := (node{}); len(n.AdditionalProperties) > 0 && json.Unmarshal(n.AdditionalProperties, &byName) == nil {
		all = append(all, rowsOf(t, path+".NAME", byName)...)
	}
	if n.Items != nil {
		all = append(all, rowsOf(t, path+"[]", *n.Items)...)
	}
	for _, choice := range n.AnyOf {
		all = append(all, rowsOf(t, path, choice)...)
	}
	return all
}

type property struct {
	name string
	node node
}

// properties returns the properties in the order of the schema.
func properties(t *testing.T, n node) []property {
	t.Helper()
	if len(n.Properties) == 0 {
		return nil
	}
	var byName map[string]node
	if err := json.Unmarshal(n.Properties, &byName); err != nil {
		t.Fatal(err)
	}
	var ordered yaml.MapSlice // JSON is YAML, and this keeps the order
	if err := yaml.Unmarshal(n.Properties, &ordered); err != nil {
		t.Fatal(err)
	}
	var all []property
	for _, item := range ordered {
		all = append(all, property{item.Key.(string), byName[item.Key.(string)]})
	}
	return all
}

func rowOf(key string, n node, required bool) row {
	r := row{key: key, standard: "–", values: valuesOf(n)}
	text, names, _ := strings.Cut(strings.TrimSuffix(n.Description, "."), ". Names: ")
	text, form, _ := strings.Cut(text, ". Form: ")
	text, limits, _ := strings.Cut(text, ". Range: ")
	r.meaning = text + "."
	for _, detail := range []string{form, limits, names} {
		if detail != "" {
			r.values = strings.TrimPrefix(r.values+", "+detail, "text, ")
		}
	}
	r.values = strings.Replace(r.values, "list of text, ", "list: ", 1)
	switch {
	case required:
		r.standard = "required"
	case n.Default != nil:
		standard, _ := json.Marshal(n.Default)
		r.standard = "`" + strings.NewReplacer(`"`, "", ",", ", ").Replace(string(standard)) + "`"
	}
	return r
}

func valuesOf(n node) string {
	switch {
	case len(n.Enum) > 0:
		return "`" + strings.Join(n.Enum, "`, `") + "`"
	case n.Items != nil:
		return "list of " + valuesOf(*n.Items)
	case n.Type == "object" && len(n.Properties) == 0:
		return "map by name"
	case n.Type == "object":
		return "keys below"
	case n.Type == "boolean":
		return "`true`, `false`"
	case n.Type == "integer":
		return "whole number"
	case strings.HasPrefix(n.Pattern, "^(env:"):
		return "`env:NAME` or `file:/path`"
	case strings.HasPrefix(n.Pattern, "^[0-9A-Fa-f.:]+/"):
		return "networks such as `10.0.0.0/8`"
	}
	if len(n.AnyOf) == 3 {
		return "duration or `subject`"
	}
	if len(n.AnyOf) == 2 && n.AnyOf[0].Pattern != "" {
		return "duration"
	}
	return "text"
}

func TestEveryKeyIsDescribed(t *testing.T) {
	all := schemaRows(t)
	if len(all) < 100 {
		t.Fatalf("only %d keys", len(all))
	}
	for _, r := range all {
		if !strings.HasSuffix(strings.TrimRight(r.meaning, "`)"), ".") || len(r.meaning) < 15 {
			t.Errorf("%s: description %q", r.key, r.meaning)
		}
	}
}

func schemaRows(t *testing.T) []row {
	t.Helper()
	var root node
	if err := json.Unmarshal(config.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return rowsOf(t, "", root)
}

// The tables between the marks <!-- keys: PATTERN --> and <!-- end --> are made of the schema.
func TestDocumentationIsUpToDate(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	rest := schemaRows(t)
	mark := regexp.MustCompile(`(?s)<!-- keys: (\S+) -->\n.*?<!-- end -->`)
	made := mark.ReplaceAllStringFunc(string(text), func(section string) string {
		pattern := mark.FindStringSubmatch(section)[1]
		wanted := regexp.MustCompile("^(" + pattern + ")$")
		var table strings.Builder
		fmt.Fprintf(&table, "<!-- keys: %s -->\n| key | meaning | default | values |\n|---|---|---|---|\n", pattern)
		rest = slices.DeleteFunc(rest, func(r row) bool {
			if !wanted.MatchString(r.key) {
				return false
			}
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", r.key, r.meaning, r.standard, r.values)
			return true
		})
		return table.String() + "<!-- end -->"
	})
	for _, r := range rest {
		t.Errorf("%s is in no table", r.key)
	}
	compareGolden(t, documentation, []byte(made))
}

// The complete example of the documentation is the one that TestEveryKeyReachesItsField reads, and every
// key that it shows is documented.
func TestExampleIsDocumented(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	example := testdata(t, "good/complete.yaml")["testdata/good/complete.yaml"]
	if !strings.Contains(string(text), "```yaml\n"+strings.ReplaceAll(example, "DIR", "/etc/chatpass")+"```\n") {
		t.Error("docs/configuration.md does not show testdata/good/complete.yaml")
	}
	var tree map[string]any
	// The library itself takes a colon inside a flow map for the end of a key; config repairs that.
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(example, "chat:", "chat-")), &tree); err != nil {
		t.Fatal(err)
	}
	keys := keysOf("", tree)
	if len(keys) < 90 {
		t.Fatalf("only %d keys in the example", len(keys))
	}
	for _, key := range keys {
		if !strings.Contains(string(text), "| `"+key+"` |") {
			t.Errorf("%s is not documented", key)
		}
	}
}

// keysOf returns the path of every key of an example, with NAME for what its author named.
func keysOf(path string, value any) []string {
	var keys []string
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			at := strings.TrimPrefix(path+"."+key, ".")
			if last := path[strings.LastIndex(path, ".")+1:]; slices.Contains([]string{"issuers", "apps", "clients", "verifiers", "claims", "accepts"}, last) {
				keys = append(keys, keysOf(path+".NAME", inner)...)
				continue
			}
			keys = append(append(keys, at), keysOf(at, inner)...)
		}
	case []any:
		for _, inner := range v {
			keys = append(keys, keysOf(path+"[]", inner)...)
		}
	}
	return keys
}
