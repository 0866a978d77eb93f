package verify

import "time"

// A reader takes members out of a JSON object and remembers the first that is missing or unfit.
type reader struct {
	members map[string]any
	err     error
}

func (r *reader) fail(reason Reason, name string) {
	if r.err == nil {
		r.err = reject(reason, name)
	}
}

// take returns a member as a T; the zero T if it is not there. A null is a wrong type.
func take[T any](r *reader, name string) T {
	var none T
	member, ok := r.members[name]
	if !ok {
		return none
	}
	value, ok := member.(T)
	if !ok {
		r.fail(ClaimInvalid, name)
		return none
	}
	return value
}

func (r *reader) text(name string) string { return take[string](r, name) }

// need returns a string that must be there and not be empty.
func (r *reader) need(name string) string {
	if _, ok := r.members[name]; !ok {
		r.fail(ClaimMissing, name)
		return ""
	}
	value := r.text(name)
	if value == "" {
		r.fail(ClaimInvalid, name)
	}
	return value
}

func (r *reader) texts(name string) []string {
	var texts []string
	for _, element := range take[[]any](r, name) {
		text, ok := element.(string)
		if !ok {
			r.fail(ClaimInvalid, name)
			return nil
		}
		texts = append(texts, text)
	}
	return texts
}

// audience reads `aud`, a string or a list of strings (RFC 7519 §4.1.3).
func (r *reader) audience() []string {
	switch r.members["aud"].(type) {
	case string:
		return []string{r.need("aud")}
	case nil:
		r.fail(ClaimMissing, "aud")
		return nil
	}
	audience := r.texts("aud")
	if len(audience) == 0 {
		r.fail(ClaimInvalid, "aud")
	}
	return audience
}

func (r *reader) needInstant(name string) time.Time {
	if _, ok := r.members[name]; !ok {
		r.fail(ClaimMissing, name)
	}
	return r.instant(name)
}

// maxInstant is the end of the year 9999, in seconds.
const maxInstant = 253402300799

// instant reads a NumericDate (RFC 7519 §2), fractions allowed; the zero time if it is not there.
func (r *reader) instant(name string) time.Time {
	seconds := take[float64](r, name)
	if seconds < 0 || seconds > maxInstant {
		r.fail(ClaimInvalid, name)
	}
	if _, ok := r.members[name]; !ok || r.err != nil {
		return time.Time{}
	}
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*float64(time.Second)))
}

// object returns a reader of a member that is an object. Its faults must be taken over with [reader.adopt].
func (r *reader) object(name string) reader {
	return reader{members: take[map[string]any](r, name)}
}

func (r *reader) adopt(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) chat() Chat {
	if _, ok := r.members["chat"]; !ok {
		r.fail(ClaimMissing, "chat")
		return Chat{}
	}
	in := r.object("chat")
	version := take[float64](&in, "ver")
	if r.err == nil && in.err == nil && version != 1 {
		r.err = rejectf(ChatVersion, "%v, not 1", version)
		return Chat{}
	}
	chat := Chat{Version: 1, App: in.need("app"), Origin: in.text("origin"), Conversation: in.text("conversation")}
	r.adopt(in.err)
	return chat
}

// actor reads `act`, nested at most depth deep.
func (r *reader) actor(depth int) *Actor {
	if _, ok := r.members["act"]; !ok {
		return nil
	}
	if depth == 0 {
		r.fail(ClaimInvalid, "act")
		return nil
	}
	in := r.object("act")
	actor := &Actor{Issuer: in.text("iss"), Subject: in.text("sub"), ClientID: in.text("client_id"), Actor: in.actor(depth - 1)}
	if actor.Subject == "" && actor.ClientID == "" {
		r.fail(ClaimInvalid, "act")
	}
	r.adopt(in.err)
	return actor
}
