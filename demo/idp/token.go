package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// token is the token endpoint (RFC 6749 §3.2, OpenID Connect Core 1.0 §3.1.3).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	client, ok := p.readClient(w, r)
	if !ok {
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		p.redeem(w, r.PostForm, client)
	case "refresh_token":
		p.refresh(w, r.PostForm, client)
	default:
		writeError(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
	}
}

// readClient reads a form and authenticates its client; if it cannot, it has answered.
func (p *Provider) readClient(w http.ResponseWriter, r *http.Request) (Client, bool) {
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request", "the body is not form-urlencoded")
		return Client{}, false
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			writeError(w, http.StatusBadRequest, "invalid_request", "a parameter is sent twice: "+clip(name))
			return Client{}, false
		}
	}
	client, ok := p.authenticate(r)
	if !ok {
		p.say("refused to issue tokens: the client did not authenticate")
		w.Header().Set("WWW-Authenticate", `Basic realm="demo identity provider"`)
		writeError(w, http.StatusUnauthorized, "invalid_client", "client authentication failed")
	}
	return client, ok
}

// redeem trades an authorization code for tokens.
func (p *Provider) redeem(w http.ResponseWriter, form url.Values, client Client) {
	got, err := p.memory.redeem(form.Get("code"), client.ID, func(req authRequest) bool {
		return form.Get("redirect_uri") == req.redirectURI && fitsChallenge(form.Get("code_verifier"), req.challenge)
	})
	if err != nil {
		p.say("refused to issue tokens to %s: %v", client.ID, err)
		writeError(w, http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	p.say("%s gets an ID token for %s, good for %s", client.ID, nameOf(got.session.sub), p.cfg.IDTokenLifetime)
	p.writeTokens(w, got)
}

// writeTokens answers with tokens (RFC 6749 §5.1).
func (p *Provider) writeTokens(w http.ResponseWriter, got redeemed) {
	id, err := p.signIDToken(got)
	if err != nil {
		p.say("could not sign an ID token: %v", err)
		writeError(w, http.StatusInternalServerError, "server_error", "the ID token could not be signed")
		return
	}
	answer := map[string]any{
		"access_token": got.accessToken, "token_type": "Bearer", "expires_in": int(accessTokenLifetime.Seconds()),
		"id_token": id, "scope": strings.Join(got.request.scope, " "),
	}
	if got.refreshToken != "" {
		answer["refresh_token"] = got.refreshToken
	}
	writeJSON(w, http.StatusOK, answer)
}

// authenticate finds the client by client_secret_basic or client_secret_post, not both at once
// (RFC 6749 §2.3).
func (p *Provider) authenticate(r *http.Request) (Client, bool) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, basic := r.BasicAuth(); basic {
		basicID, idErr := url.QueryUnescape(user)
		basicSecret, secretErr := url.QueryUnescape(password)
		if idErr != nil || secretErr != nil || secret != "" || id != "" && id != basicID {
			return Client{}, false
		}
		id, secret = basicID, basicSecret
	}
	client, known := p.clients[id]
	given, wanted := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(client.Secret))
	return client, subtle.ConstantTimeCompare(given[:], wanted[:]) == 1 && known
}

// fitsChallenge is S256 of RFC 7636 §4.6.
func fitsChallenge(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// signIDToken makes the ID token (OpenID Connect Core 1.0 §2), with the claims of its scopes.
func (p *Provider) signIDToken(got redeemed) (string, error) {
	who, _ := personBy(got.session.sub)
	now := p.cfg.Now()
	claims := who.claims(got.request.scope)
	claims["iss"], claims["aud"] = p.cfg.Issuer, got.request.client.ID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(p.cfg.IDTokenLifetime).Unix()
	claims["auth_time"] = got.session.authTime.Unix()
	claims["acr"], claims["amr"] = got.session.level()
	claims["sid"], claims["at_hash"] = got.session.sid, leftHalf(got.accessToken)
	if got.request.nonce != "" {
		claims["nonce"] = got.request.nonce
	}
	return p.keys.sign("JWT", claims)
}

// leftHalf is at_hash (OpenID Connect Core 1.0 §3.1.3.6).
func leftHalf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// userinfo is OpenID Connect Core 1.0 §5.3.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, accessToken, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="demo identity provider"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g, ok := p.memory.lookGrant(accessToken)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeError(w, http.StatusUnauthorized, "invalid_token", "the access token is unknown, expired or taken back")
		return
	}
	who, _ := personBy(g.sub)
	writeJSON(w, http.StatusOK, who.claims(g.scope))
}

func writeError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked has gone: there is nobody left to tell
}
