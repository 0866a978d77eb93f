package decision

import "strings"

// Failed returns the rung that was not passed; false if there is none.
func (d *Decision) Failed() (Rung, bool) {
	for _, r := range d.Ladder {
		if !r.Passed {
			return r, true
		}
	}
	return Rung{}, false
}

// Borrow takes the ladder of the decision that d was counted with, if that one tells the same story. It
// reports whether it does.
func (d *Decision) Borrow(first Decision) bool {
	same := d.tellsAsMuch(first)
	if same {
		d.Ladder = first.Ladder
	}
	return same
}

// tellsAsMuch reports whether another of the same kin would be explained in the same words.
func (d *Decision) tellsAsMuch(other Decision) bool {
	mine, _ := d.Failed()
	theirs, _ := other.Failed()
	return mine == theirs && d.Customer == other.Customer && d.SID == other.SID
}

// Cause says in a sentence what a refusal probably comes from. It is made of what was measured, and of
// what its code usually comes from where that tells nothing more.
func (d *Decision) Cause() string {
	about := About(d.Code)
	failed, _ := d.Failed()
	slots := []string{
		"{measured}", failed.Measured, "{required}", failed.Required,
		"{client}", Clip(d.Client), "{app}", d.App, "{idp}", d.IDP, "{sender}", d.sender(),
	}
	for i := 0; i < len(slots); i += 2 {
		if slots[i+1] == "" && strings.Contains(about.likely, slots[i]) {
			return about.Usual
		}
	}
	if about.likely == "" {
		return about.Usual
	}
	return strings.NewReplacer(slots...).Replace(about.likely)
}

// sender is a word for who sent the token, as far as that was known.
func (d *Decision) sender() string {
	switch d.ClientType {
	case "browser":
		return "widget"
	case "native":
		return "app"
	case "backend":
		return "backend"
	}
	return "client"
}
