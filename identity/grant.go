package identity

import (
	"log/slog"
	"time"
)

// A Grant is what an issuer gave us to ask it later whether a person's sign-in still stands.
type Grant struct {
	// RefreshToken is that of RFC 6749 §1.5; empty if the issuer gave none. Secret.
	RefreshToken string `json:"refresh_token,omitempty"`
	// Lapses is when the refresh token ends; zero if the issuer did not say.
	Lapses time.Time `json:"lapses,omitzero"`
	// Ends is when the issuer wants sessions of the sign-in to end; zero if it did not say.
	Ends time.Time `json:"ends,omitzero"`
}

// LogValue keeps the token out of logs.
func (g Grant) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("refresh_token", g.RefreshToken != ""), slog.Time("lapses", g.Lapses), slog.Time("ends", g.Ends))
}
