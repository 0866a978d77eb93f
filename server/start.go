package server

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/oidc"
	"chatpass/session"
)

// Shapes of what a page makes itself: a transaction of at least 128 bit, and an S256 challenge
// (RFC 7636 §4.2), which is always 43 characters long.
var (
	txnShape       = regexp.MustCompile(`^[A-Za-z0-9_-]{22,64}$`)
	challengeShape = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// prompts are those of OpenID Connect Core 1.0 §3.1.2.1.
var prompts = []string{"", "none", "login", "consent", "select_account"}

const (
	modePopup    = "popup"
	modeRedirect = "redirect"

	maxHint     = 256 // bytes of a login_hint or ui_locales
	maxCustomer = 255 // bytes of an expected_customer: it goes into a cookie
)

// A beginning is what E1 was asked: the transaction, what it wants of the issuer, and whose it is.
type beginning struct {
	session.Transaction
	ask oidc.Ask
	app *exchange.App
}

// readStart reads and checks the query of E1. Nothing it refuses may lead to a redirect: where to
// would be the stranger's choice.
func (s *Server) readStart(r *http.Request) (beginning, error) {
	q, err := readQuery(r)
	if err != nil {
		return beginning{}, err
	}
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return beginning{}, exchange.Refuse(identity.CSRFFailed, "sign-in is for windows, not for frames or scripts")
	}
	client, err := s.cfg.Exchanger.Client(exchange.Credentials{ClientID: q.Get("client_id"), Origin: q.Get("page_origin")})
	if err != nil {
		return beginning{}, err
	}
	if client.Type != exchange.Browser {
		return beginning{}, exchange.Refuse(identity.ClientMayNotExchange, "only browser clients sign people in here").
			Measured("a "+string(client.Type)+" client", "a browser client")
	}
	in := beginning{app: client.App, Transaction: session.Transaction{
		Txn: q.Get("txn"), Challenge: q.Get("challenge"), Client: client.ID, App: client.App.Name,
		Mode: q.Get("mode"), PageOrigin: q.Get("page_origin"), ReturnTo: q.Get("return_to"), IDP: q.Get("idp"),
		Purpose: cmp.Or(q.Get("purpose"), session.Login), Expected: q.Get("expected_customer"), Created: s.cfg.Now(),
	}}
	in.Far = !s.cfg.CrossSite && r.Header.Get("Sec-Fetch-Site") == "cross-site"
	if s.cfg.CrossSite { // else a page finds out by itself what its window came to
		in.Relay = q.Get("relay_uri")
	}
	if err := in.check(); err != nil {
		return beginning{}, err
	}
	if in.ask, err = readAsk(q); err != nil {
		return beginning{}, err
	}
	if err := in.serve(); err != nil {
		return beginning{}, err
	}
	in.IDP = cmp.Or(in.IDP, s.issuerOf(r, in))
	return in, nil
}

func (in beginning) check() error {
	switch {
	case !txnShape.MatchString(in.Txn):
		return exchange.Refuse(identity.ParameterMissing, "txn must be 22 to 64 characters of base64url")
	case !challengeShape.MatchString(in.Challenge):
		return exchange.Refuse(identity.ParameterMissing, "challenge must be an S256 challenge (RFC 7636)")
	case in.Mode != modePopup && in.Mode != modeRedirect:
		return exchange.Refuse(identity.ParameterMissing, "mode must be popup or redirect")
	case in.Mode == modeRedirect && !slices.Contains(in.app.ReturnTo, in.ReturnTo):
		return exchange.Refuse(identity.ParameterUnsupported, "return_to is not one of this app's return_to URLs")
	case in.Mode == modeRedirect && !isOn(in.ReturnTo, in.PageOrigin):
		return exchange.Refuse(identity.ParameterUnsupported, "return_to is not on page_origin: only the page that starts a sign-in can finish it")
	case in.Relay != "" && (!slices.Contains(in.app.ReturnTo, in.Relay) || !isOn(in.Relay, in.PageOrigin)):
		return exchange.Refuse(identity.ParameterUnsupported, "relay_uri is not one of this app's return_to URLs on page_origin")
	case in.IDP != "" && !slices.Contains(in.app.Issuers, in.IDP):
		return exchange.Refuse(identity.IssuerNotTrusted, "idp is not one of this app's issuers")
	case !slices.Contains([]string{session.Login, session.StepUp, session.Switch}, in.Purpose):
		return exchange.Refuse(identity.ParameterUnsupported, "purpose must be login, step_up or switch")
	case len(in.Expected) > maxCustomer:
		return exchange.Refuse(identity.TooLarge, "expected_customer is too long")
	}
	return nil
}

// isOn tells whether a page is of an origin (RFC 6454 §5). What a sign-in came to is told to that origin alone: pages
// elsewhere are registered for sign-out.
func isOn(page, origin string) bool {
	of := func(text string) string {
		u, err := url.Parse(text)
		if err != nil {
			return ""
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
	}
	return of(page) == of(origin)
}

func readAsk(q url.Values) (oidc.Ask, error) {
	level, err := readLevel(q.Get("acr_values"), q.Get("max_age"))
	ask := oidc.Ask{
		Prompt: q.Get("prompt"), LoginHint: q.Get("login_hint"), UILocales: q.Get("ui_locales"), ACRValues: level.ACR, MaxAge: level.MaxAge,
	}
	switch {
	case err != nil:
		return ask, err
	case !slices.Contains(prompts, ask.Prompt):
		return ask, exchange.Refuse(identity.ParameterUnsupported, "prompt must be none, login, consent or select_account")
	case len(ask.LoginHint) > maxHint || len(ask.UILocales) > maxHint:
		return ask, exchange.Refuse(identity.TooLarge, "login_hint or ui_locales is too long")
	}
	return ask, nil
}

// serve completes what is asked of the issuer by what the sign-in is for.
func (in *beginning) serve() error {
	switch in.Purpose {
	case session.Switch:
		in.ask.Prompt = cmp.Or(in.ask.Prompt, "select_account")
	case session.StepUp:
		if len(in.ask.ACRValues) == 0 && in.ask.MaxAge == nil {
			in.ask.ACRValues = in.app.StepUp.ACR
		}
		if len(in.ask.ACRValues) == 0 && in.ask.MaxAge == nil {
			return exchange.Refuse(identity.ParameterMissing, "step up to what? send acr_values or max_age, or set the app's step_up.acr")
		}
	}
	return nil
}

// issuerOf is the issuer of a sign-in that does not say which: the only one, or that of the session to be
// raised. It is empty if the person has to choose.
func (s *Server) issuerOf(r *http.Request, in beginning) string {
	if in.Purpose == session.StepUp {
		live, err := s.cfg.Sessions.Look(r.Context(), in.App, sessionOf(r, in.App))
		if err == nil && slices.Contains(in.app.Issuers, live.Identity.IDP) {
			return live.Identity.IDP
		}
	}
	open := s.openTo(in.app)
	switch {
	case len(open) > 1 && in.ask.Prompt == "none": // nobody is to be asked anything
		return open[0]
	case len(open) > 1:
		return ""
	case len(open) == 1:
		return open[0]
	}
	return in.app.Issuers[0] // which says why nobody can sign in with it
}

// openTo are the app's issuers that people can sign in with.
func (s *Server) openTo(app *exchange.App) []string {
	return slices.DeleteFunc(slices.Clone(app.Issuers), func(idp string) bool { return !s.cfg.Gate.SignsIn(idp) })
}

// choices are the links by which a person chooses an issuer: the same request again, with that one's name.
func (s *Server) choices(r *http.Request, app *exchange.App) []choice {
	q := r.URL.Query()
	var all []choice
	for _, idp := range s.openTo(app) {
		q.Set("idp", idp)
		all = append(all, choice{Label: cmp.Or(s.cfg.Labels[idp], idp), URL: r.URL.EscapedPath() + "?" + q.Encode()})
	}
	return all
}
