package verify_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"chatpass/verify"
)

// vectors is testdata/vectors.json, as docs/verify-elsewhere.md explains it.
type vectors struct {
	KeySets map[string]json.RawMessage `json:"key_sets"`
	// Lists are by name what is served, by address.
	Lists   map[string]map[string]string `json:"status_lists"`
	Vectors []vector                     `json:"vectors"`
}

type vector struct {
	Name     string        `json:"name"`
	Now      int64         `json:"now"`
	Issuer   string        `json:"issuer"`
	Audience string        `json:"audience"`
	Options  vectorOptions `json:"options"`
	KeySet   *string       `json:"key_set"`
	Lists    *string       `json:"status_lists"`
	Token    string        `json:"token"`
	Verdict  string        `json:"verdict"`
	Reason   verify.Reason `json:"reason"`
}

type vectorOptions struct {
	Leeway         *int64   `json:"leeway"`
	RequiredScopes []string `json:"required_scopes"`
	AllowTyp       []string `json:"allow_typ"`
	RequireStatus  bool     `json:"require_status"`
	WithoutStatus  string   `json:"without_status"`
	MaxStatusAge   int64    `json:"max_status_age"`
}

func (o vectorOptions) options() []verify.Option {
	options := []verify.Option{verify.WithRequiredScopes(o.RequiredScopes...), verify.AllowTyp(o.AllowTyp...)}
	if o.Leeway != nil {
		options = append(options, verify.WithLeeway(time.Duration(*o.Leeway)*time.Second))
	}
	if o.RequireStatus {
		options = append(options, verify.RequireStatus())
	}
	if o.WithoutStatus == "accept" {
		options = append(options, verify.AcceptUnknownStatus())
	}
	return append(options, verify.MaxStatusAge(time.Duration(o.MaxStatusAge)*time.Second))
}

// publisher returns the issuer of a vector's world: what is not there cannot be had.
func (v vector) publisher(t *testing.T, all vectors) *issuer {
	i := newIssuer(t, v.Issuer)
	i.answers[keysPath] = "<html>"
	if v.KeySet != nil {
		i.answers[keysPath] = string(all.KeySets[*v.KeySet])
	}
	if v.Lists != nil {
		for uri, list := range all.Lists[*v.Lists] {
			i.answers[strings.TrimPrefix(uri, v.Issuer)] = list
		}
	}
	return i
}

func TestEveryConformanceVector(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Vectors) < 100 {
		t.Errorf("%d vectors, want at least 100", len(all.Vectors))
	}
	for _, vector := range all.Vectors {
		t.Run(vector.Name, func(t *testing.T) {
			options := append(vector.Options.options(), verify.WithClock(func() time.Time { return time.Unix(vector.Now, 0) }),
				verify.WithHTTPClient(&http.Client{Transport: vector.publisher(t, all)}))
			v, err := verify.New(vector.Issuer, vector.Audience, options...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), vector.Token)
			if verdict, reason := verdictOf(err); verdict != vector.Verdict || reason != vector.Reason {
				t.Errorf("got %s %s (%v), want %s %s", verdict, reason, err, vector.Verdict, vector.Reason)
			}
		})
	}
}

func verdictOf(err error) (string, verify.Reason) {
	rejected, ok := errors.AsType[*verify.Error](err)
	switch {
	case err == nil:
		return "accepted", ""
	case ok:
		return "rejected", rejected.Reason
	case errors.Is(err, verify.ErrUnavailable):
		return "unavailable", ""
	}
	return "failed", ""
}
