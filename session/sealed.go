package session

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"chatpass/identity"
)

// sealText returns v as a URL-safe text that only we can read, and only for the same use.
func (s *Sessions) sealText(use string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", use, err)
	}
	sealed, err := s.cfg.Sealer.Seal(plain, []byte(use))
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", use, err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openText reads what sealText made. A text that is not ours is an [identity.Rejection].
func (s *Sessions) openText(use, text string, v any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return notOurs(use, err)
	}
	plain, err := s.cfg.Sealer.Open(sealed, []byte(use))
	if err != nil {
		return notOurs(use, err)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return notOurs(use, err)
	}
	return nil
}

func notOurs(use string, err error) error {
	return &identity.Rejection{Code: identity.SignInExpired, Measured: "no " + use + " of this browser", Required: "one that we made", Err: err}
}
