package server

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"html/template"
	"net/http"
	"strconv"

	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/session"
)

// pages are the few pages that people see of us, in the language of their browser.
type pages struct {
	template   *template.Template
	dictionary dictionary
}

func newPages() (*pages, error) {
	parsed, err := template.ParseFS(pageFiles, "pages/page.html")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	d, err := newDictionary()
	return &pages{parsed, d}, err
}

// A page is what one of them shows.
type page struct {
	status int
	Nonce  string
	Words  *words
	Text   text
	// Detail helps whoever is asked for help, in English: a code with what is wrong, and the decision that
	// `chatpass explain` finds.
	Detail string
	// Retry is a link of ours that tries again; empty for none.
	Retry string
	// wait is the Retry-After of a problem that passes, in seconds; 0 for none.
	wait int
	// Tell, if set, is posted to the window that opened this one, which must be of origin Target.
	Tell   *popupMessage
	Target string
	// Relay is a page of the app's that tells it instead if the window has lost the one that opened it. Lost is what
	// the person is told if there is no such page either.
	Relay string
	Lost  *page
	// Close: there is nothing left to read here.
	Close bool
	Good  bool
	// Choices are links of which a person chooses one.
	Choices []choice
	// framed: pages of others may hold it in a frame, since there is nothing in it to click on.
	framed bool
}

// popupMessage is what the SDK hears from a sign-in window. What it announces can be claimed only by the page
// that started, in the browser that finished; across sites the code shows that it is that browser.
type popupMessage struct {
	V     int    `json:"v"`
	Type  string `json:"type"`
	Txn   string `json:"txn"`
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}

// popup is the end of a sign-in window's trip to the issuer.
func (p *pages) popup(r *http.Request, t session.Transaction, end ending) page {
	w := p.dictionary.read(r)
	shown := page{status: http.StatusOK, Words: w, Text: w.SignedIn, Good: end.Error == "", Close: true}
	switch {
	case end.Error != "":
		shown.Text = w.NotSignedIn
	case end.Code != "" && t.Relay != "":
		shown.Relay = end.at(t.Relay, t.Txn)
	case end.Code != "":
		shown.Lost = &page{Words: w, Text: w.Lost, Detail: "the page that opened this window cannot hear it (Cross-Origin-Opener-Policy): give the SDK a returnTo"}
	}
	return shown.tell(t, end)
}

// A choice is a link to an issuer that the person may sign in with.
type choice struct{ Label, URL string }

// chooser asks which issuer the person wants to sign in with.
func (p *pages) chooser(r *http.Request, choices []choice) page {
	w := p.dictionary.read(r)
	return page{status: http.StatusOK, Words: w, Text: w.Choose, Good: true, Choices: choices}
}

// problem is for a sign-in that cannot go on.
func (p *pages) problem(r *http.Request, f fault) page {
	w := p.dictionary.read(r)
	end := page{status: f.status, Words: w, Text: w.Failed, Detail: f.detail()}
	switch {
	case f.status >= http.StatusInternalServerError:
		end.Text = w.Unavailable
	case f.code == identity.SignInExpired:
		end.Text = w.Expired
	}
	return end
}

// stayedIn is for a sign-out that cannot go on to the issuer.
func (p *pages) stayedIn(r *http.Request, f fault) page {
	end := p.problem(r, f)
	end.Text = end.Words.SignOutFailed
	if f.status >= http.StatusInternalServerError {
		end = end.again(r)
	}
	return end
}

// detail is the line that a person passes on. It tells nobody more than the JSON of the same fault.
func (f fault) detail() string {
	description := f.description
	if description == "" {
		description = exchange.Lookup(f.code).Description
	}
	return string(f.code) + ", " + description + ", decision " + f.decision
}

// again offers to ask once more, which is safe as often as one likes.
func (p page) again(r *http.Request) page {
	p.Retry = r.URL.RequestURI()
	return p
}

// tell lets the page that opened the window know what this sign-in came to.
func (p page) tell(t session.Transaction, end ending) page {
	p.Tell = &popupMessage{V: 1, Type: "chatpass.login", Txn: t.Txn, Error: end.Error, Code: end.Code}
	p.Target = t.PageOrigin
	return p
}

// signedOut is the end of a sign-out that leads nowhere else.
func (p *pages) signedOut(r *http.Request) page {
	w := p.dictionary.read(r)
	return page{status: http.StatusOK, Words: w, Text: w.SignedOut, Good: true}
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
	h.Set("Content-Language", shown.Words.Language)
	ancestors := "'none'"
	if shown.framed {
		ancestors = "*"
	} else {
		h.Set("X-Frame-Options", "DENY")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+shown.Nonce+"'; style-src 'nonce-"+shown.Nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors "+ancestors)
	if shown.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(shown.wait))
	}
	w.WriteHeader(shown.status)
	_, _ = w.Write(body.Bytes()) // the browser has gone: there is nobody left to tell
}
