// Package chatpass_test holds the plan of the house as a test: who may import whom, and the few
// rules of style that a machine can check. A change here is a change of architecture.
package chatpass_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// house says what each room may import, in its code, beyond the standard library: rooms by name,
// other people's modules by path. Packages below a room keep to the room's row.
var house = map[string][]string{
	"identity": {},
	"decision": {"identity"},
	"jwks":     {"github.com/go-jose/go-jose/v4"},
	"seal":     {"github.com/tink-crypto/tink-go/v2"},
	"config":   {"github.com/goccy/go-yaml"},
	"policy":   {"identity", "cel.dev/cel-go"},
	"oidc":     {"identity", "jwks", "github.com/coreos/go-oidc/v3", "golang.org/x/oauth2", "github.com/go-jose/go-jose/v4", "golang.org/x/sync"},
	"session":  {"identity", "decision", "seal", "github.com/maypok86/otter/v2"},
	"status":   {},
	"keys":     {"identity", "github.com/lestrrat-go/jwx/v2", "github.com/go-jose/go-jose/v4", "github.com/miekg/pkcs11"},
	"exchange": {"identity", "decision", "policy", "session", "jwks", "github.com/go-jose/go-jose/v4"},
	"store":    {"identity", "decision", "session", "status", "keys", "exchange", "seal", "modernc.org/sqlite", "github.com/jackc/pgx/v5"},
	"server":   {"exchange", "oidc", "session", "status", "keys", "identity", "decision", "sdk", "github.com/rs/cors", "github.com/maypok86/otter/v2", "golang.org/x/time", "golang.org/x/text/language"},
	"admin":    {"session", "keys", "oidc", "status", "decision", "identity", "github.com/prometheus/client_golang"},
	"cmd/chatpass": {
		"admin", "config", "decision", "demo", "exchange", "identity", "jwks", "keys", "oidc", "policy", "seal", "sdk", "server", "session",
		"status", "store", "verify", "github.com/spf13/cobra",
	},
	"verify": {"jwks", "github.com/go-jose/go-jose/v4"},
	"sdk":    {},
	"demo":   {"verify", "sdk", "github.com/go-jose/go-jose/v4"},
}

// kitLibraries may be imported by conformance kits too, packages with a name like storetest.
var kitLibraries = []string{"github.com/google/go-cmp", "pgregory.net/rapid"}

// seams is the greatest number of interfaces: one where two rooms really plug in, and no more.
const seams = 9

// topLevel is all that may lie at the top, besides the rooms.
var topLevel = []string{
	".ci", ".dockerignore", ".git", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile", "README.md",
	"SECURITY.md", "bench", "bin", "chatpass", "cmd", "config.schema.json", "deploy", "docs", "e2e", "go.mod", "go.sum", "house_test.go", "tools.mod", "tools.sum",
}

// A pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath, Name                   string
	Imports                            []string
	GoFiles, TestGoFiles, XTestGoFiles []string
	IgnoredGoFiles                     []string // of other build tags and systems
}

func (p pkg) room() string {
	rel := strings.TrimPrefix(p.ImportPath, "chatpass/")
	for room := range house {
		if rel == room || strings.HasPrefix(rel, room+"/") {
			return room
		}
	}
	return rel
}

// packages are all there are, with what is built on request only. Ours are named chatpass/…, whatever the
// module's path is.
func packages(t *testing.T) []pkg {
	t.Helper()
	module, err := exec.Command("go", "list", "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := strings.TrimSpace(string(module))
	out, err := exec.Command("go", "list", "-e", "-tags=pkcs11", "-json=ImportPath,Name,Imports,GoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == ours {
			continue
		}
		for i, imported := range p.Imports {
			p.Imports[i] = local(imported, ours)
		}
		p.ImportPath = local(p.ImportPath, ours)
		all = append(all, p)
	}
}

func local(path, module string) string {
	if room, ok := strings.CutPrefix(path, module+"/"); ok {
		return "chatpass/" + room
	}
	return path
}

func TestRoomsImportWhatTheHouseAllows(t *testing.T) {
	for _, p := range packages(t) {
		allowed, known := house[p.room()]
		if !known {
			t.Errorf("%s is not a room of the house", p.ImportPath)
		}
		if strings.HasSuffix(p.ImportPath, "test") {
			allowed = slices.Concat(kitLibraries, allowed)
		}
		for _, imported := range p.Imports {
			if !permitted(p.room(), imported, allowed) {
				t.Errorf("%s may not import %s", p.ImportPath, imported)
			}
		}
	}
}

func permitted(room, imported string, allowed []string) bool {
	ours, isOurs := strings.CutPrefix(imported, "chatpass/")
	if !isOurs && !strings.Contains(strings.Split(imported, "/")[0], ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(append([]string{room}, allowed...), func(a string) bool {
		return ours == a || strings.HasPrefix(ours, a+"/")
	})
}

func TestTheTopLevelHoldsRoomsAndLittleElse(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, room := house[entry.Name()]; !room && !slices.Contains(topLevel, entry.Name()) {
			t.Errorf("%s does not belong at the top level", entry.Name())
		}
	}
}

// Tests use what everybody may use. Package main cannot be imported, and a file named export_… hands a
// test what it cannot do without.
func TestTestsStandOutside(t *testing.T) {
	for _, p := range packages(t) {
		for _, file := range p.TestGoFiles {
			if p.Name != "main" && !strings.HasPrefix(file, "export_") {
				t.Errorf("%s/%s: tests belong in package %s_test", p.ImportPath, file, p.Name)
			}
		}
	}
}

// A source is one parsed Go file.
type source struct {
	*ast.File
	fset *token.FileSet
	name string // from the top level
	room string
}

func (s source) at(n ast.Node) string {
	return s.fset.Position(n.Pos()).String()
}

func sources(t *testing.T, files func(pkg) []string) []source {
	t.Helper()
	var all []source
	for _, p := range packages(t) {
		for _, file := range files(p) {
			s := source{fset: token.NewFileSet(), room: p.room(), name: path.Join(strings.TrimPrefix(p.ImportPath, "chatpass/"), file)}
			var err error
			if s.File, err = parser.ParseFile(s.fset, s.name, nil, parser.ParseComments); err != nil {
				t.Error(err)
				continue
			}
			all = append(all, s)
		}
	}
	return all
}

func code(p pkg) []string {
	return append(p.GoFiles, slices.DeleteFunc(p.IgnoredGoFiles, func(name string) bool { return strings.HasSuffix(name, "_test.go") })...)
}

func tests(p pkg) []string { return p.XTestGoFiles }

func TestNothingHappensBehindTheBack(t *testing.T) {
	for _, s := range sources(t, code) {
		ast.Inspect(s.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: init", s.at(n))
				}
			case *ast.CallExpr:
				if called, ok := n.Fun.(*ast.Ident); ok && called.Name == "panic" {
					t.Errorf("%s: panic", s.at(n))
				}
			}
			return true
		})
	}
}

// A package variable is a constant that Go cannot declare as one: nothing ever assigns to it.
func TestPackageVariablesNeverChange(t *testing.T) {
	variables := map[string]bool{} // folder.name
	for _, s := range sources(t, code) {
		for _, name := range packageVariables(s.File) {
			variables[path.Dir(s.name)+"."+name] = true
		}
	}
	for _, s := range sources(t, code) {
		for _, assigned := range assignments(s.File) {
			if variables[path.Dir(s.name)+"."+assigned.Name] {
				t.Errorf("%s: package variable %s is changed", s.at(assigned), assigned.Name)
			}
		}
	}
}

func packageVariables(f *ast.File) []string {
	var names []string
	for _, decl := range f.Decls {
		if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.VAR {
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// assignments lists the variables that functions of f assign to, wholly or in part, or take the
// address of, unless they are local.
func assignments(f *ast.File) []*ast.Ident {
	var found []*ast.Ident
	add := func(e ast.Expr) {
		name := root(e)
		local := name != nil && name.Obj != nil && f.Scope.Lookup(name.Name) != name.Obj
		if name != nil && !local {
			found = append(found, name)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				add(left)
			}
		case *ast.IncDecStmt:
			add(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				add(n.X)
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.Ident); ok && (called.Name == "delete" || called.Name == "clear") {
				add(n.Args[0])
			}
		}
		return true
	})
	return found
}

// root is the variable that e is, or is a part of; nil if e is neither.
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}

func TestSeamsAreFew(t *testing.T) {
	var found []string
	for _, s := range sources(t, code) {
		ast.Inspect(s.File, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if _, ok := spec.Type.(*ast.InterfaceType); ok {
					found = append(found, s.room+"."+spec.Name.Name)
				}
			}
			return true
		})
	}
	if len(found) > seams {
		t.Errorf("%d interfaces, want at most %d: %v", len(found), seams, found)
	}
}

func TestFunctionsAndFilesStayShort(t *testing.T) {
	const longestFunction, longestFile = 60, 400
	for _, s := range sources(t, code) {
		if n := s.fset.File(s.FileStart).LineCount(); n > longestFile {
			t.Errorf("%s: %d lines, want at most %d", s.name, n, longestFile)
		}
		for _, decl := range s.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1; n > longestFunction {
				t.Errorf("%s: %s has %d lines, want at most %d", s.at(fn), fn.Name.Name, n, longestFunction)
			}
		}
	}
}

// selfEvident are methods whose meaning package errors gives.
var selfEvident = map[string]bool{"Error": true, "Unwrap": true, "Is": true}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t, code) {
		for _, decl := range s.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Doc == nil && decl.Name.IsExported() && exportedReceiver(decl) && !selfEvident[decl.Name.Name] {
					t.Errorf("%s: %s has no comment", s.at(decl), decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range undocumented(decl) {
					t.Errorf("%s: %s has no comment", s.at(name), name.Name)
				}
			}
		}
	}
}

func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	kind := fn.Recv.List[0].Type
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	name := root(kind)
	return name == nil || name.IsExported()
}

// undocumented lists the exported names of decl without a comment; one on a group speaks for all in it.
func undocumented(decl *ast.GenDecl) []*ast.Ident {
	var names []*ast.Ident
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Doc == nil && decl.Doc == nil {
				names = append(names, spec.Name)
			}
		case *ast.ValueSpec:
			if spec.Doc == nil && spec.Comment == nil && decl.Doc == nil {
				names = append(names, spec.Names...)
			}
		}
	}
	return slices.DeleteFunc(names, func(name *ast.Ident) bool { return !name.IsExported() })
}

// Time in a test comes from an injected clock or from testing/synctest, never from waiting.
func TestTestsDoNotSleep(t *testing.T) {
	for _, s := range sources(t, tests) {
		if slices.ContainsFunc(s.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` }) {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if called, ok := n.(*ast.SelectorExpr); ok && called.Sel.Name == "Sleep" {
				t.Errorf("%s: sleeps", s.at(called))
			}
			return true
		})
	}
}
