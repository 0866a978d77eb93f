package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A fleet is an installation with three replicas: processes of one configuration over one database. Its
// issuer URL leads to a door that sends each request to the next replica.
type fleet struct {
	site
	*door
	upstream string
	replicas [3]*replica
}

// A replica is one process of a fleet, asked directly.
type replica struct {
	site
	*process
}

// newFleet starts a fleet and its identity provider. All replicas start at once, on an empty database. What
// is to be in their configuration besides is added by more.
func newFleet(t testing.TB, more ...func(site)) *fleet {
	t.Helper()
	address := freeAddress(t)
	f := &fleet{upstream: urlOf(address), door: openDoor(t)}
	f.site = newSite(t, f.upstream, [2]string{"log: {", "limits: {contexts_per_minute_per_session: 0} # the tests ask often\nlog: {"})
	f.edit(t, "issuer: "+f.issuer, "issuer: "+f.url)
	f.issuer, f.at = f.url, f.url
	for _, add := range more {
		add(f.site)
	}
	startIssuer(t, port(t, f.upstream), f.upstreamClient())
	for i := range f.replicas {
		f.replicas[i] = &replica{site: f.another(t)}
		f.lead(i, f.replicas[i].at)
		f.replicas[i].start(t)
	}
	for _, r := range f.replicas {
		r.ready(t, r.process)
	}
	return f
}

// upstreamClient has the issuer name persons and not sessions in its logout tokens.
func (f *fleet) upstreamClient() map[string]any {
	client := f.site.upstreamClient()
	client["backchannel_logout_session_required"] = false
	return refreshing(client)
}

// another is the same site with listeners of its own.
func (f *fleet) another(t testing.TB) site {
	t.Helper()
	listen, s := freeAddress(t), f.site
	s.dir, s.admin, s.at = t.TempDir(), freeAddress(t), urlOf(listen)
	s.write(t, string(read(t, f.config())))
	s.edit(t, "\nlisten: ", "\nlisten: "+listen+" # ")
	s.edit(t, "\nadmin_listen: ", "\nadmin_listen: "+s.admin+" # ")
	return s
}

func (r *replica) start(t testing.TB) {
	t.Helper()
	r.process = start(t, command("serve", "-c", r.config()))
}

// others are the replicas but the i-th.
func (f *fleet) others(i int) []*replica {
	return []*replica{f.replicas[(i+1)%3], f.replicas[(i+2)%3]}
}

// each asks all replicas at the same time, and returns what they say in their order.
func (f *fleet) each(what func(*replica) answer) []answer {
	return race(len(f.replicas), func(i int) answer { return what(f.replicas[i]) })
}

// race lets n racers go at the same time, and returns what they were told.
func race(n int, what func(i int) answer) []answer {
	answers, flag := make([]answer, n), make(chan struct{})
	var racers sync.WaitGroup
	for i := range n {
		racers.Go(func() {
			<-flag
			answers[i] = what(i)
		})
	}
	close(flag)
	racers.Wait()
	return answers
}

// before is the visitor at another replica.
func (v visitor) before(r *replica) visitor { return visitor{v.browser, r.site} }

// held is the visitor with the cookies of this moment, whatever answers say: nobody needs to obey them.
func (v visitor) held(t testing.TB) visitor {
	t.Helper()
	u, err := url.Parse(v.site.at)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{&browser{http.Client{Jar: heldJar(v.Jar.Cookies(u))}}, v.site}
}

type heldJar []*http.Cookie

func (heldJar) SetCookies(*url.URL, []*http.Cookie) {}
func (h heldJar) Cookies(*url.URL) []*http.Cookie   { return h }

// A door stands before the replicas. Logout tokens do not pass: tests deliver them where they like.
type door struct {
	url    string
	behind [3]atomic.Pointer[url.URL]
	turn   atomic.Int64 // whose the next request is
	tokens chan string
}

func openDoor(t testing.TB) *door {
	t.Helper()
	d := &door{tokens: make(chan string, 100)}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		turn := int(d.turn.Add(1)-1) % len(d.behind)
		r.SetURL(d.behind[turn].Load())
		r.Out.Host = r.In.Host
	}}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("POST /v1/backchannel-logout/corp", func(_ http.ResponseWriter, r *http.Request) {
		d.tokens <- r.FormValue("logout_token")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	d.url = urlOf(strings.TrimPrefix(server.URL, "http://"))
	return d
}

// lead makes the door lead to an address in the i-th turn.
func (d *door) lead(i int, to string) {
	u, _ := url.Parse(to) // of our own making
	d.behind[i].Store(u)
}

// logoutToken signs the visitor's person out at the issuer, and returns the logout token that it sends.
func (f *fleet) logoutToken(t testing.TB, v visitor) string {
	t.Helper()
	v.signOut(t, f.upstream)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case token := <-f.tokens:
		return token
	case <-ctx.Done():
		t.Fatal("the issuer sent no logout token")
		return ""
	}
}

// logout delivers a logout token.
func (r *replica) logout(t testing.TB, token string) answer {
	t.Helper()
	return r.ask(t, r.formRequest(t, "/v1/backchannel-logout/corp", url.Values{"logout_token": {token}}))
}
