package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// A Fault is one thing wrong with a rule.
type Fault struct {
	// Path is the rule's place in [Source]: "admit", "subject" or "claims.NAME".
	Path string
	// Line and Column are where in the expression, in characters from 1; both are 0 if the fault is
	// not in the expression.
	Line, Column int
	// Message says what is wrong, Remedy what to write instead.
	Message, Remedy string
}

// Faults are all that is wrong with a [Source], in the order of their paths. As an error it is one
// line a fault.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// String returns "path:line:column: message; remedy".
func (f Fault) String() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s; %s", f.Path, f.Message, f.Remedy)
	}
	return fmt.Sprintf("%s:%d:%d: %s; %s", f.Path, f.Line, f.Column, f.Message, f.Remedy)
}

const remedySyntax = `write one CEL expression, such as claims.email or 'gold' in claims.groups ? 'gold' : 'standard'`

// remedy says what to write instead of the node that does not check.
func remedy(root ast.Expr, id int64, typed map[string]map[string]field) string {
	node := find(root, id)
	switch node.Kind() {
	case ast.IdentKind:
		return "the variables are claims, identity, client and request; a claim is claims.NAME, a text is quoted"
	case ast.SelectKind:
		return remedyField(node.AsSelect().Operand(), typed)
	case ast.CallKind:
		if call := node.AsCall(); call.FunctionName() == operators.OptSelect {
			return remedyField(call.Args()[0], typed)
		}
		return "use a function or operator of CEL with values of the types it takes; string(), int(), double() and dyn() convert"
	}
	return "see the CEL language definition for what may stand here"
}

func remedyField(of ast.Expr, typed map[string]map[string]field) string {
	if of.Kind() == ast.IdentKind && typed[of.AsIdent()] != nil {
		return of.AsIdent() + " has " + strings.Join(names(typed[of.AsIdent()]), ", ")
	}
	return "only claims, identity, client, request and maps have fields"
}

// find returns the node of that id, or root if there is none.
func find(root ast.Expr, id int64) ast.Expr {
	found := root
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == id {
			found = e
		}
	}))
	return found
}

func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return f
}
