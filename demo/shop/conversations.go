package shop

import (
	"errors"
	"sync"
)

const (
	maxSessions = 10000
	maxMessages = 200
)

// conversations is the chat vendor's memory. Anonymous people have a conversation for each session of
// the widget; known customers have one, wherever they come from.
type conversations struct {
	newID func() string

	mu        sync.Mutex
	sessions  map[string]*vendorSession
	customers map[string]*conversation
	issues    int
}

// vendorSession is a widget's session. Its customer is empty until the account API has confirmed who
// they are: what a page says about that is not believed.
type vendorSession struct {
	id, customer string
	talk         *conversation
}

// conversation is what was said, and what is still to be done.
type conversation struct {
	number   int // the vendor's own id of the customer
	issue    int // the question under way, or the last one
	settled  bool
	live     bool
	pending  bool // the balance was asked for and not yet told
	messages []message
}

var errFull = errors.New("too many conversations")

func newConversations(newID func() string) *conversations {
	return &conversations{newID: newID, sessions: map[string]*vendorSession{}, customers: map[string]*conversation{}}
}

// find returns the widget's session, or begins one. A session of a known customer is only for a page
// that names that customer: whoever comes after them at the same computer gets another.
func (c *conversations) find(id, customer string) (*vendorSession, error) {
	if s, ok := c.sessions[id]; ok && (s.customer == "" || s.customer == customer) {
		return s, nil
	}
	if len(c.sessions) >= maxSessions {
		return nil, errFull
	}
	s := &vendorSession{id: c.newID(), talk: c.begin()}
	c.sessions[s.id] = s
	return s, nil
}

// begin starts a conversation with its first question open.
func (c *conversations) begin() *conversation {
	c.issues++
	return &conversation{number: c.issues, issue: c.issues, messages: []message{greeting()}}
}

// confirm makes the session that of a customer. What it said anonymously is merged into the customer's
// conversation.
func (c *conversations) confirm(s *vendorSession, customer string) {
	if s.customer != "" {
		return // the customer's already: find gives it to nobody else
	}
	if talk, known := c.customers[customer]; known {
		if s.talk.said() {
			talk.messages = append(talk.messages, s.talk.messages...)
			talk.pending = talk.pending || s.talk.pending
		}
		s.talk = talk
	}
	c.customers[customer], s.customer = s.talk, customer
}

// said tells whether the customer has said anything.
func (t *conversation) said() bool {
	for _, m := range t.messages {
		if m.From == "customer" {
			return true
		}
	}
	return false
}

// add keeps what was said.
func (t *conversation) add(m message) {
	t.messages = append(t.messages, m)
	t.messages = t.messages[max(0, len(t.messages)-maxMessages):]
}

// hear takes a customer's line: a question after a settled one is a new issue.
func (c *conversations) hear(t *conversation, line string) {
	if t.settled {
		c.issues++
		t.issue, t.settled = c.issues, false
	}
	t.add(message{From: "customer", Text: line})
	t.pending = t.pending || topicOf(line) == balance
}
