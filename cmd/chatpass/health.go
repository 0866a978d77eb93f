package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTime is how long the service may take to say how it is.
const healthTime = 3 * time.Second

func healthCommand(to streams) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "health -c FILE", Short: "Ask the running service whether it can issue contexts", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := readConfig(path)
			if err != nil {
				return err
			}
			answer, err := askHealth(cmd.Context(), cfg.AdminListen)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(to.out, answer)
			} else if answer.OK {
				_, err = fmt.Fprintln(to.out, "ready")
			}
			if err == nil && !answer.OK {
				return fmt.Errorf("not ready: %s", answer.Missing)
			}
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer in JSON")
	return cmd
}

// readiness is the service's own answer.
type readiness struct {
	OK      bool   `json:"ok"`
	Missing string `json:"missing,omitempty"`
}

func askHealth(ctx context.Context, adminListen string) (readiness, error) {
	host, port, err := net.SplitHostPort(adminListen)
	if err != nil {
		return readiness{}, fmt.Errorf("admin_listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return readiness{}, fmt.Errorf("ask for health: %w", err)
	}
	res, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(req)
	if err != nil {
		return readiness{}, fmt.Errorf("the service does not answer at admin_listen: is it running? %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	var answer readiness
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&answer); err != nil {
		return readiness{}, fmt.Errorf("something else than chatpass answers at admin_listen %s", adminListen)
	}
	return answer, nil
}
