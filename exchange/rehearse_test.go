package exchange_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"chatpass/exchange"
	"chatpass/identity"
)

// What a rehearsal says of a context's size is what the exchange says of the real one, but for the few
// digits of its place in a status list.
func TestRehearsalIsAsLongAsTheContext(t *testing.T) {
	h := newHouse(t)
	h.list = "support.0"
	issued, err := h.Exchange(t.Context(), ask())
	if err != nil {
		t.Fatal(err)
	}
	cfg := exchange.Config{Issuer: h.cfg.Issuer, Apps: h.cfg.Apps, Signer: h.pen, Now: h.cfg.Now, NewID: h.cfg.NewID, Random: h.cfg.Random}
	stage, err := exchange.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	app := &cfg.Apps[0]
	client := app.Clients[0]
	client.App = app
	r := exchange.Rehearsal{Client: client, Identity: h.people["ada.id.token"], Claims: map[string]any{"name": "Ada Example", "tier": "gold"}}
	rung, err := stage.Rehearse(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	bytes, life, _ := strings.Cut(rung.Measured, " bytes for ")
	off := atoi(t, bytes) - len(issued.Token)
	if off < 0 || off > 24 || life != "10m0s" || rung.Required != "at most 4096 bytes" || !rung.Passed || len(h.audit) != 1 {
		t.Errorf("%+v of a context of %d bytes; %d decisions", rung, len(issued.Token), len(h.audit))
	}

	r.Customer = strings.Repeat("c", 50)
	longer, err := stage.Rehearse(t.Context(), r)
	if more, _, _ := strings.Cut(longer.Measured, " "); err != nil || atoi(t, more)-atoi(t, bytes) < 9 {
		t.Errorf("a longer customer id: %+v after %+v, %v", longer, rung, err)
	}

	r.Claims["name"] = strings.Repeat("x", 4096)
	_, err = stage.Rehearse(t.Context(), r)
	if rejection, ok := errors.AsType[*identity.Rejection](err); !ok || rejection.Code != identity.ContextTooLarge {
		t.Errorf("a context of more than 4 KiB: %v", err)
	}
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
