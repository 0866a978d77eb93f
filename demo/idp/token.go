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

// acrDemo says how people proved who they are: they did not, they pressed a button.
const acrDemo = "urn:chatpass:demo:button"

// token is the token endpoint (RFC 6749 §4.1.3, OpenID Connect Core 1.0 §3.1.3).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request", "the body is not form-urlencoded")
		return
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			writeError(w, http.StatusBadRequest, "invalid_request", "a parameter is sent twice: "+clip(name))
			return
		}
	}
	client, ok := p.authenticate(r)
	if !ok {
		p.say("refused to issue tokens: the client did not authenticate")
		w.Header().Set("WWW-Authenticate", `Basic realm="demo identity provider"`)
		writeError(w, http.StatusUnauthorized, "invalid_client", "client authentication failed")
		return
	}
	if r.PostForm.Get("grant_type") != "authorization_code" {
		writeError(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type must be authorization_code")
		return
	}
	p.redeem(w, r.PostForm, client)
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
	id, err := p.signIDToken(got)
	if err != nil {
		p.say("could not sign an ID token: %v", err)
		writeError(w, http.StatusInternalServerError, "server_error", "the ID token could not be signed")
		return
	}
	p.say("%s got an ID token for %s, good for %s", client.ID, nameOf(got.session.sub), p.cfg.IDTokenLifetime)
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": got.accessToken, "token_type": "Bearer", "expires_in": int(accessTokenLifetime.Seconds()),
		"id_token": id, "scope": strings.Join(got.request.scope, " "),
	})
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
	claims["auth_time"], claims["acr"], claims["amr"] = got.session.authTime.Unix(), acrDemo, []string{"user"}
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
