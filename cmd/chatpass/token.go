package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"chatpass/decision"
	"chatpass/verify"
)

// maxTokenInput is the most that is read of a token, in bytes.
const maxTokenInput = 1 << 20

func tokenCommand(to streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Look into a token, or verify a context",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: chatpass token inspect|verify, with the token on standard input")}
		},
	}
	cmd.AddCommand(tokenInspectCommand(to), tokenVerifyCommand(to))
	return cmd
}

func tokenInspectCommand(to streams) *cobra.Command {
	var show, asJSON bool
	cmd := &cobra.Command{
		Use: "inspect [-]", Short: "Say what a token on standard input is and says, without verifying it", Args: standardInput,
		RunE: func(cmd *cobra.Command, _ []string) error {
			seen, err := readToken(cmd.InOrStdin())
			if err != nil {
				return err
			}
			seen.Verdict = seen.describe(time.Now()) + " Its signature was not looked at: chatpass token verify does that for a context."
			return seen.tell(to.out, show, asJSON)
		},
	}
	tokenFlags(cmd, &show, &asJSON)
	return cmd
}

func tokenVerifyCommand(to streams) *cobra.Command {
	var path, issuer, audience string
	var show, asJSON bool
	cmd := &cobra.Command{
		Use: "verify [-]", Short: "Verify a context on standard input, as the service it is for would", Args: standardInput,
		Long: "Verify a context on standard input with the keys that the issuer publishes, as the service it is for would.\n" +
			"The issuer is that of the configuration; with --issuer no configuration is needed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			seen, err := readToken(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if issuer == "" {
				cfg, err := readConfig(path)
				if cfg == nil || cfg.Issuer == "" {
					return errors.Join(err, errors.New("no issuer is known: give --issuer URL, or a configuration with -c FILE"))
				}
				issuer = cfg.Issuer
			}
			refused, err := seen.verify(cmd.Context(), issuer, audience)
			if err != nil {
				return err
			}
			return errors.Join(seen.tell(to.out, show, asJSON), refused)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&issuer, "issuer", "", "URL of the chatpass issuer (default that of the configuration)")
	cmd.Flags().StringVar(&audience, "audience", "", "the service that the context is presented to (default the first that it is for)")
	tokenFlags(cmd, &show, &asJSON)
	return cmd
}

func tokenFlags(cmd *cobra.Command, show, asJSON *bool) {
	cmd.Flags().BoolVar(show, "show", false, "show claims of persons too")
	cmd.Flags().BoolVar(asJSON, "json", false, "answer in JSON")
}

// standardInput is for verbs that read a token: never as an argument, which others on the machine can see.
func standardInput(cmd *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] != "-" {
		return usageError{fmt.Errorf("token %s reads the token on standard input: an argument would show it to everybody on this machine", cmd.Name())}
	}
	return nil
}

// A seenToken is what can be read of a token without believing it.
type seenToken struct {
	Verdict string         `json:"verdict"`
	Header  map[string]any `json:"header"`
	Claims  map[string]any `json:"claims"`
	raw     string
}

func readToken(in io.Reader) (*seenToken, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxTokenInput+1))
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	if scheme, rest, found := strings.Cut(text, " "); found && strings.EqualFold(scheme, "bearer") {
		text = strings.TrimSpace(rest)
	}
	seen := &seenToken{raw: text}
	parts := strings.Split(text, ".")
	switch {
	case len(text) > maxTokenInput:
		return nil, fmt.Errorf("not a token: more than %d bytes", maxTokenInput)
	case text == "":
		return nil, errors.New("no token came on standard input: chatpass token inspect < FILE")
	case len(parts) == 5:
		return nil, errors.New("an encrypted token (five parts): nobody but its receiver can look into it")
	case len(parts) != 3:
		return nil, fmt.Errorf("not a JWT: %d parts between dots, and a signed one has 3", len(parts))
	}
	if seen.Header, err = readPart(parts[0]); err != nil {
		return nil, fmt.Errorf("not a JWT: its header %w", err)
	}
	if seen.Claims, err = readPart(parts[1]); err != nil {
		return nil, fmt.Errorf("not a JWT: its payload %w", err)
	}
	return seen, nil
}

func readPart(part string) (members map[string]any, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, errors.New("is not a JSON object")
	}
	return members, nil
}

// describe says in a sentence what the token is, by what it says of itself.
func (s *seenToken) describe(now time.Time) string {
	iss, _ := s.Claims["iss"].(string)
	text := "This looks like " + s.kind() + " of " + cmp.Or(decision.Clip(iss), "nobody")
	if audience := s.audience(); len(audience) > 0 {
		text += " for " + decision.Clip(strings.Join(audience, ", "))
	}
	switch exp := instant(s.Claims["exp"]); {
	case exp.IsZero():
		return text + ", without an end."
	case now.Before(exp):
		return text + ", good for another " + exp.Sub(now).Round(time.Second).String() + "."
	default:
		return text + ", which expired " + now.Sub(exp).Round(time.Second).String() + " ago."
	}
}

// kind tells tokens apart by their `typ` (RFC 8725 §3.11), or else by claims that no other kind has.
func (s *seenToken) kind() string {
	typ, _ := s.Header["typ"].(string)
	has := func(name string) bool { return s.Claims[name] != nil }
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "statuslist+jwt":
		return "a status list"
	case "logout+jwt":
		return "a logout token"
	case "at+jwt":
		if has("chat") {
			return "a chat context"
		}
		return "an access token"
	}
	switch {
	case has("chat"):
		return "a chat context"
	case has("events"):
		return "a logout token"
	case has("scope") || has("scp"):
		return "an access token"
	}
	return "an ID token"
}

func (s *seenToken) audience() []string {
	var all []string
	for _, value := range append([]any{s.Claims["aud"]}, list(s.Claims["aud"])...) {
		if one, ok := value.(string); ok {
			all = append(all, one)
		}
	}
	return all
}

// verify judges a context as the service it is for would. err says that it could not be judged.
func (s *seenToken) verify(ctx context.Context, issuer, audience string) (refused, err error) {
	if aud := s.audience(); audience == "" && len(aud) > 0 {
		audience = aud[0]
	}
	if audience == "" {
		s.Verdict = "Refused: it is for nobody."
		return errSaid, nil
	}
	verifier, err := verify.New(issuer, audience, verify.AllowTyp("JWT"))
	if err != nil {
		return nil, err
	}
	_, err = verifier.Verify(ctx, s.raw)
	if fault, ok := errors.AsType[*verify.Error](err); ok {
		s.Verdict = fmt.Sprintf("Refused by %s: %s: %v.", audience, fault.Reason, fault.Err)
		return errSaid, nil
	}
	if err != nil {
		return nil, fmt.Errorf("could not tell whether the context is good: %w", err)
	}
	s.Verdict = "A good context: " + audience + " may accept it."
	return nil, nil
}

// tell writes the verdict, and then what the token says.
func (s *seenToken) tell(w io.Writer, show, asJSON bool) error {
	if !show {
		s.hide()
	}
	if asJSON {
		return printJSON(w, s)
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", s.Verdict); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, part := range []map[string]any{s.Header, s.Claims} {
		for _, name := range slices.Sorted(maps.Keys(part)) {
			fmt.Fprintf(table, "%s\t%s\n", decision.Clip(name), display(name, part[name]))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// hidden stands for what says something of a person.
const hidden = "(hidden, see --show)"

// hide keeps only claims that say nothing of a person: those of the protocol.
func (s *seenToken) hide() {
	protocol := strings.Fields("iss aud exp iat nbf auth_time jti client_id azp scope sid idp chat status status_list ttl acr amr nonce events act ver")
	if s.kind() == "a status list" {
		protocol = append(protocol, "sub") // its own address
	}
	for name := range s.Claims {
		if !slices.Contains(protocol, name) {
			s.Claims[name] = hidden
		}
	}
	for act, ok := s.Claims["act"].(map[string]any); ok; act, ok = act["act"].(map[string]any) {
		if act["sub"] != nil {
			act["sub"] = hidden
		}
	}
}

// display writes a member on one line: times as such, and long ones cut.
func display(name string, value any) string {
	if at := instant(value); !at.IsZero() && slices.Contains([]string{"exp", "iat", "nbf", "auth_time"}, name) {
		return at.UTC().Format(time.RFC3339)
	}
	text, ok := value.(string)
	if !ok {
		raw, err := json.Marshal(value)
		if err != nil {
			return "?"
		}
		text = string(raw)
	}
	if len(text) > longestLine {
		return decision.Clip(text) + fmt.Sprintf(" %d bytes", len(text))
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// longestLine is the greatest length of a claim that is shown whole.
const longestLine = 160
