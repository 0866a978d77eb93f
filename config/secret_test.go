package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"chatpass/config"
)

func TestPasswordsInReferencesAreFine(t *testing.T) {
	text := strings.Replace(minimal, "sqlite:/var/lib/chatpass/chatpass.db", "env:STORE", 1) + "proxy: env:PROXY\n"
	cfg := mustRead(t, t.TempDir(), text)
	if !strings.Contains(cfg.Store.Reveal(), "hunter2") || !strings.Contains(cfg.Proxy.Reveal(), "hunter2") {
		t.Error("the values behind the references are not there")
	}
}

func TestSecretsShowNothing(t *testing.T) {
	cfg := mustRead(t, files(t), testdata(t, "good/complete.yaml")["testdata/good/complete.yaml"])
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
		fmt.Fprintf(&out, verb, cfg.MasterKey)
		fmt.Fprintf(&out, verb, cfg.Store)
		fmt.Fprintf(&out, verb, &cfg.Issuers[0])
		fmt.Fprintf(&out, verb, *cfg)
	}
	fmt.Fprintln(&out, cfg.MasterKey.String(), cfg.MasterKey.GoString())
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "secret", cfg.MasterKey, "store", cfg.Store, "config", cfg)
	text := slog.New(slog.NewTextHandler(&out, nil))
	text.Info("x", "secret", cfg.MasterKey, "store", cfg.Store, "config", cfg)
	encoded, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	asText, err := cfg.MasterKey.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asText)
	for _, secret := range cfg.Secrets() {
		value := secret.Reveal()
		if strings.Contains(out.String(), value) || strings.Contains(out.String(), fmt.Sprintf("%x", value)) {
			t.Errorf("shown: %s", value)
		}
	}
	if n := len(cfg.Secrets()); n != 8 {
		t.Errorf("%d secrets, want 8", n)
	}
	if got := fmt.Sprintf("%v|%q|%v", cfg.MasterKey, cfg.MasterKey, config.Secret{}); got != "[redacted]|[redacted]|" {
		t.Errorf("got %s", got)
	}
}
