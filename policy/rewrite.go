package policy

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// expandName makes a rule that is a single name the claim of that name.
func expandName(root *ast.AST, typed map[string]map[string]field) {
	e := root.Expr()
	if e.Kind() != ast.IdentKind {
		return
	}
	name := e.AsIdent()
	if _, isTyped := typed[name]; isTyped || name == "claims" || strings.HasPrefix(name, ".") {
		return
	}
	factory := ast.NewExprFactory()
	e.SetKindCase(factory.NewSelect(e.ID(), factory.NewIdent(ast.MaxID(root), "claims"), name))
}

// freeNulls lets null stand in either branch of a conditional, whatever the type of the other one:
// `x ? 'gold' : null` is how a rule leaves its claim out, and CEL would refuse to type it.
func freeNulls(root *ast.AST) {
	next, factory := ast.MaxID(root), ast.NewExprFactory()
	ast.PostOrderVisit(root.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Conditional {
			return
		}
		for _, branch := range e.AsCall().Args()[1:] {
			if branch.Kind() != ast.LiteralKind || branch.AsLiteral() != types.NullValue {
				continue
			}
			branch.SetKindCase(factory.NewCall(branch.ID(), "dyn", factory.NewLiteral(next, types.NullValue)))
			next++
		}
	}))
}
