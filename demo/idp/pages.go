package idp

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed pages
var pageFiles embed.FS

// parsePages reads the pages; html/template escapes whatever is put into them.
func parsePages() (*template.Template, error) {
	return template.ParseFS(pageFiles, "pages/*.html")
}

// signInPage is what the sign-in page shows.
type signInPage struct {
	Request authRequest
	// Current is the sub of whoever is signed in in this browser; empty for nobody.
	Current string
	// Problem says why the last press of a button did not work.
	Problem string
}

// Query carries the request from the page to the button; it is percent-encoded already.
func (s signInPage) Query() template.URL { return template.URL(s.Request.query) }

// Client is who asks.
func (s signInPage) Client() string { return s.Request.client.ID }

// CurrentName is whoever is signed in in this browser.
func (s signInPage) CurrentName() string { return nameOf(s.Current) }

// Buttons are the people, those first whom the client expects.
func (s signInPage) Buttons() []signInButton {
	var expected, others []signInButton
	for _, who := range people() {
		hinted := s.Request.loginHint != "" && (s.Request.loginHint == who.Email || s.Request.loginHint == who.Sub)
		button := signInButton{who, hinted || who.Sub == s.Request.hintedSub, who.Sub == s.Current}
		if button.Expected {
			expected = append(expected, button)
			continue
		}
		others = append(others, button)
	}
	return append(expected, others...)
}

type signInButton struct {
	person
	Expected, SignedIn bool
}

func (p *Provider) showSignIn(w http.ResponseWriter, status int, page signInPage) {
	p.show(w, status, "signin.html", page)
}

// confirmPage asks whether to sign out. Query is percent-encoded already.
type confirmPage struct {
	Name, Client string
	Query        template.URL
}

// messagePage is a page to read.
type messagePage struct{ Title, Text string }

func (p *Provider) showProblem(w http.ResponseWriter, status int, text string) {
	p.show(w, status, "message.html", messagePage{"That did not work", text})
}

func (p *Provider) showMessage(w http.ResponseWriter, title, text string) {
	p.show(w, http.StatusOK, "message.html", messagePage{title, text})
}

// show writes a page that runs no script. Its buttons may lead on to relying parties on this computer:
// browsers apply form-action to the redirect that ends a sign-in, too.
func (p *Provider) show(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := p.pages.ExecuteTemplate(&body, name, data); err != nil {
		p.say("could not make the page %s: %v", name, err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; "+
		"form-action 'self' http://localhost:* http://127.0.0.1:*")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone: there is nobody left to tell
}

func (p *Provider) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}
