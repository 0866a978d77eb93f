package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"chatpass/admin"
	"chatpass/config"
	"chatpass/decision"
)

const (
	defaultConfig = "/etc/chatpass/chatpass.yaml"
	// farewell is how long the service goes on serving after SIGTERM: it is not ready any more, and every
	// answer closes its connection, so that nobody sends a request into one that is being closed.
	farewell = 2 * time.Second
	// lastWords is the time for connections that were taken last to say what they want. A server that is
	// being shut down drops a request that it has just read.
	lastWords = 250 * time.Millisecond
	// drainTime is how long requests under way may take to end after that.
	drainTime = 30 * time.Second
	// Limits of a connection. The longest answer is a page waiting 25 s for its sign-in.
	readTime, writeTime, idleTime = 10 * time.Second, 40 * time.Second, 2 * time.Minute
	maxHeader                     = 32 << 10
)

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "configuration file (default $CHATPASS_CONFIG, else "+defaultConfig+")")
}

// readConfig reads the file that the flag names, else the environment, else the usual place.
func readConfig(flag string) (*config.Config, error) {
	return config.Read(cmp.Or(flag, os.Getenv("CHATPASS_CONFIG"), defaultConfig), os.LookupEnv)
}

func serveCommand(to streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "serve -c FILE", Short: "Run the service", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := readPlans(path)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), p, service{
				log:      newLog(p.cfg.Log, to.err),
				reread:   func() (plans, error) { return readPlans(path) },
				farewell: farewell,
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// A service is how the house is to be served.
type service struct {
	log    *slog.Logger
	reread func() (plans, error) // the configuration once more, on SIGHUP; nil: never
	// public is the public listener if it is open already; nil: the configuration's.
	public net.Listener
	// told hears of every decision besides the audit log; may be nil.
	told func(*decision.Decision)
	// farewell is how long to go on serving after ctx has ended.
	farewell time.Duration
}

// serve runs the house until ctx ends, and then until every request under way is answered.
func serve(ctx context.Context, p plans, s service) error {
	cfg := p.cfg
	public, operator, err := s.listen(cfg)
	if err != nil {
		return err
	}
	defer public.Close()   //nolint:errcheck // closed by the servers, except when the house cannot be built
	defer operator.Close() //nolint:errcheck // as above

	background, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the last request
	defer stop()
	h, err := newHouse(p, s)
	if err != nil {
		return err
	}
	if err := h.openOrWait(background); err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	ended := make(chan error, 1)
	go func() {
		ended <- h.live(background)
		leave() // without that there is nothing to serve
	}()
	go h.rereadOnHangup(background, s.reread)

	for _, a := range cfg.Advice() {
		s.log.Warn("advice on the configuration", "at", a.String())
	}
	s.log.Info("serving", "issuer", cfg.Issuer, "listen", public.Addr().String(), "admin", operator.Addr().String())
	err = serveAll(ctx, h.servers(cfg, public, operator), func() { h.leave(s.farewell) })
	stop()
	if err = errors.Join(err, <-ended); err == nil {
		s.log.Info("stopped: every request was answered")
	}
	return err
}

// listen opens both listeners, or none.
func (s service) listen(cfg *config.Config) (public, operator net.Listener, err error) {
	public = s.public
	if public == nil {
		if public, err = listen("listen", cfg.Listen); err != nil {
			return nil, nil, err
		}
	}
	operator, err = listen("admin_listen", cfg.AdminListen)
	if err != nil {
		return nil, nil, errors.Join(err, public.Close())
	}
	return public, operator, nil
}

func listen(setting, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is taken: another program uses the port; stop it, or write another port", setting, address)
	}
	if errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("%s: %s is not allowed: write a port above 1023, or let a proxy listen there", setting, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return listener, nil
}

// A listening is a server and where it listens.
type listening struct {
	*http.Server
	on net.Listener
}

func (h *house) servers(cfg *config.Config, public, operator net.Listener) []listening {
	door := admin.Handler(admin.Config{Ready: h.ready, Metrics: h.metrics, Pprof: cfg.DangerouslyServePprof})
	return []listening{
		{h.httpServer(h, h.tlsConfig()), public},
		{h.httpServer(door, nil), operator},
	}
}

func (h *house) httpServer(handler http.Handler, secure *tls.Config) *http.Server {
	return &http.Server{
		Handler: handler, TLSConfig: secure, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
}

// tlsConfig is nil where TLS ends at a proxy in front. A certificate that was renewed is taken at the
// next SIGHUP.
func (h *house) tlsConfig() *tls.Config {
	if h.front.Load().certificate == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return h.front.Load().certificate, nil
	}}
}

// leave goes on serving for a while, but says goodbye to everybody.
func (h *house) leave(while time.Duration) {
	h.leaving.Store(true)
	time.Sleep(while)
}

// ready is nil while contexts can be issued.
func (h *house) ready() error {
	if h.leaving.Load() {
		return errors.New("the service is shutting down")
	}
	if !h.opened.Load() {
		return errWaiting
	}
	return h.ring.Ready()
}

// serveAll serves until ctx ends or one server fails, calls leave, and then goes on until every request
// under way is answered.
func serveAll(ctx context.Context, servers []listening, leave func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(servers))
	for _, s := range servers {
		go func() {
			err := s.serve()
			stop() // one alone is no service
			ended <- err
		}()
	}
	<-ctx.Done()
	leave()
	for _, s := range servers {
		_ = s.on.Close() // no new connection; what serve says of it is heard below
	}
	time.Sleep(lastWords)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var all []error
	for _, s := range servers {
		all = append(all, s.Shutdown(drain))
	}
	for range servers {
		all = append(all, <-ended)
	}
	return errors.Join(all...)
}

func (l listening) serve() error {
	var err error
	if l.TLSConfig != nil {
		err = l.ServeTLS(l.on, "", "")
	} else {
		err = l.Serve(l.on)
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// rereadOnHangup reads the configuration again at SIGHUP: all of it counts, or nothing.
func (h *house) rereadOnHangup(ctx context.Context, reread func() (plans, error)) {
	if reread == nil {
		return
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		if err := h.reread(ctx, reread); err != nil {
			h.log.Error("configuration was not taken: the old one stays", "err", err)
			continue
		}
		h.log.Info("configuration was read again")
	}
}

func (h *house) reread(ctx context.Context, read func() (plans, error)) error {
	if !h.opened.Load() {
		return errWaiting
	}
	fresh, err := read()
	if err != nil {
		return err
	}
	if changed := needsRestart(h.plans, fresh); changed != "" {
		return fmt.Errorf("%s has changed: restart the service", changed)
	}
	return h.furnish(ctx, fresh)
}

// needsRestart names a setting that the running rooms are built on and that has changed.
func needsRestart(running, fresh plans) string {
	old, now := running.cfg, fresh.cfg
	for setting, same := range map[string]bool{
		"issuer": old.Issuer == now.Issuer, "listen": old.Listen == now.Listen, "admin_listen": old.AdminListen == now.AdminListen,
		"store": old.Store == now.Store, "master_key": old.MasterKey == now.MasterKey,
		"keys": reflect.DeepEqual(old.Keys, now.Keys), "status": old.Status == now.Status, "tls": (len(old.TLS.Cert) == 0) == (len(now.TLS.Cert) == 0),
		"the longest context_lifetime": fresh.keys.LongestLifetime <= running.keys.LongestLifetime,
	} {
		if !same {
			return setting
		}
	}
	return ""
}

func newLog(c config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(to, options))
	}
	return slog.New(slog.NewJSONHandler(to, options))
}
