package policy

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"chatpass/identity"
)

// A rule is one compiled expression, or the short form of one.
type rule struct {
	name    string  // of the claim; empty for admit and subject
	path    string  // "admit", "subject", "claims.tier"
	text    string  // as written; of the short form, what it takes
	copied  *copied // the short form, in place of an expression
	program cel.Program
	source  *cel.Ast // positions, to say where an evaluation failed
}

// A misfit says what was wrong with an evaluation or its result. It holds places, lengths and names
// of types, never a value: values are personal, and CEL's own error texts repeat them.
type misfit string

func (m misfit) Error() string { return string(m) }

// CEL labels an error value with the place where it arose. Two of its errors are shared by the whole
// process: they would keep the first place for ever, and two evaluations that label one at the same
// time would race. Labelled here, with a place that no expression has, they are only ever read.
var (
	_ = types.LabelErrNode(-1, types.NoSuchOverloadErr())
	_ = types.LabelErrNode(-1, types.Int(math.MaxInt64).ConvertToType(types.TimestampType))
)

// evaluate's error is a misfit, or the cause of ctx's end.
func (r *rule) evaluate(ctx context.Context, v vars) (ref.Val, error) {
	out, _, err := r.program.ContextEval(ctx, v)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if _, ok := errors.AsType[interpreter.EvalCancelledError](err); ok {
		return nil, misfit(fmt.Sprintf("cost over %d", costLimit))
	}
	if err != nil {
		return nil, misfit(r.failure(err))
	}
	return out, nil
}

// claim evaluates the rule of a claim; nil if the claim is left out.
func (r *rule) claim(ctx context.Context, v vars) (any, error) {
	if r.copied != nil {
		return r.copied.value(v.Identity.Claims)
	}
	out, err := r.evaluate(ctx, v)
	if err != nil {
		return nil, err
	}
	if optional, ok := out.(*types.Optional); ok {
		if !optional.HasValue() {
			return nil, nil
		}
		out = optional.GetValue()
	}
	return toJSON(out)
}

// refuse makes an evaluation's error a rejection; the end of a context stays what it is.
func (r *rule) refuse(code identity.Code, err error) error {
	if what, ok := errors.AsType[misfit](err); ok {
		return identity.Reject(code, string(what), r.path+": "+r.text)
	}
	return fmt.Errorf("evaluate %s: %w", r.path, err)
}

// failure says what failed and where in the rule, as "no claim email at line:column", as far as CEL
// tells.
func (r *rule) failure(err error) string {
	const what = "evaluation error"
	failed, ok := errors.AsType[*types.Err](err)
	if !ok {
		return what
	}
	tree := r.source.NativeRep()
	at := tree.SourceInfo().GetStartLocation(failed.NodeID())
	if at.Line() < 1 {
		return what
	}
	place := fmt.Sprintf(" at %d:%d", at.Line(), at.Column()+1)
	if name, ok := claimRead(find(tree.Expr(), failed.NodeID())); ok {
		return "no claim " + name + place // nothing else can fail there
	}
	return what + place
}

// claimRead returns the name of the claim that an expression reads: claims.NAME.
func claimRead(e ast.Expr) (string, bool) {
	if e.Kind() != ast.SelectKind || e.AsSelect().Operand().Kind() != ast.IdentKind {
		return "", false
	}
	return e.AsSelect().FieldName(), e.AsSelect().Operand().AsIdent() == "claims"
}

func typeName(v ref.Val) string { return v.Type().TypeName() }
