package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// paper signs nothing: what it returns is as long as what a key of that algorithm signs.
type paper string

func (alg paper) Sign(_ context.Context, typ string, claims []byte) (string, error) {
	const thumbprint = 43 // characters of a kid (RFC 7638)
	header, err := json.Marshal(map[string]string{"alg": string(alg), "kid": strings.Repeat("k", thumbprint), "typ": typ})
	if err != nil {
		return "", err
	}
	signature := make([]byte, map[paper]int{"ES256": 64, "EdDSA": 64, "ES384": 96, "RS256": 256, "PS256": 256}[alg]) // RFC 7518 §3, RFC 8032
	encode := base64.RawURLEncoding.EncodeToString
	return encode(header) + "." + encode(claims) + "." + encode(signature), nil
}
