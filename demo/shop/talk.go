package shop

import (
	"fmt"
	"strings"
)

// message is one line of a conversation.
type message struct {
	// From is "customer", "bot" or "agent".
	From string `json:"from"`
	Text string `json:"text"`
	// Replies are offered to press instead of typing.
	Replies []string `json:"replies,omitempty"`
}

const (
	balanceQuestion = "What is my balance?"
	orderQuestion   = "When will my order arrive?"
	personQuestion  = "Talk to a person"
	goodbye         = "Goodbye"
)

func bot(text string, replies ...string) message {
	return message{From: "bot", Text: text, Replies: replies}
}

func greeting() message {
	return bot("Hello! I am the shop’s assistant. What can I do for you?", balanceQuestion, orderQuestion, personQuestion)
}

// topic is what a customer's line is about.
type topic int

const (
	other topic = iota
	balance
	order
	hours
	toPerson
	farewell
)

// topicOf reads a line as small chat bots do.
func topicOf(line string) topic {
	line = strings.ToLower(line)
	for _, t := range []struct {
		topic topic
		words []string
	}{
		{balance, []string{"balance", "money", "how much do i have"}},
		{order, []string{"order", "delivery", "parcel", "arrive"}},
		{hours, []string{"hours", "when are you open"}},
		{toPerson, []string{"person", "human", "agent"}},
		{farewell, []string{"goodbye", "bye", "thank"}},
	} {
		for _, word := range t.words {
			if strings.Contains(line, word) {
				return t.topic
			}
		}
	}
	return other
}

// smallTalk answers what needs no account. done tells that the question is settled.
func (c *conversation) smallTalk(about topic) (answer message, done bool) {
	switch {
	case about == toPerson && !c.live:
		c.live = true
		return message{From: "agent", Text: "Hi, this is Robin. To be honest: I am part of the demo, nobody sits here. Ask me for a balance, or say goodbye.", Replies: []string{balanceQuestion, goodbye}}, false
	case c.live && about == farewell:
		c.live = false
		return message{From: "agent", Text: "Goodbye! I leave you to the assistant.", Replies: []string{balanceQuestion, orderQuestion}}, true
	case c.live:
		return message{From: "agent", Text: "I see. A person would know what to say to that.", Replies: []string{balanceQuestion, goodbye}}, false
	case about == order:
		return bot("Orders leave our workshop within two days and are with you within a week.", balanceQuestion, personQuestion), true
	case about == hours:
		return bot("The workshop is open from Tuesday to Saturday, 10 to 18.", balanceQuestion, orderQuestion), true
	case about == farewell:
		return bot("You are welcome. Come back any time!"), true
	}
	return bot("I am a small demo and know only a few things. Try one of these.", balanceQuestion, orderQuestion, personQuestion), false
}

// tellBalance is the answer that needs a signed-in customer.
func (c *conversation) tellBalance(a account) message {
	text := fmt.Sprintf("Your balance is %s %d.%02d.", a.Currency, a.Cents/100, a.Cents%100)
	if a.Name != "" {
		text = fmt.Sprintf("%s, your balance is %s %d.%02d.", a.Name, a.Currency, a.Cents/100, a.Cents%100)
	}
	if a.Tier == "gold" {
		text += " Thank you for being a gold customer!"
	}
	said := bot(text, balanceQuestion, orderQuestion, personQuestion)
	if c.live {
		said.From, said.Replies = "agent", []string{balanceQuestion, goodbye}
	}
	return said
}
