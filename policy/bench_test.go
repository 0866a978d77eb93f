package policy_test

import (
	"testing"

	"chatpass/policy"
)

// BenchmarkRules is what one exchange costs: an app's admission rule and three claims.
func BenchmarkRules(b *testing.B) {
	rules := compile(b, policy.Source{
		Admit: "has(claims.email)",
		Claims: map[string]policy.Mapping{
			"name": {Expr: "claims.name"}, "groups": {Expr: "groups"},
			"tier": {Expr: "'gold' in claims.groups ? 'gold' : 'standard'"},
		},
	})
	in := input()
	b.Run("Admit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := rules.Admit(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Claims", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rules.Claims(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCompile is what one app costs at start.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compile(b, policy.Source{Admit: "has(claims.email)", Claims: claim("'gold' in claims.groups ? 'gold' : 'standard'").Claims})
	}
}
