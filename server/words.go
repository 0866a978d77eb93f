package server

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"

	"golang.org/x/text/language"
)

//go:embed pages
var pageFiles embed.FS

// maxAcceptLanguage bounds what is read of a browser's wishes, in bytes; it sends some dozens.
const maxAcceptLanguage = 256

// A text is what a page says in one language.
type text struct {
	Title   string `json:"title"`
	Message string `json:"message"`
}

// words are all that pages say in one language.
type words struct {
	Language      string `json:"-"` // BCP 47
	Choose        text   `json:"choose"`
	SignedIn      text   `json:"signed_in"`
	NotSignedIn   text   `json:"not_signed_in"`
	Expired       text   `json:"expired"`
	Failed        text   `json:"failed"`
	Unavailable   text   `json:"unavailable"`
	SignedOut     text   `json:"signed_out"`
	SignOutFailed text   `json:"sign_out_failed"`
	Lost          text   `json:"lost"`
	TryAgain      string `json:"try_again"`
	Support       string `json:"support"`
}

// A dictionary has the words of every language that we speak. The first is for those who read none.
type dictionary struct {
	all     []words
	matcher language.Matcher
}

func newDictionary() (dictionary, error) {
	var d dictionary
	var tags []language.Tag
	for _, name := range []string{"en", "de", "fr", "es", "ja"} {
		source, err := pageFiles.ReadFile("pages/" + name + ".json")
		if err != nil {
			return dictionary{}, fmt.Errorf("read words: %w", err)
		}
		in := words{Language: name}
		if err := json.Unmarshal(source, &in); err != nil {
			return dictionary{}, fmt.Errorf("read words %s: %w", name, err)
		}
		d.all = append(d.all, in)
		tags = append(tags, language.Make(name))
	}
	d.matcher = language.NewMatcher(tags)
	return d, nil
}

// read returns the words that the browser's person likes best (RFC 9110 §12.5.4).
func (d dictionary) read(r *http.Request) *words {
	wished := r.Header.Get("Accept-Language")
	if len(wished) > maxAcceptLanguage {
		wished = ""
	}
	_, best := language.MatchStrings(d.matcher, wished)
	return &d.all[best]
}
