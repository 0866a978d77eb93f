package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// A request that was under way at SIGTERM is answered, and the program ends with exit code 0.
func TestTerminationAnswersTheRequestUnderWay(t *testing.T) {
	site, upstream := newSiteWithIssuer(t)
	service := site.serve(t)
	form := exchangeForm(shopIDToken(t, upstream, "alice"))
	form.Set("client_id", webClient)
	body := form.Encode()

	conn, err := net.Dial("tcp", strings.TrimPrefix(site.issuer, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /oauth2/token HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		strings.TrimPrefix(site.issuer, "http://"), shopOrigin, len(body))
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q, %v; want 100 Continue", line, err)
	}
	fmt.Fprint(conn, body[:len(body)/2]) // the service now waits for the rest
	service.signal(t, syscall.SIGTERM)
	eventually(t, func() error { return refusesConnections(site) })
	fmt.Fprint(conn, body[len(body)/2:])

	if _, err := answers.ReadString('\n'); err != nil { // the empty line after 100 Continue
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "access_token") {
		t.Errorf("got status %d, %s, %v", resp.StatusCode, text, err)
	}
	if code := service.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func refusesConnections(s site) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.issuer, "http://"))
	if err != nil {
		return nil
	}
	conn.Close()
	return errors.New("still accepts connections")
}

// Clients that keep asking while the service terminates lose no request. A connection that was answered
// on before is never cut, every decision the service takes is heard, and all that anybody sees is that new
// connections are refused.
func TestTerminationLosesNoRequest(t *testing.T) {
	site, upstream := newSiteWithIssuer(t, [2]string{"log: {", "limits: {contexts_per_minute_per_session: 0}\nlog: {"}) // one person calls all the time
	service := site.serve(t)
	hammer := hammer{t: t, site: site, idToken: shopIDToken(t, upstream, "alice")}
	for range 8 {
		hammer.clients.Go(hammer.run)
	}
	eventually(t, func() error {
		if n := hammer.answered.Load(); n < 200 {
			return fmt.Errorf("%d answers", n)
		}
		return nil
	})
	service.signal(t, syscall.SIGTERM)
	hammer.clients.Wait()
	if code := service.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if decided := int64(strings.Count(service.err.String(), `"msg":"exchange"`)); decided != hammer.answered.Load() {
		t.Errorf("the service decided %d requests, %d answers were heard", decided, hammer.answered.Load())
	}
}

// A hammer asks for contexts until connections are refused.
type hammer struct {
	t        *testing.T
	site     site
	idToken  string
	clients  sync.WaitGroup
	answered atomic.Int64
}

func (h *hammer) run() {
	client := &http.Client{Transport: &http.Transport{}}
	for {
		kept := false // the connection was answered on before
		form := exchangeForm(h.idToken)
		form.Set("client_id", webClient)
		req := h.site.tokenRequest(h.t, form)
		req.GetBody = nil // no second try behind our back
		req.Header.Set("Origin", shopOrigin)
		trace := httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { kept = c.Reused }}
		a, err := do(client, req.WithContext(httptrace.WithClientTrace(req.Context(), &trace)))
		switch {
		case err == nil && a.status == http.StatusOK:
			h.answered.Add(1)
		case errors.Is(err, syscall.ECONNREFUSED):
			return
		case !kept && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
			// The kernel had taken the connection, the service never did: refused, a little later.
		default:
			h.t.Errorf("lost: status %d %s, connection kept %t: %v", a.status, a.Description, kept, err)
			return
		}
	}
}

// What was acknowledged survives kill -9: sessions go on, customer ids stay, and contexts signed before
// verify against the keys served after.
func TestSessionsSurviveKill(t *testing.T) {
	site, upstream := newSiteWithIssuer(t)
	service := site.serve(t)
	type signedIn struct {
		visitor
		answer
	}
	var sessions []signedIn
	for _, person := range []string{"alice", "bob", "carol", "dave"} {
		v, session := site.signIn(t, person)
		sessions = append(sessions, signedIn{v, session})
	}
	service.kill() // the moment the last session was acknowledged

	site.serve(t)
	for _, before := range sessions {
		if verifyWithOurs(t, site, before.Context.Token) == nil {
			t.Error("a context from before does not verify")
		}
		after := before.renew(t).want(t, http.StatusOK)
		if after.Customer != before.Customer || after.Session.SID != before.Session.SID {
			t.Errorf("customer %s in session %s became %s in %s", before.Customer, before.Session.SID, after.Customer, after.Session.SID)
		}
	}
	if alice := site.asBackend(t, shopIDToken(t, upstream, "alice")).want(t, http.StatusOK); alice.Customer != sessions[0].Customer {
		t.Error("alice is a new customer after the restart")
	}
}
