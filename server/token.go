package server

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
)

const tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// token is the token endpoint (RFC 8693 §2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Pragma", "no-cache") // RFC 6749 §5.1
	if r.Header.Get("Authorization") != "" {
		withoutCORS(w) // a backend's: pages have no business with its answers
	}
	req, err := readExchange(r)
	if err != nil {
		return err
	}
	issued, err := s.cfg.Exchanger.Exchange(r.Context(), req)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, tokenResponse(issued))
	return nil
}

func readExchange(r *http.Request) (exchange.Request, error) {
	form, err := readForm(r, "audience", "resource")
	if err != nil {
		return exchange.Request{}, err
	}
	credentials, err := readCredentials(r, form)
	if err != nil {
		return exchange.Request{}, err
	}
	switch {
	case form.Get("grant_type") == "":
		return exchange.Request{}, exchange.Refuse(identity.ParameterMissing, "grant_type is missing")
	case form.Get("grant_type") != tokenExchange:
		return exchange.Request{}, exchange.Refuse(identity.UnsupportedGrantType, "")
	case form.Get("subject_token") == "":
		return exchange.Request{}, exchange.Refuse(identity.ParameterMissing, "subject_token is missing")
	case form.Get("subject_token_type") == "":
		return exchange.Request{}, exchange.Refuse(identity.ParameterMissing, "subject_token_type is missing")
	case form.Get("subject_token_type") != string(exchange.IDToken):
		return exchange.Request{}, exchange.Refuse(identity.UnsupportedTokenType, "")
	case len(form.Get("subject_token")) > maxToken:
		return exchange.Request{}, exchange.Refuse(identity.TooLarge, "")
	case strings.Count(form.Get("subject_token"), ".") != 2:
		return exchange.Request{}, exchange.Refuse(identity.MalformedToken, "")
	}
	return exchange.Request{
		RequestID: requestID(r), Credentials: credentials,
		SubjectToken: form.Get("subject_token"), SubjectTokenType: exchange.IDToken,
		RequestedTokenType: exchange.TokenType(form.Get("requested_token_type")),
		Audience:           form["audience"], Resource: form["resource"],
		Scope: strings.Fields(form.Get("scope")), Conversation: form.Get("conversation"),
	}, nil
}

// readCredentials takes the one way a client authenticates (RFC 6749 §2.3): HTTP Basic, with user and
// password form-encoded inside, or a bare client_id.
func readCredentials(r *http.Request, form url.Values) (exchange.Credentials, error) {
	c := exchange.Credentials{ClientID: form.Get("client_id"), Origin: r.Header.Get("Origin")}
	if r.Header.Get("Authorization") == "" {
		return c, nil
	}
	user, password, ok := r.BasicAuth()
	name, nameErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(password)
	if !ok || nameErr != nil || secretErr != nil || len(r.Header.Values("Authorization")) > 1 {
		return c, exchange.Refuse(identity.ClientAuthentication, "")
	}
	if c.ClientID != "" && c.ClientID != name {
		return c, exchange.Refuse(identity.ParameterRepeated, "client_id and the Authorization header name different clients")
	}
	return exchange.Credentials{ClientID: name, Presented: true, Secret: secret}, nil
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
