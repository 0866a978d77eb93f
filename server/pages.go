package server

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"chatpass/exchange"
	"chatpass/session"
)

//go:embed page.html
var pageSource string

// pages are the few pages that people see of us.
type pages struct{ template *template.Template }

func newPages() (*pages, error) {
	parsed, err := template.New("page").Parse(pageSource)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	return &pages{parsed}, nil
}

// A page is what one of them shows.
type page struct {
	status         int
	Nonce          string
	Title, Message string
	// Detail helps whoever is asked for help: a code, and the decision that `chatpass explain` finds.
	Detail string
	// Retry is a link of ours that tries again; empty for none.
	Retry string
	// wait is the Retry-After of a problem that passes, in seconds; 0 for none.
	wait int
	// Tell, if set, is posted to the window that opened this one, which must be of origin Target.
	Tell   *popupMessage
	Target string
	// Close: there is nothing left to read here.
	Close bool
	Good  bool
}

// popupMessage is what the SDK hears from a sign-in window. It holds no secret: what it announces can
// be claimed only by the page that started, in the browser that finished.
type popupMessage struct {
	V     int    `json:"v"`
	Type  string `json:"type"`
	Txn   string `json:"txn"`
	Error string `json:"error,omitempty"`
}

// popup is the end of a sign-in window's trip to the issuer.
func (p *pages) popup(t session.Transaction, oauthError string) page {
	end := page{
		status: http.StatusOK, Good: oauthError == "",
		Title: "You are signed in", Message: "You can close this window and go on with the chat.",
		Tell: &popupMessage{V: 1, Type: "chatpass.login", Txn: t.Txn, Error: oauthError}, Target: t.PageOrigin, Close: true,
	}
	if oauthError != "" {
		end.Title, end.Message = "You are not signed in", "You can close this window. The chat goes on without you being signed in."
	}
	return end
}

// problem is for a sign-in that cannot go on.
func (p *pages) problem(f fault) page {
	row := exchange.Lookup(f.code)
	end := page{
		status: f.status, Title: "Sign-in did not work", Message: f.description,
		Detail: string(f.code) + " · decision " + f.decision,
	}
	if end.Message == "" {
		end.Message = row.Description
	}
	end.Message = strings.ToUpper(end.Message[:1]) + end.Message[1:] + "."
	if f.status >= http.StatusInternalServerError {
		end.Title = "Sign-in is unavailable at the moment"
		end.Message = "This is not your fault, and nothing is lost. Please try again in a moment."
	}
	return end
}

// again offers the start of a sign-in once more, which is safe as often as one likes.
func (p page) again(r *http.Request) page {
	p.Retry = r.URL.RequestURI()
	return p
}

// tell lets the page that opened the window know that this sign-in came to nothing.
func (p page) tell(t session.Transaction, oauthError string) page {
	p.Tell = &popupMessage{V: 1, Type: "chatpass.login", Txn: t.Txn, Error: oauthError}
	p.Target = t.PageOrigin
	return p
}

// signedOut is the end of a sign-out that leads nowhere else.
func (p *pages) signedOut() page {
	return page{status: http.StatusOK, Good: true, Title: "You are signed out", Message: "You can close this window."}
}

// show writes a page that can do nothing but what it is there for.
func (p *pages) show(w http.ResponseWriter, shown page) {
	shown.Nonce = rand.Text()
	var body bytes.Buffer
	if err := p.template.Execute(&body, shown); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+shown.Nonce+"'; style-src 'nonce-"+shown.Nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	if shown.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(shown.wait))
	}
	w.WriteHeader(shown.status)
	_, _ = w.Write(body.Bytes()) // the browser has gone: there is nobody left to tell
}
