package server

import (
	"net/http"
	"strings"
	"time"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// sessionAnswer is what E4, E5 and E6 say of a session and its newest context. All times are in
// seconds from now: a browser's clock may be wrong.
type sessionAnswer struct {
	Active   bool         `json:"active,omitempty"`
	Customer string       `json:"customer_id"`
	Session  sessionInfo  `json:"session"`
	Context  *contextInfo `json:"context,omitempty"`
}

type sessionInfo struct {
	ExpiresIn     int    `json:"expires_in"`
	IdleExpiresIn *int   `json:"idle_expires_in,omitempty"`
	AuthAge       *int   `json:"auth_age,omitempty"` // absent where the issuer did not say
	ACR           string `json:"acr,omitempty"`
	SID           string `json:"sid"`
}

type contextInfo struct {
	Token      string `json:"token"`
	JTI        string `json:"jti"`
	Scope      string `json:"scope,omitempty"`
	ExpiresIn  int    `json:"expires_in"`
	ExpiresAt  int64  `json:"expires_at"` // for a widget to pass on: seconds since the epoch, by our clock
	RenewIn    int    `json:"renew_in"`
	MinHandout int    `json:"min_handout"`
}

func describe(c exchange.Context, now time.Time) sessionAnswer {
	return sessionAnswer{
		Customer: c.Session.Customer,
		Session:  describeSession(c.Session, now),
		Context: &contextInfo{
			Token: c.Token, JTI: c.JTI, Scope: strings.Join(c.Scope, " "),
			ExpiresIn: seconds(c.Lifetime), ExpiresAt: c.Expires.Unix(), RenewIn: seconds(c.RenewIn), MinHandout: seconds(c.MinHandout),
		},
	}
}

func describeSession(s session.Session, now time.Time) sessionInfo {
	who, _ := s.Who(now)
	info := sessionInfo{ExpiresIn: seconds(s.Left(now)), ACR: who.ACR, SID: s.SID}
	if s.Idle > 0 {
		left := seconds(s.Active.Add(s.Idle).Sub(now))
		info.IdleExpiresIn = &left
	}
	if !who.AuthTime.IsZero() {
		age := max(0, seconds(now.Sub(who.AuthTime)))
		info.AuthAge = &age
	}
	return info
}

func writeInactive(w http.ResponseWriter, code identity.Code) {
	writeJSON(w, http.StatusOK, struct {
		Active bool          `json:"active"`
		Reason string        `json:"reason"`
		Code   identity.Code `json:"code"`
	}{false, exchange.Lookup(code).Reason, code})
}
