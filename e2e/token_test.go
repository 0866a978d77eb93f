package e2e_test

import (
	"strings"
	"testing"
)

// Somebody who holds a context asks the command line whether a service would accept it.
func TestCommandLineVerifiesAContext(t *testing.T) {
	s, upstream := newSiteWithIssuer(t)
	s.serve(t)
	token := s.asBackend(t, shopIDToken(t, upstream, "alice")).AccessToken
	forged := token[:len(token)-4] + "AAAA"
	for _, c := range []struct {
		token string
		args  []string
		code  int
		says  string
	}{
		{token, nil, 0, "A good context: "},
		{"Bearer " + token + "\n", nil, 0, "A good context: "},
		{forged, nil, 1, "signature: does not verify."},
		{token, []string{"--audience", "https://elsewhere.example.com"}, 1, "Refused by https://elsewhere.example.com: audience: "},
	} {
		cmd := command(append([]string{"token", "verify", "-c", s.config()}, c.args...)...)
		cmd.Stdin = strings.NewReader(c.token)
		p := start(t, cmd)
		if code := p.exitCode(); code != c.code || !strings.Contains(p.out.String(), c.says) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", c.args, code, c.code, c.says, p.out.String(), p.err.String())
		}
		if strings.Contains(p.out.String(), "alice") {
			t.Errorf("the person is shown:\n%s", p.out.String())
		}
	}
}
