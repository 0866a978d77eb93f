package idp

import (
	"net/http"
	"time"
)

// operatorPage is what the operator sees.
type operatorPage struct {
	People []personRow
	Keys   []keyRow
	Notes  []note
	// Outages are the buttons for the token endpoint.
	Outages []outageRow
}

// outageRow is a button. Now says that it is so at present.
type outageRow struct {
	outage
	Now bool
}

type personRow struct {
	person
	Sessions int
	Disabled bool
}

// keyRow is a published key. Left is how many seconds a key that signs no more stays published.
type keyRow struct {
	KID   string
	Signs bool
	Left  int
}

// operator shows who is signed in, the keys and what happened.
func (p *Provider) operator(w http.ResponseWriter, _ *http.Request) {
	page := operatorPage{Notes: p.memory.latest()}
	for _, who := range people() {
		page.People = append(page.People, personRow{who, p.memory.sessionsOf(who.Sub), p.memory.isDisabled(who.Sub)})
	}
	for i, key := range p.keys.published() {
		row := keyRow{KID: key.KeyID, Signs: i == 0}
		if !row.Signs {
			row.Left = int(key.gone.Sub(p.cfg.Now()) / time.Second)
		}
		page.Keys = append(page.Keys, row)
	}
	for i, o := range outages() {
		now := p.memory.currentOutage()
		page.Outages = append(page.Outages, outageRow{o, o.Value == now || i == 0 && now == ""})
	}
	p.show(w, http.StatusOK, "operator.html", page)
}

// operate is a button of the operator's page. When it has answered, the clients have been told.
func (p *Provider) operate(w http.ResponseWriter, r *http.Request) {
	who, known := personBy(r.PostFormValue("person"))
	action := r.PathValue("action")
	switch {
	case action == "rotate":
		p.rotateKeys(w, r)
		return
	case action == "outage":
		p.setOutage(w, r)
		return
	case !known:
		p.showProblem(w, http.StatusBadRequest, "There is no such person.")
		return
	case action == "end":
		p.say("the operator ends %s’s session", who.Name)
		p.endSessions(r.Context(), func(s session) bool { return s.sub == who.Sub })
	case action == "disable":
		p.memory.setDisabled(who.Sub, true)
		p.say("the operator disabled %s", who.Name)
		p.endSessions(r.Context(), func(s session) bool { return s.sub == who.Sub })
	case action == "enable":
		p.memory.setDisabled(who.Sub, false)
		p.say("the operator enabled %s", who.Name)
	default:
		p.showProblem(w, http.StatusNotFound, "There is no such button.")
		return
	}
	http.Redirect(w, r, "/operator", http.StatusSeeOther)
}

func (p *Provider) rotateKeys(w http.ResponseWriter, r *http.Request) {
	kid, err := p.keys.rotate()
	if err != nil {
		p.say("could not rotate keys: %v", err)
		p.showProblem(w, http.StatusInternalServerError, "The keys could not be rotated.")
		return
	}
	p.say("the operator rotated the keys: %s signs now", kid)
	http.Redirect(w, r, "/operator", http.StatusSeeOther)
}
