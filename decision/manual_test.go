package decision_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
)

var update = flag.Bool("update", false, "rewrite docs/refusals.md from what is said of each code")

const manual = "../docs/refusals.md"

// parts are the headings of the manual, by the first digit of the codes.
var parts = map[byte]string{
	'1': "The request itself", '2': "The subject token", '3': "The app's rules", '4': "The session",
	'5': "Delegation", '7': "Limits", '9': "Faults of ours",
}

const preface = `# Refusals

<!-- made by: go test ./decision -update -->

Every refusal has a code that never changes its meaning. An answer names it with a ` + "`decision`" + ` id, and so do the pages that a
person sees while signing in. ` + "`chatpass explain ID -c FILE`" + ` prints what became of that request: the ladder of its checks with what was
measured and what was required, the one that failed, the likely cause and what to do. ID is the ` + "`decision`" + `, or the ` + "`request_id`" + `,
which is the header ` + "`X-Request-Id`" + ` too and what our browser SDK writes to the console. ` + "`--json`" + ` gives the same to programs.

Only refusals are kept, for 24 hours, sealed in the store like everything else, and by each replica within these limits. Of each kind
(verb, code, client) a minute has room for eight that tell different stories, each with how many more there were of its kind, and
for 64 of those without their ladders: ` + "`explain`" + ` shows the check that failed, and the whole ladder where the first one tells the same
story. A second has room for 50 and 50 of all kinds. What was refused before anybody had proven anything counts apart and has a
fifth of that room; what public clients were refused before a token was believed, two more fifths. So nobody who only knows a
` + "`client_id`" + ` can push out the refusals of people and backends. Among those who have proven as little as each other, one address (of
IPv6 a /64) has half of the room at most. A store that is away loses refusals, and delays nobody. The audit log has a line of every
decision, kept or not: ` + "`metadata.uid`" + ` is the decision, ` + "`metadata.correlation_uid`" + ` the request, ` + "`status_code`" + ` the code,
` + "`unmapped.failed_check`" + ` the check that failed. Neither holds a token or a claim of a person.

Codes of what this version does not do yet are reserved here, so that they mean the same everywhere; it gives them to nobody.
`

// The manual says what `chatpass explain` says: both are written once.
func TestManualSaysWhatExplainSays(t *testing.T) {
	var want strings.Builder
	want.WriteString(preface)
	part := ""
	codes, given := exchange.Codes(), givenCodes(t)
	slices.Sort(codes)
	for _, code := range codes {
		if next := parts[code[len("CP-")]]; next != part {
			part = next
			fmt.Fprintf(&want, "\n## %s\n", part)
		}
		row, about := exchange.Lookup(code), decision.About(code)
		reserved := " · reserved"
		if given[code] {
			reserved = ""
		}
		fmt.Fprintf(&want, "\n### %s `%s`\n\n`%s` %d · check: %s · retry: %s%s\n\n%s *Usual cause:* %s *What to do:* %s\n",
			code, row.Reason, row.OAuth, row.Status, about.Check, row.Retry, reserved, about.Meaning, about.Usual, about.Remedy)
	}
	if *update {
		if err := os.WriteFile(manual, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("go test ./decision -update would change the manual (-want +got):\n%s", diff)
	}
}

// givenCodes are the codes that some room gives, as its source says: those that it names.
func givenCodes(t *testing.T) map[identity.Code]bool {
	t.Helper()
	names := map[string]identity.Code{}
	for _, line := range regexp.MustCompile(`(\w+) +Code = "(.*)"`).FindAllStringSubmatch(read(t, "../identity/code.go"), -1) {
		names[line[1]] = identity.Code(line[2])
	}
	given := map[identity.Code]bool{}
	for _, room := range []string{"oidc", "session", "exchange", "server", "keys", "policy", "store", "jwks", "cmd/chatpass"} {
		files, err := filepath.Glob(filepath.Join("..", room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("room %s: %v", room, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "refusals.go" {
				continue
			}
			for _, use := range regexp.MustCompile(`identity\.(\w+)`).FindAllStringSubmatch(read(t, file), -1) {
				given[names[use[1]]] = true
			}
		}
	}
	return given
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryCodeIsExplained(t *testing.T) {
	internal := decision.About(identity.Internal)
	for _, code := range append(exchange.Codes(), "") {
		about := decision.About(code)
		if code != identity.Internal && about == internal {
			t.Errorf("%s is not explained", code)
		}
		if about.Check == "" {
			t.Errorf("%s: no check", code)
		}
		for _, sentence := range []string{about.Meaning, about.Usual, about.Remedy} {
			if sentence == "" || !strings.HasSuffix(sentence, ".") || unicode.IsLower(rune(sentence[0])) {
				t.Errorf("%s: %q is no whole sentence", code, sentence)
			}
		}
	}
}

func refused(code identity.Code, measured, required string) decision.Decision {
	d := decision.Decision{App: "support", Client: "web", ClientType: "browser", IDP: "corp"}
	d.Pass("client", "browser client web", "a registered client")
	d.End(decision.Refused, code, measured, required)
	return d
}

func TestCauseIsMadeOfTheValues(t *testing.T) {
	for want, d := range map[string]decision.Decision{
		"The widget kept the token too long before exchanging it: 6m41s, 1m41s beyond its exp.": refused(identity.TokenExpired, "6m41s, 1m41s beyond its exp", "less than 1m0s beyond its exp"),
		"By this machine's clock the token was issued 7m0s ahead: that clock or the issuer's is off by as much.": refused(
			identity.IssuedInFuture, "issued 7m0s ahead", "at most 1m0s ahead"),
		`The token was made for somebody else, or does not say for whom: it has audience "crm", where one of shop-web is needed.`: refused(
			identity.AudienceMismatch, `audience "crm"`, "one of shop-web"),
		`App support could not apply a rule to this person: a number as element 2 of the list. The rule is claims.groups: a list of strings.`: refused(
			identity.MappingFailed, "a number as element 2 of the list", "claims.groups: a list of strings"),
		"The issuer answered access_denied.": refused("", "access_denied", "a code"),
	} {
		if got := d.Cause(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// What was measured may come from a stranger: it must not fill other slots of the sentence.
func TestCauseFillsEachSlotOnce(t *testing.T) {
	d := refused(identity.ClientUnknown, "client_id {app}{required}", "a registered client")
	if got := d.Cause(); !strings.Contains(got, "client_id {app}{required}") {
		t.Error(got)
	}
}

func TestCauseWithoutValuesIsTheUsualOne(t *testing.T) {
	for _, code := range append(exchange.Codes(), "") {
		d := decision.Decision{Code: code}
		if got := d.Cause(); got != decision.About(code).Usual {
			t.Errorf("%s: %s", code, got)
		}
		d = refused(code, "so much", "so little")
		if got := d.Cause(); got == "" || strings.ContainsAny(got, "{}") {
			t.Errorf("%s: %s", code, got)
		}
	}
}
