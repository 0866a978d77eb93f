package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"chatpass/config"
	"chatpass/decision"
	"chatpass/demo/account"
	"chatpass/demo/idp"
	"chatpass/demo/shop"
	"chatpass/exchange"
	"chatpass/seal"
)

// The demo's parts, and the ports they have unless told otherwise.
const (
	servicePort, idpPort, shopPort = 8080, 9000, 3000

	demoAudience = "https://account.demo.example"
	demoSecret   = "known to everybody: this is a demo" //nolint:gosec // as it says
)

//go:embed demo.yaml
var demoConfig string

func demoCommand(to streams) *cobra.Command {
	var port int
	var dir string
	cmd := &cobra.Command{
		Use: "demo", Short: "Show everything on this computer: identity provider, service, shop with a chat, account API", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), to.out, port, dir) },
	}
	cmd.Flags().IntVar(&port, "port", servicePort, "port of the service; 0 takes free ports for all parts")
	cmd.Flags().StringVar(&dir, "data", "", "keep state in this folder (default: a temporary one)")
	return cmd
}

// A stage is where the demo's parts listen.
type stage struct {
	service, idp, shop, account net.Listener
}

func (s stage) all() []net.Listener { return []net.Listener{s.service, s.idp, s.shop, s.account} }

// openStage opens every listener, or none. Port 0 is a free one.
func openStage(port int) (stage, error) {
	ports := []int{port, idpPort, shopPort, 0}
	if port == 0 {
		ports = []int{0, 0, 0, 0}
	}
	var open []net.Listener
	for _, p := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err == nil {
			open = append(open, listener)
			continue
		}
		for _, o := range open {
			err = errors.Join(err, o.Close())
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return stage{}, fmt.Errorf("port %d is taken by another program: stop it, or run `chatpass demo --port 0`, which takes free ports", p)
		}
		return stage{}, fmt.Errorf("open port %d: %w", p, err)
	}
	return stage{open[0], open[1], open[2], open[3]}, nil
}

// urlOf is where a browser finds a listener. All parts share the host localhost, so that the shop and
// the service are of one site, as they would be in a company.
func urlOf(l net.Listener) string {
	return "http://localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// demo runs everything until ctx ends.
func demo(ctx context.Context, out io.Writer, port int, dir string) error {
	on, err := openStage(port)
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range on.all() {
			_ = l.Close() // closed by its server already, except when something before failed
		}
	}()
	if dir == "" {
		if dir, err = os.MkdirTemp("", "chatpass-demo-"); err != nil {
			return fmt.Errorf("make a folder for the demo's state: %w", err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // temporary
	}
	p, err := prepareDemo(dir, on)
	if err != nil {
		return err
	}
	say := &speaker{out: out}
	parts, err := demoParts(on, say)
	if err != nil {
		return err
	}
	say.welcome(on, dir)
	return runDemo(ctx, p, on, parts, say)
}

// prepareDemo writes master key and configuration, and reads them as `chatpass serve` would.
func prepareDemo(dir string, on stage) (plans, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return plans{}, fmt.Errorf("make the demo's folder: %w", err)
	}
	master := filepath.Join(dir, "master.json")
	if _, err := os.Stat(master); errors.Is(err, os.ErrNotExist) {
		key, err := seal.NewMasterKey()
		if err != nil {
			return plans{}, err
		}
		if err := writeNew(master, key); err != nil {
			return plans{}, err
		}
	}
	parsed, err := template.New("demo.yaml").Parse(demoConfig)
	if err != nil {
		return plans{}, fmt.Errorf("parse the demo's configuration: %w", err)
	}
	var text strings.Builder
	err = parsed.Execute(&text, map[string]string{
		"Service": urlOf(on.service), "Listen": on.service.Addr().String(), "IDP": urlOf(on.idp), "Shop": urlOf(on.shop),
		"Dir": dir, "Audience": demoAudience,
	})
	if err != nil {
		return plans{}, fmt.Errorf("write the demo's configuration: %w", err)
	}
	path := filepath.Join(dir, "chatpass.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return plans{}, fmt.Errorf("write the demo's configuration: %w", err)
	}
	cfg, err := config.Read(path, func(name string) (string, bool) { return demoSecret, name == "DEMO_SECRET" })
	if err != nil {
		return plans{}, err
	}
	p, faults := plan(cfg)
	if len(faults) > 0 {
		return plans{}, faults
	}
	return p, nil
}

// demoParts builds what stands around the service. They know it by its URL alone.
func demoParts(on stage, say *speaker) ([]listening, error) {
	service := urlOf(on.service)
	provider, err := idp.New(idp.Config{
		Issuer: urlOf(on.idp), Log: say.as("identity provider"),
		Clients: []idp.Client{{
			ID: "chatpass", Secret: demoSecret, RedirectURIs: []string{service + "/v1/login/callback/demo"},
			PostLogoutURIs: []string{service + "/v1/logout/callback"}, BackchannelLogoutURI: service + "/v1/backchannel-logout/demo",
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("build identity provider: %w", err)
	}
	accounts, err := account.New(service, demoAudience)
	if err != nil {
		return nil, fmt.Errorf("build account API: %w", err)
	}
	page, err := shop.New(shop.Config{
		Service: service, ClientID: "shop-web", Operator: urlOf(on.idp) + "/operator", AccountAPI: urlOf(on.account), Log: say.as("shop"),
	})
	if err != nil {
		return nil, fmt.Errorf("build shop: %w", err)
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	return []listening{
		{&http.Server{Handler: provider, ReadHeaderTimeout: readTime, ErrorLog: quiet}, on.idp},
		{&http.Server{Handler: page, ReadHeaderTimeout: readTime, ErrorLog: quiet}, on.shop},
		{&http.Server{Handler: accounts, ReadHeaderTimeout: readTime, ErrorLog: quiet}, on.account},
	}, nil
}

// runDemo serves all parts. One that fails ends the others.
func runDemo(ctx context.Context, p plans, on stage, parts []listening, say *speaker) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 2)
	go func() {
		defer stop()
		failed <- serve(ctx, p, service{log: slog.New(slog.NewTextHandler(say.plain("service"), &slog.HandlerOptions{Level: slog.LevelWarn})), public: on.service, told: say.decision})
	}()
	go func() {
		defer stop()
		failed <- serveAll(ctx, parts, func() {})
	}()
	err := errors.Join(<-failed, <-failed)
	say.line("", "stopped")
	return err
}

// A speaker tells on one output, line by line, what happens in the demo.
type speaker struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *speaker) line(who, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s  %-17s  %s\n", time.Now().Format(time.TimeOnly), who, text)
}

func (s *speaker) as(who string) func(string) {
	return func(text string) { s.line(who, text) }
}

// plain is a writer whose every write is a line.
func (s *speaker) plain(who string) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		s.line(who, strings.TrimSpace(string(b)))
		return len(b), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// decision tells an evaluated request in plain words.
func (s *speaker) decision(d *decision.Decision) {
	what := map[string]string{
		"sign-in": "sign-in came back from the identity provider", "claim": "the page claimed the sign-in: new session and first context",
		"context": "context renewed from the session", "exchange": "ID token exchanged for a context",
		"sign-out": "signed out", "logout-token": "the identity provider ended a session", "front-channel": "the identity provider ended a session",
	}[d.Verb]
	if d.Outcome != decision.Issued {
		row := exchange.Lookup(d.Code)
		what = fmt.Sprintf("%s: %s (%s)", d.Verb, row.Description, d.Code)
	}
	if d.Lifetime > 0 {
		what += fmt.Sprintf(", good for %s", d.Lifetime)
	}
	if d.Customer != "" {
		what += fmt.Sprintf(" [customer %.8s…]", d.Customer)
	}
	s.line("service", what)
}

func (s *speaker) welcome(on stage, dir string) {
	fmt.Fprintf(s.out, `
chatpass demo: everything runs on this computer, with invented people and no passwords.

  shop               %s   ← open this one
  service            %s
  identity provider  %s

Open the shop, ask the chat "What is my balance?" and sign in as one of the people. Contexts live 90
seconds here: watch them being renewed. At the identity provider you can end a person's session,
disable a person, rotate the keys or have its token endpoint fail. State is in %s. Ctrl-C ends it all.

`, urlOf(on.shop), urlOf(on.service), urlOf(on.idp), dir)
}
