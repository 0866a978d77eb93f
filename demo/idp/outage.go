package idp

import (
	"net/http"
	"slices"
	"time"
)

// An outage is what an operator lets the token endpoint do. Value is its button's.
type outage struct{ Value, Name, Line string }

// outages are in the order of the operator's page; the first is none.
func outages() []outage {
	return []outage{
		{"works", "Works", "the token endpoint works"},
		{"down", "Down (503)", "the token endpoint is down"},
		{"loses", "Loses its answers", "the token endpoint works, and its answers are lost on the way"},
		{"refuses", "Refuses its clients", "the token endpoint answers invalid_client to everybody"},
		{"slow", "Slow", "the token endpoint is slow"},
	}
}

// setOutage has the token endpoint do what the button says.
func (p *Provider) setOutage(w http.ResponseWriter, r *http.Request) {
	all := outages()
	i := slices.IndexFunc(all, func(o outage) bool { return o.Value == r.PostFormValue("outage") })
	if i < 0 {
		p.showProblem(w, http.StatusBadRequest, "There is no such outage.")
		return
	}
	p.memory.setOutage(all[i].Value)
	p.say("by the operator’s order %s", all[i].Line)
	http.Redirect(w, r, "/operator", http.StatusSeeOther)
}

func (m *memory) setOutage(outage string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outage = outage
}

func (m *memory) currentOutage() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outage
}

// disturb is an endpoint as the operator has ordered it.
func (p *Provider) disturb(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch p.memory.currentOutage() {
		case "down":
			http.Error(w, "down by the operator's order", http.StatusServiceUnavailable)
		case "refuses":
			writeError(w, http.StatusUnauthorized, "invalid_client", "refused by the operator's order")
		case "loses":
			next(lost{http.Header{}}, r)
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close() // it is to break
			}
		case "slow":
			timer := time.NewTimer(p.cfg.Slowness)
			defer timer.Stop()
			select {
			case <-timer.C:
				next(w, r)
			case <-r.Context().Done(): // nobody waits any more
			}
		default:
			next(w, r)
		}
	}
}

// lost is an answer that nobody gets.
type lost struct{ header http.Header }

// Header implements [http.ResponseWriter].
func (l lost) Header() http.Header { return l.header }

// Write implements [http.ResponseWriter].
func (l lost) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements [http.ResponseWriter].
func (l lost) WriteHeader(int) {}
