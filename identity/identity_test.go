package identity_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"chatpass/identity"
)

func TestRejectionIsARejectionHoweverItIsWrapped(t *testing.T) {
	rejection := &identity.Rejection{Code: identity.TokenExpired, Measured: "7m", Required: "5m", Err: io.EOF}
	err := fmt.Errorf("verify subject token: %w", rejection)
	if !errors.Is(err, identity.ErrRejected) || !errors.Is(err, io.EOF) {
		t.Errorf("%v does not wrap ErrRejected and its cause", err)
	}
	if !errors.Is(identity.Reject(identity.NoSession, "", ""), identity.ErrRejected) {
		t.Error("a rejection without a cause is none")
	}
}

func TestOutageIsNoRejection(t *testing.T) {
	err := error(&identity.Outage{Code: identity.StoreUnavailable, Err: io.EOF})
	if errors.Is(err, identity.ErrRejected) || !errors.Is(err, io.EOF) {
		t.Errorf("%v reads as a rejection, or hides its cause", err)
	}
}

func TestLoggedIdentityNamesNobody(t *testing.T) {
	var out bytes.Buffer
	who := identity.Identity{
		IDP: "corp", Subject: "ada@example.com", UpstreamSubject: "ada@example.com", UpstreamSession: "u-1",
		Claims: map[string]any{"name": "Ada"}, SID: "s-1",
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("seen", "who", who)
	for _, personal := range []string{"ada@", "Ada", "u-1"} {
		if strings.Contains(out.String(), personal) {
			t.Errorf("log holds %q: %s", personal, &out)
		}
	}
	if !strings.Contains(out.String(), "corp") || !strings.Contains(out.String(), "s-1") {
		t.Errorf("log lost issuer or session: %s", &out)
	}
}
