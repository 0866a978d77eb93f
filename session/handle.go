package session

import (
	"crypto/sha256"
	"strings"
)

// cookieHandle and tokenHandle hash under different prefixes, so that no cookie value could ever pass
// for a token or the other way round.
func cookieHandle(cookie string) Handle { return sha256.Sum256([]byte("cookie\x00" + cookie)) }

// tokenHandle hashes the signing input alone: an ECDSA signature can be written in two ways, and a
// token must not become another one by that. Each app has a session of its own of the same token.
func tokenHandle(app, token string) Handle {
	input := token
	if end := strings.LastIndexByte(token, '.'); end >= 0 {
		input = token[:end]
	}
	return sha256.Sum256([]byte("token\x00" + app + "\x00" + input))
}
