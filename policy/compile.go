package policy

import (
	"fmt"
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
)

const (
	// costLimit bounds one evaluation, in CEL's units of 0.1 to 0.2 µs. Beyond it the rule fails.
	costLimit = 200_000
	// assumedSize is the length that a claim's lists and strings are assumed to have when the greatest
	// cost of a rule is estimated at compile time.
	assumedSize = 100
	// maxText is the greatest length of a rule, in characters.
	maxText = 4096
	// maxRegexp bounds a compiled regular expression, in instructions.
	maxRegexp = 1000
	// interruptEvery is after how many steps of a loop the context is asked.
	interruptEvery = 100
)

func newEnv(typed map[string]map[string]field) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true), // JSON numbers are doubles; rules write 3
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxText),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		func(e *cel.Env) (*cel.Env, error) {
			return cel.CustomTypeProvider(provider{e.CELTypeProvider(), typed})(e)
		},
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
	}
	for variable := range typed {
		options = append(options, cel.Variable(variable, typeOf(variable)))
	}
	return cel.NewEnv(options...)
}

type compiler struct {
	env    *cel.Env
	typed  map[string]map[string]field
	faults Faults
}

// compile compiles one rule, or notes what is wrong with it and returns nil. unfit returns a remedy
// if the rule's type is not the one wanted.
func (c *compiler) compile(path, text string, unfit func(*cel.Type) string) *rule {
	if strings.TrimSpace(text) == "" {
		c.fault(Fault{Path: path, Message: "the rule is empty", Remedy: remedySyntax})
		return nil
	}
	checked := c.check(path, text)
	if checked == nil {
		return nil
	}
	if remedy := unfit(checked.OutputType()); remedy != "" {
		c.fault(Fault{Path: path, Line: 1, Column: 1, Message: "yields " + describe(checked.OutputType()), Remedy: remedy})
		return nil
	}
	return c.plan(checked, &rule{path: path, text: text, source: checked})
}

// check parses and type-checks; nil if that failed.
func (c *compiler) check(path, text string) *cel.Ast {
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		c.report(path, issues, func(int64) string { return remedySyntax })
		return nil
	}
	root := parsed.NativeRep()
	expandName(root, c.typed)
	freeNulls(root)
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		c.report(path, issues, func(id int64) string { return remedy(root.Expr(), id, c.typed) })
		return nil
	}
	return checked
}

func (c *compiler) report(path string, issues *cel.Issues, remedy func(id int64) string) {
	for _, e := range issues.Errors() {
		c.fault(Fault{
			Path: path, Line: max(e.Location.Line(), 1), Column: max(e.Location.Column(), 0) + 1,
			Message: oneLine(e.Message), Remedy: remedy(e.ExprID),
		})
	}
}

func (c *compiler) fault(f Fault) { c.faults = append(c.faults, f) }

// plan estimates the greatest cost and makes the rule's program; nil if that failed. Of the size of some
// values, such as an optional's, CEL knows nothing and estimates the worst: there the limit at run
// time alone decides.
func (c *compiler) plan(checked *cel.Ast, r *rule) *rule {
	estimate, err := c.env.EstimateCost(checked, sizes{})
	if err == nil && estimate.Max > costLimit && estimate.Max < math.MaxUint64 {
		c.fault(Fault{
			Path: r.path, Line: 1, Column: 1,
			Message: fmt.Sprintf("costs up to %d for lists of %d elements, the limit is %d", estimate.Max, assumedSize, costLimit),
			Remedy:  "nest fewer loops over claims",
		})
		return nil
	}
	r.program, err = c.env.Program(checked, cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(costLimit), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		c.fault(Fault{Path: r.path, Line: 1, Column: 1, Message: oneLine(err.Error()), Remedy: remedySyntax})
		return nil
	}
	return r
}

// sizes is what the cost estimate assumes of values that are not in the rule itself.
type sizes struct{}

// EstimateSize assumes [assumedSize] for everything that comes with a request.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if len(node.Path()) == 0 {
		return nil
	}
	return &cost.SizeEstimate{Max: assumedSize}
}

// EstimateCallCost leaves calls to CEL's own estimate.
func (sizes) EstimateCallCost(_, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	return nil
}

// oneLine keeps a message that quotes the rule to a line.
func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}
