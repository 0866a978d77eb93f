package server

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"chatpass/exchange"
	"chatpass/session"
)

const (
	// The prefix __Host- makes browsers refuse the cookie unless it is Secure, for this host alone and
	// for every path (RFC 6265bis §4.1.3.2): no sibling host can plant one.
	sessionCookie     = "__Host-chatpass-"
	transactionCookie = "__Host-chatpass-txn-"

	// maxTransactions is the number of sign-ins a browser may have under way: beyond it the cookies
	// would outgrow a header.
	maxTransactions = 5
	// cookieGrace keeps a session cookie a little longer than its session, so that the browser can
	// hear why it ended.
	cookieGrace = 5 * time.Minute
)

func (s *Server) setSession(w http.ResponseWriter, app *exchange.App, secret string, left time.Duration) {
	cookie := s.newSession(app.Name)
	cookie.Value, cookie.MaxAge = secret, seconds(left+cookieGrace)
	if app.Kiosk {
		cookie.MaxAge = 0 // until the browser is closed
	}
	http.SetCookie(w, cookie)
}

func (s *Server) dropSession(w http.ResponseWriter, app string) {
	cookie := s.newSession(app)
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// newSession is a session's cookie without its value. Across sites it goes into the jar of the page's site
// alone (CHIPS): another site that embeds us finds its own jar empty.
func (s *Server) newSession(app string) *http.Cookie {
	cookie := &http.Cookie{Name: sessionCookie + app, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if s.cfg.CrossSite {
		cookie.SameSite, cookie.Partitioned = http.SameSiteNoneMode, true
	}
	return cookie
}

func dropTransaction(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// sessionOf is the secret that the browser holds for an app; empty if it holds none.
func sessionOf(r *http.Request, app string) string { return cookieValue(r, sessionCookie+app) }

func transactionName(txn string) string {
	sum := sha256.Sum256([]byte(txn))
	return transactionCookie + base64.RawURLEncoding.EncodeToString(sum[:])[:8]
}

// setTransaction gives the browser a sealed transaction. The issuer's redirect comes from another
// site, which a Strict cookie would not survive.
func (s *Server) setTransaction(w http.ResponseWriter, r *http.Request, txn, sealed string) {
	s.dropOldTransactions(w, r, txn)
	http.SetCookie(w, &http.Cookie{
		Name: transactionName(txn), Value: sealed, Path: "/", MaxAge: seconds(session.TransactionLifetime),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// transactions are the browser's readable transactions, newest first; those that another site began come last, so
// that no stranger's windows push out the sign-in of a page.
func (s *Server) transactions(r *http.Request) []session.Transaction {
	var found []session.Transaction
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, transactionCookie) {
			continue
		}
		if t, err := s.cfg.Sessions.OpenTransaction(c.Value); err == nil && c.Name == transactionName(t.Txn) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b session.Transaction) int {
		if a.Far != b.Far {
			return map[bool]int{true: 1, false: -1}[a.Far]
		}
		return b.Created.Compare(a.Created)
	})
	return found
}

// dropOldTransactions makes room for one more, and sweeps out what cannot be read any more.
func (s *Server) dropOldTransactions(w http.ResponseWriter, r *http.Request, txn string) {
	keep := map[string]bool{transactionName(txn): true}
	for _, t := range s.transactions(r) {
		if len(keep) < maxTransactions {
			keep[transactionName(t.Txn)] = true
		}
	}
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, transactionCookie) && !keep[c.Name] {
			dropTransaction(w, c.Name)
		}
	}
}

// sealedTransaction is the cookie of the transaction that a page names; empty if there is none.
func sealedTransaction(r *http.Request, txn string) string {
	return cookieValue(r, transactionName(txn))
}

// cookieValue is empty for a cookie that comes twice, too: one of them is somebody else's.
func cookieValue(r *http.Request, name string) string {
	if sent := r.CookiesNamed(name); len(sent) == 1 {
		return sent[0].Value
	}
	return ""
}
