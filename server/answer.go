package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
)

// A handler answers a request, or returns why it cannot.
type handler func(w http.ResponseWriter, r *http.Request) error

// verbs are the methods a path serves.
type verbs map[string]handler

// A visit is what is known of a request beside itself.
type visit struct {
	id        string // the answer's X-Request-Id
	household netip.Prefix
	// trusted visits have nothing to do with the limit per household: they sign somebody in, or are those
	// of a client that has authenticated.
	trusted bool
}

type visitKey struct{}

func visitOf(r *http.Request) *visit {
	v, ok := r.Context().Value(visitKey{}).(*visit)
	if !ok {
		return &visit{}
	}
	return v
}

// requestID is the X-Request-Id of the answer to r.
func requestID(r *http.Request) string { return visitOf(r).id }

// usualHeader is what the header of an answer begins with. All answers share its values: whoever wants
// another one puts it in the place of the first, and changes none.
func (s *Server) usualHeader() http.Header {
	usual := http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"no-referrer"},
		"Cache-Control":                {"no-store"},
		"Cross-Origin-Resource-Policy": {"same-site"},
	}
	if s.cfg.CrossSite {
		usual.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if strings.HasPrefix(s.origin, "https:") {
		usual.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return usual
}

// observe gives every answer what every answer has, and reports it.
func (s *Server) observe(route string, h http.Handler) http.Handler {
	usual := s.usualHeader()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, v := s.cfg.Now(), s.receive(r)
		maps.Copy(w.Header(), usual)
		w.Header().Set("X-Request-Id", v.id)
		watched := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		s.guarded(h, watched, r)
		if s.cfg.Report != nil {
			s.cfg.Report(route, watched.status, s.cfg.Now().Sub(begun))
		}
	})
}

func (s *Server) receive(r *http.Request) *visit {
	from, distrusted := proxies(s.cfg.TrustedProxies).sender(r)
	if distrusted && s.cfg.Distrusted != nil {
		s.cfg.Distrusted()
	}
	return &visit{id: s.cfg.NewID(), household: household(from)}
}

// guarded serves one request. A bug in its way is answered and logged like every other failure.
func (s *Server) guarded(h http.Handler, w *statusWriter, r *http.Request) {
	defer func() {
		bug := recover()
		if bug == nil {
			return
		}
		s.cfg.Log.ErrorContext(r.Context(), "handler panicked", "bug", fmt.Sprint(bug), "stack", string(debug.Stack()), "request_id", requestID(r))
		if !w.begun {
			s.answerError(w, r, errPanicked)
		}
	}()
	h.ServeHTTP(w, r)
}

var errPanicked = errors.New("handler panicked")

type statusWriter struct {
	http.ResponseWriter
	status int
	begun  bool // the answer is on its way
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) WriteHeader(status int) {
	w.status, w.begun = status, true
	w.ResponseWriter.WriteHeader(status)
}

// methods serves a path's methods, and answers what they return.
func (s *Server) methods(served verbs) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := served[r.Method]
		if !ok {
			s.notServed(w, r, served)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := h(w, r); err != nil {
			s.answerError(w, r, err)
		}
	})
}

func (s *Server) notServed(w http.ResponseWriter, r *http.Request, served verbs) {
	refusal := exchange.Refuse(identity.MethodNotAllowed, "this method is not served here")
	asked := decision.Clip(r.Method + " " + r.URL.Path)
	if len(served) == 0 {
		f := s.fault(r, refusal.Measured(asked, "a path of the service"))
		f.status, f.description = http.StatusNotFound, "there is nothing at this path"
		s.writeError(w, r, f)
		return
	}
	allow := []string{}
	for method := range served {
		allow = append(allow, method)
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ", "))
	s.answerError(w, r, refusal.Measured(asked, strings.Join(allow, " or ")))
}

// answerError is the one place where an error meets HTTP.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	s.writeError(w, r, s.fault(r, s.counted(r, err)))
}

// statusGone is the status of an answer that nobody waits for any more, after nginx's custom. Only the
// metrics see it.
const statusGone = 499

// isGone is true if the client has hung up.
func isGone(r *http.Request) bool { return errors.Is(r.Context().Err(), context.Canceled) }

// A fault is an error as the client sees it.
type fault struct {
	error
	code        identity.Code
	status      int
	oauth       string // the `error`, where it is another than the table's
	description string
	decision    string
	retryAfter  time.Duration
	signIn      *exchange.SignInHint
}

func (s *Server) fault(r *http.Request, err error) fault {
	f := fault{error: err, code: identity.Internal}
	if refusal, ok := errors.AsType[*exchange.Error](err); ok {
		f.code, f.description, f.decision, f.retryAfter = refusal.Code, refusal.Description, refusal.Decision, refusal.RetryAfter
		f.oauth, f.signIn = refusal.OAuth, refusal.SignIn
	} else if rejection, ok := errors.AsType[*identity.Rejection](err); ok {
		f.code = rejection.Code
	} else if outage, ok := errors.AsType[*identity.Outage](err); ok {
		f.code = outage.Code
	}
	if undecided, ok := errors.AsType[*exchange.Undecided](err); ok {
		f.decision = undecided.Decision
	}
	if f.decision == "" { // refused before anybody could decide
		record := s.record(r, "request", "", "")
		s.conclude(r, record, err)
		f.decision = record.ID
	}
	f.status = exchange.Lookup(f.code).Status
	if errors.Is(err, errMediaType) {
		f.status = http.StatusUnsupportedMediaType
	}
	if isGone(r) && f.status >= http.StatusInternalServerError {
		f.status = statusGone
	}
	s.logFault(r, f)
	return f
}

// logFault keeps the cause. That of a no is in the decision's audit line already.
func (s *Server) logFault(r *http.Request, f fault) {
	level, text := slog.LevelDebug, "request refused"
	if isGone(r) {
		text = "client went away"
	} else if f.status >= http.StatusInternalServerError {
		level, text = slog.LevelError, "request failed"
	}
	if !s.cfg.Log.Enabled(r.Context(), level) {
		return // refusals are many, and their causes long to write
	}
	s.cfg.Log.LogAttrs(r.Context(), level, text,
		slog.String("route", r.Pattern), slog.String("code", string(f.code)), slog.String("decision", f.decision),
		slog.String("request_id", requestID(r)), slog.String("cause", decision.Discreet(f.Error())))
}

// errorBody is the one body of every error (the contract's refusals).
type errorBody struct {
	Error       string         `json:"error"`
	Description string         `json:"error_description"`
	Code        identity.Code  `json:"code"`
	Decision    string         `json:"decision"`
	Reason      string         `json:"reason"`
	Retry       exchange.Retry `json:"retry"`
	RetryAfter  *int           `json:"retry_after"`
	RequestID   string         `json:"request_id"`
	Login       *loginBody     `json:"login"`
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, f fault) {
	row := exchange.Lookup(f.code)
	body := errorBody{
		Error: cmp.Or(f.oauth, row.OAuth), Description: f.description, Code: f.code, Decision: f.decision,
		Reason: row.Reason, Retry: row.Retry, RequestID: requestID(r), Login: describeSignIn(f.signIn),
	}
	if body.Description == "" {
		body.Description = row.Description
	}
	body.Description = speakable(body.Description)
	if f.retryAfter > 0 {
		body.Retry = exchange.RetryLater
	}
	if body.Retry == exchange.RetryLater {
		seconds := s.retryAfter(f)
		body.RetryAfter = &seconds
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if f.code == identity.ClientAuthentication && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="chatpass"`) // RFC 6749 §5.2
	}
	if f.code == identity.StepUpNeeded && body.Login != nil {
		w.Header().Set("WWW-Authenticate", body.Login.challenge(body.Error))
	}
	writeJSON(w, f.status, body)
}

// retryAfter is what the refusal asks for, else 2 to 10 s, spread so that not all come back at once.
func (s *Server) retryAfter(f fault) int {
	if f.retryAfter > 0 {
		return int(math.Ceil(f.retryAfter.Seconds()))
	}
	return 2 + int(8*s.cfg.Random())
}

// speakable keeps to the characters of an error_description (RFC 6749 §5.2).
func speakable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, text)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(true)
	_ = encoder.Encode(body) // the client has gone: there is nobody left to tell
}
