package shop

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxLine  = 500
	maxToken = 16 << 10
	maxName  = 128
)

// vendor is the chat vendor's server: it holds the conversations and forwards contexts to the account
// API. All its calls are POST, JSON in and out.
type vendor struct {
	accounts *accounts
	memory   *conversations
}

func newVendor(cfg Config) http.Handler {
	v := &vendor{accounts: newAccounts(cfg.AccountAPI, cfg.Log), memory: newConversations(cfg.NewID)}
	mux := http.NewServeMux()
	mux.Handle("POST /vendor/load", answering(v.load))
	mux.Handle("POST /vendor/open", answering(v.open))
	mux.Handle("POST /vendor/authenticate", answering(v.authenticate))
	mux.Handle("POST /vendor/message", answering(v.message))
	mux.Handle("POST /vendor/clear", answering(v.clear))
	return mux
}

// request is what the widget sends with every call.
type request struct {
	Session    string `json:"session"`
	CustomerID string `json:"customerId"`
	AppID      string `json:"appId"`
	// Context is the page's answer to ContextProvider; only Auth.Token is read here.
	Context struct {
		Auth struct {
			Token string `json:"Token"`
		} `json:"Auth"`
	} `json:"context"`
	// Text is what the customer says. Resume asks to go on with what waits for a sign-in instead.
	Text   string `json:"text"`
	Resume bool   `json:"resume"`
}

// reply is what the widget gets.
type reply struct {
	// Show tells whether the chat shows at all; only load says so.
	Show    bool   `json:"show,omitempty"`
	Session string `json:"session"`
	// Error is "token_expired" (ask the page for a new context) or "invalid_auth" (do not).
	Error string `json:"error,omitempty"`
	// SignIn: the next step needs a customer who is signed in. Pending: a question waits for that.
	SignIn  bool `json:"signIn"`
	Pending bool `json:"pending"`
	// History replaces all that the widget shows; Append is added to it.
	History []message `json:"history,omitempty"`
	Append  []message `json:"append,omitempty"`
	// Issue is the question under way, Settled tells that it is done, Live that an agent is there.
	Issue    int  `json:"issueId"`
	Settled  bool `json:"settled"`
	Live     bool `json:"live"`
	Customer int  `json:"customerNumber"`
}

// answering reads a request, lets handle answer it and writes the reply.
func answering(handle func(http.ResponseWriter, *http.Request, request) (reply, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, problem := read(r)
		if problem != "" {
			http.Error(w, problem, http.StatusBadRequest)
			return
		}
		body, err := handle(w, r, req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(body) // the browser has gone: there is nobody left to tell
	})
}

// read takes a request apart; the problem is for whoever wrote the widget.
func read(r *http.Request) (req request, problem string) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return req, "the body must be application/json"
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return req, "the body must be a JSON object of at most 64 KiB"
	}
	req.Text = strings.TrimSpace(req.Text)
	switch {
	case utf8.RuneCountInString(req.Text) > maxLine:
		return req, "text is too long"
	case len(req.Context.Auth.Token) > maxToken || strings.ContainsAny(req.Context.Auth.Token, " \r\n\t"):
		return req, "Auth.Token is no token"
	case len(req.Session) > maxName || len(req.CustomerID) > maxName || len(req.AppID) > maxName:
		return req, "session, customerId or appId is too long"
	}
	return req, ""
}

// load tells whether the chat shows; this vendor is always open.
func (v *vendor) load(_ http.ResponseWriter, _ *http.Request, req request) (reply, error) {
	return reply{Show: req.AppID != ""}, nil
}

// open begins or goes on with a conversation. Its history is shown here only while it is nobody's: a
// customer's takes authenticate.
func (v *vendor) open(_ http.ResponseWriter, _ *http.Request, req request) (reply, error) {
	return v.within(req, func(s *vendorSession, answer *reply) {
		if s.customer == "" {
			answer.History = slices.Clone(s.talk.messages)
		}
	})
}

// authenticate confirms with the account API who the customer is.
func (v *vendor) authenticate(w http.ResponseWriter, r *http.Request, req request) (reply, error) {
	found, worth := v.ask(w, r, "/customer", req)
	return v.within(req, func(s *vendorSession, answer *reply) {
		if worth != accepted {
			answer.refuse(worth, s.talk)
			return
		}
		v.memory.confirm(s, req.CustomerID)
		answer.History = slices.Clone(s.talk.messages)
		if found.Name != "" && len(s.talk.messages) == 1 { // nothing was said yet
			answer.say(s.talk, bot("Welcome, "+found.Name+"!", greeting().Replies...))
		}
	})
}

// message answers a line, or goes on with the question that waits for a sign-in.
func (v *vendor) message(w http.ResponseWriter, r *http.Request, req request) (reply, error) {
	heard, err := v.within(req, func(s *vendorSession, answer *reply) {
		if req.Text != "" && !req.Resume {
			v.memory.hear(s.talk, req.Text)
			answer.smallTalk(s.talk, topicOf(req.Text))
		}
	})
	if err != nil || !heard.Pending {
		return heard, err
	}
	req.Session = heard.Session
	found, worth := v.ask(w, r, "/balance", req)
	return v.within(req, func(s *vendorSession, answer *reply) {
		answer.Append = heard.Append
		if worth != accepted {
			answer.refuse(worth, s.talk)
			return
		}
		v.memory.confirm(s, req.CustomerID)
		if s.talk.pending { // nobody else has told it meanwhile
			s.talk.pending, s.talk.settled = false, !s.talk.live
			answer.say(s.talk, s.talk.tellBalance(found))
		}
	})
}

// ask forwards the context to the account API. One of somebody else than the page's customer is not
// accepted.
func (v *vendor) ask(w http.ResponseWriter, r *http.Request, path string, req request) (account, verdict) {
	token := req.Context.Auth.Token
	if token == "" || req.CustomerID == "" {
		return account{}, absent
	}
	found, worth, made := v.accounts.ask(r.Context(), path, token)
	w.Header().Set("Server-Timing", made.serverTiming())
	if worth == accepted && found.Customer != req.CustomerID {
		return account{}, invalid
	}
	return found, worth
}

// within runs do with the widget's session while nobody else is at it, and completes the reply.
func (v *vendor) within(req request, do func(*vendorSession, *reply)) (reply, error) {
	v.memory.mu.Lock()
	defer v.memory.mu.Unlock()
	s, err := v.memory.find(req.Session, req.CustomerID)
	if err != nil {
		return reply{}, err
	}
	var answer reply
	do(s, &answer)
	answer.Session, answer.Pending = s.id, s.talk.pending
	answer.Issue, answer.Settled, answer.Live, answer.Customer = s.talk.issue, s.talk.settled, s.talk.live, s.talk.number
	return answer, nil
}

// clear forgets a widget's session. A customer's conversation stays theirs.
func (v *vendor) clear(_ http.ResponseWriter, _ *http.Request, req request) (reply, error) {
	v.memory.mu.Lock()
	defer v.memory.mu.Unlock()
	delete(v.memory.sessions, req.Session)
	return reply{}, nil
}

// say adds a line to the conversation and to what the widget gets.
func (a *reply) say(t *conversation, m message) {
	t.add(m)
	a.Append = append(a.Append, m)
}

// smallTalk answers whatever is not about the account.
func (a *reply) smallTalk(t *conversation, about topic) {
	if about == balance {
		return
	}
	said, done := t.smallTalk(about)
	t.settled = done
	a.say(t, said)
}

// refuse says what a context that was not accepted means for the widget. It asks to sign in only where
// that helps.
func (a *reply) refuse(worth verdict, t *conversation) {
	switch {
	case worth == expired:
		a.Error = "token_expired"
	case worth == unavailable && t.pending:
		t.pending = false
		a.say(t, bot("I cannot reach your account at the moment. Please ask again in a minute.", balanceQuestion))
	case worth == invalid:
		a.Error = "invalid_auth"
		a.askToSignIn(t)
	case worth == absent && t.pending:
		a.SignIn = true
		a.askToSignIn(t)
	}
}

// askToSignIn says why there is a button, once in a row.
func (a *reply) askToSignIn(t *conversation) {
	m := bot("I need to know who you are for that. Please sign in, and I will go on.")
	if t.pending && t.messages[len(t.messages)-1].Text != m.Text {
		a.say(t, m)
	}
}
