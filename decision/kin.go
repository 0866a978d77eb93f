package decision

import "chatpass/identity"

// kin are refusals that are alike. The client is empty if no such client is known: strangers must not
// make us tell apart what they invent.
type kin struct {
	verb     string
	code     identity.Code
	client   string
	standing standing
}

func kinOf(d *Decision) kin {
	like := kin{verb: d.Verb, code: d.Code, standing: d.standing()}
	if d.App != "" {
		like.client = d.Client
	}
	return like
}

// standing is how much whoever was refused had shown by then.
type standing int

const (
	stranger standing = iota // nothing, or a name that was not proven
	caller                   // the name of a public client, which anybody can send
	proven                   // a credential, a genuine token, a session or a sign-in of ours
	standings
)

// standing follows from the checks that were passed.
func (d *Decision) standing() standing {
	reached := stranger
	for _, r := range d.Ladder {
		if r.Passed {
			reached = max(reached, d.shown(r.Check))
		}
	}
	return reached
}

// shown is what whoever passes a check has shown by it. A client that is not public has authenticated.
func (d *Decision) shown(check string) standing {
	switch check {
	case About(identity.ClientUnknown).Check:
		if d.ClientType == "browser" || d.ClientType == "native" {
			return caller
		}
		return proven
	case About(identity.SignatureInvalid).Check, About(identity.NoSession).Check, About(identity.SignInExpired).Check:
		return proven
	}
	return stranger
}

// share is how much of some room those of a standing and of all lower ones may take together: a fifth for
// strangers, three fifths with the callers, all with the proven.
func (s standing) share(room int) int { return room * (1 + 2*int(s)) / 5 }
