package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
)

const (
	tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	// jwtBearer is the type of a client assertion (RFC 7523 §2.2).
	jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// token is the token endpoint (RFC 8693 §2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Pragma", "no-cache") // RFC 6749 §5.1
	form, err := readForm(r, "audience", "resource")
	s.letClientRead(w, r, form.Get("client_id"))
	if err != nil {
		return err
	}
	req, err := readExchange(r, form)
	if err != nil {
		return err
	}
	req.Meet, req.Spend = s.meet(r), s.limits.askForContext
	issued, err := s.cfg.Exchanger.Exchange(r.Context(), req)
	if err != nil {
		return err
	}
	s.countIssued(r, req.Credentials.ClientID)
	writeJSON(w, http.StatusOK, tokenResponse(issued))
	return nil
}

func readExchange(r *http.Request, form url.Values) (exchange.Request, error) {
	credentials, err := readCredentials(r, form)
	if err != nil {
		return exchange.Request{}, err
	}
	switch grant := form.Get("grant_type"); grant {
	case tokenExchange:
	case "":
		return exchange.Request{}, exchange.Refuse(identity.ParameterMissing, "grant_type is missing")
	default:
		return exchange.Request{}, exchange.Refuse(identity.UnsupportedGrantType, "").
			Measured("grant_type "+decision.Clip(grant), tokenExchange)
	}
	if err := checkTokens(form); err != nil {
		return exchange.Request{}, err
	}
	return exchange.Request{
		RequestID: requestID(r), Credentials: credentials,
		SubjectToken: form.Get("subject_token"), SubjectTokenType: exchange.TokenType(form.Get("subject_token_type")),
		ActorToken: form.Get("actor_token"), ActorTokenType: exchange.TokenType(form.Get("actor_token_type")),
		RequestedTokenType: exchange.TokenType(form.Get("requested_token_type")),
		Audience:           form["audience"], Resource: form["resource"],
		Scope: readScope(form.Get("scope")), Conversation: form.Get("conversation"),
	}, nil
}

// checkTokens refuses what cannot be the tokens of an exchange, before it costs anything (RFC 8693 §2.1).
func checkTokens(form url.Values) error {
	if form.Get("subject_token") == "" {
		return exchange.Refuse(identity.ParameterMissing, "subject_token is missing")
	}
	for _, name := range []string{"subject_token", "actor_token"} {
		token, kind := form.Get(name), form.Get(name+"_type")
		switch {
		case token == "" && kind == "":
			continue
		case kind == "":
			return exchange.Refuse(identity.ParameterMissing, name+"_type is missing")
		case token == "":
			return exchange.Refuse(identity.ParameterMissing, name+"_type came without "+name)
		case !isTokenType(kind):
			return exchange.Refuse(identity.UnsupportedTokenType, "").
				Measured(name+"_type "+decision.Clip(kind), string(exchange.IDToken)+", or for a context "+string(exchange.AccessToken))
		}
		if err := checkShape(name, token); err != nil {
			return err
		}
	}
	return nil
}

func isTokenType(kind string) bool {
	return slices.Contains([]exchange.TokenType{exchange.IDToken, exchange.AccessToken, exchange.JWT}, exchange.TokenType(kind))
}

func checkShape(name, token string) error {
	dots := strings.Count(token, ".")
	switch {
	case len(token) > maxToken:
		return exchange.Refuse(identity.TooLarge, "").
			Measured(fmt.Sprintf("%s of %d bytes", name, len(token)), fmt.Sprintf("at most %d bytes", maxToken))
	case dots == 4 && isCompact(token): // a JWE; nothing of it is read
		return exchange.Refuse(identity.HeaderUnsupported, name+" is encrypted: switch ID token encryption off at the issuer").
			Measured("five parts, as an encrypted token has", "a signed token of three parts")
	case dots != 2:
		return exchange.Refuse(identity.MalformedToken, "").Measured(fmt.Sprintf("%s with %d dots", name, dots), "two dots")
	}
	return nil
}

// isCompact is true for parts of base64url with dots between them (RFC 7515 §3.1, RFC 7516 §3.1): the first,
// the header, is never empty.
func isCompact(token string) bool {
	return !strings.HasPrefix(token, ".") && !strings.ContainsFunc(token, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// readCredentials takes the one way a client authenticates (RFC 6749 §2.3): HTTP Basic, with user and
// password form-encoded inside, a client assertion (RFC 7523 §2.2), or a bare client_id.
func readCredentials(r *http.Request, form url.Values) (exchange.Credentials, error) {
	c := exchange.Credentials{ClientID: form.Get("client_id"), Origin: r.Header.Get("Origin")}
	basic := r.Header["Authorization"] != nil
	assertion, kind := form.Get("client_assertion"), form.Get("client_assertion_type")
	switch asserted := assertion != "" || kind != ""; {
	case basic && asserted:
		return c, exchange.Refuse(identity.ParameterRepeated, "authenticate in one way: by Authorization or by client_assertion").
			Measured("Authorization and client_assertion", "one of them")
	case basic:
		return readBasic(r, c.ClientID)
	case !asserted:
		return c, nil
	case kind != jwtBearer:
		return c, exchange.Refuse(identity.ClientAuthentication, "").
			Measured("client_assertion_type "+decision.Clip(kind), "client_assertion of type "+jwtBearer)
	}
	return exchange.Credentials{ClientID: c.ClientID, Presented: true, Assertion: assertion}, nil
}

func readBasic(r *http.Request, clientID string) (exchange.Credentials, error) {
	user, password, ok := r.BasicAuth()
	name, nameErr := url.QueryUnescape(user)
	secret, _ := url.QueryUnescape(password) // empty, and nobody's, if it cannot be decoded
	if !ok || nameErr != nil || len(r.Header.Values("Authorization")) > 1 {
		return exchange.Credentials{}, exchange.Refuse(identity.ClientAuthentication, "").Measured("another Authorization", "one of HTTP Basic")
	}
	if clientID != "" && clientID != name {
		return exchange.Credentials{}, exchange.Refuse(identity.ParameterRepeated, "client_id and the Authorization header name different clients").
			Measured("client_id "+decision.Name(clientID)+" and Authorization of "+decision.Name(name), "the same client")
	}
	return exchange.Credentials{ClientID: name, Presented: true, Secret: secret, Raw: password}, nil
}

// tokenAnswer is a successful exchange (RFC 8693 §2.2.1), with what a chat needs to know besides.
type tokenAnswer struct {
	AccessToken     string             `json:"access_token"`
	IssuedTokenType exchange.TokenType `json:"issued_token_type"`
	TokenType       string             `json:"token_type"`
	ExpiresIn       int                `json:"expires_in"`
	Scope           string             `json:"scope"`
	RenewIn         int                `json:"renew_in"`
	CustomerID      string             `json:"customer_id"`
	SID             string             `json:"sid"`
}

func tokenResponse(c exchange.Context) tokenAnswer {
	return tokenAnswer{
		AccessToken: c.Token, IssuedTokenType: c.TokenType, TokenType: "Bearer",
		ExpiresIn: seconds(c.Lifetime), Scope: strings.Join(c.Scope, " "), RenewIn: seconds(c.RenewIn),
		CustomerID: c.Session.Customer, SID: c.Session.SID,
	}
}

// seconds rounds down: what we say is left must be left.
func seconds(d time.Duration) int { return int(d / time.Second) }
