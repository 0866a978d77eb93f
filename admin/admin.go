// Package admin is the operator's door: health and metrics. It is never public.
package admin

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof" // registers itself at the default mux too, which nobody here serves

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what the operator's door shows.
type Config struct {
	// Ready returns nil while contexts can be issued, else what is missing, without asking anybody.
	Ready   func() error
	Metrics *Metrics
	// Pprof serves /debug/pprof/. A heap dump holds signing keys: only for a listener on loopback.
	Pprof bool
}

// Handler serves /livez, /readyz and /metrics.
func Handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, cfg.Ready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics.registry, promhttp.HandlerOpts{}))
	if cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/", fromHere(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/profile", fromHere(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/trace", fromHere(pprof.Trace))
	}
	return http.MaxBytesHandler(mux, 0)
}

// fromHere refuses what a web page could send: a request for another host's name, which was made to
// lead here, or one with an Origin.
func fromHere(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if address := net.ParseIP(host); r.Header.Get("Origin") != "" || host != "localhost" && (address == nil || !address.IsLoopback()) {
			http.Error(w, "only for this computer's own tools", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// health is the answer of /livez and /readyz.
type health struct {
	OK      bool   `json:"ok"`
	Missing string `json:"missing,omitempty"`
}

func writeHealth(w http.ResponseWriter, missing error) {
	status, body := http.StatusOK, health{OK: true}
	if missing != nil {
		status, body = http.StatusServiceUnavailable, health{Missing: missing.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the prober has gone: it will ask again
}
