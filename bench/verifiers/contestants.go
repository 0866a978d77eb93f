package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"chatpass/jwks"
	"chatpass/verify"
)

const leeway = time.Minute

var (
	errKey   = errors.New("no key for it")
	errTyp   = errors.New("typ is not at+jwt")
	errScope = errors.New("lacks the scope")
	errTime  = errors.New("no iat, or it is ahead")
)

// details are the claims of a context beyond the registered ones that a service reads.
type details struct {
	Scope    string         `json:"scope"`
	ClientID string         `json:"client_id"`
	SID      string         `json:"sid"`
	IDP      string         `json:"idp"`
	ACR      string         `json:"acr"`
	AMR      []string       `json:"amr"`
	Chat     map[string]any `json:"chat"`
	Tier     string         `json:"tier"`
	Name     string         `json:"name"`
}

func (d details) check() error {
	if !slices.Contains(strings.Fields(d.Scope), scope) {
		return errScope
	}
	return nil
}

func contestants(ctx context.Context, i *issuer) ([]contestant, error) {
	var all []contestant
	for name, enter := range map[string]func(context.Context, *issuer) (func(context.Context, string) error, error){
		"chatpass/verify": ours, "golang-jwt + keyfunc": golangJWT, "lestrrat jwx v3": jwx, "go-jose": goJOSE, "go-oidc": goOIDC,
	} {
		verify, err := enter(ctx, i)
		if err != nil {
			return nil, err
		}
		all = append(all, contestant{name, verify})
	}
	slices.SortFunc(all, func(a, b contestant) int { return strings.Compare(a.name, b.name) }) // ours is first
	return all, nil
}

func ours(_ context.Context, i *issuer) (func(context.Context, string) error, error) {
	v, err := verify.New(i.URL, audience, verify.WithRequiredScopes(scope))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}, nil
}

func golangJWT(ctx context.Context, i *issuer) (func(context.Context, string) error, error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{i.URL + keysPath})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{i.alg}), jwt.WithIssuer(i.URL), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	return func(_ context.Context, token string) error {
		var claims struct {
			jwt.RegisteredClaims
			details
		}
		parsed, err := parser.ParseWithClaims(token, &claims, keys.Keyfunc)
		if err != nil {
			return err
		}
		if parsed.Header["typ"] != "at+jwt" {
			return errTyp
		}
		return claims.check()
	}, nil
}

func jwx(ctx context.Context, i *issuer) (func(context.Context, string) error, error) {
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, err
	}
	if err := cache.Register(ctx, i.URL+keysPath); err != nil {
		return nil, err
	}
	set, err := cache.CachedSet(i.URL + keysPath)
	if err != nil {
		return nil, err
	}
	byTypAndKID := jws.KeyProviderFunc(func(_ context.Context, sink jws.KeySink, signature *jws.Signature, _ *jws.Message) error {
		header := signature.ProtectedHeaders()
		if typ, _ := header.Type(); typ != "at+jwt" {
			return errTyp
		}
		kid, _ := header.KeyID()
		key, found := set.LookupKeyID(kid)
		alg, _ := jwa.LookupSignatureAlgorithm(i.alg)
		if used, _ := header.Algorithm(); !found || used != alg {
			return errKey
		}
		sink.Key(alg, key)
		return nil
	})
	return func(_ context.Context, token string) error {
		parsed, err := jwxjwt.ParseString(token, jwxjwt.WithKeyProvider(byTypAndKID), jwxjwt.WithIssuer(i.URL), jwxjwt.WithAudience(audience),
			jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithRequiredClaim("iat"), jwxjwt.WithAcceptableSkew(leeway))
		if err != nil {
			return err
		}
		var d details
		if err := parsed.Get("scope", &d.Scope); err != nil {
			return err
		}
		return d.check()
	}, nil
}

func goJOSE(_ context.Context, i *issuer) (func(context.Context, string) error, error) {
	set := jwks.New(jwks.Config{URL: i.URL + keysPath, Client: http.DefaultClient, Now: time.Now})
	return func(ctx context.Context, token string) error {
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(i.alg)})
		if err != nil {
			return err
		}
		if parsed.Headers[0].ExtraHeaders["typ"] != "at+jwt" {
			return errTyp
		}
		key, err := set.Key(ctx, parsed.Headers[0].KeyID, i.alg)
		if err != nil {
			return err
		}
		var registered josejwt.Claims
		var d details
		if err := parsed.Claims(key.Key, &registered, &d); err != nil {
			return err
		}
		expected := josejwt.Expected{Issuer: i.URL, AnyAudience: josejwt.Audience{audience}, Time: time.Now()}
		if err := registered.ValidateWithLeeway(expected, leeway); err != nil {
			return err
		}
		return d.check()
	}, nil
}

func goOIDC(ctx context.Context, i *issuer) (func(context.Context, string) error, error) {
	keys := gooidc.NewRemoteKeySet(ctx, i.URL+keysPath)
	verifier := gooidc.NewVerifier(i.URL, keys, &gooidc.Config{ClientID: audience, SupportedSigningAlgs: []string{i.alg}})
	return func(ctx context.Context, token string) error {
		if typ, err := typOf(token); err != nil || typ != "at+jwt" {
			return errTyp
		}
		parsed, err := verifier.Verify(ctx, token)
		if err != nil {
			return err
		}
		if parsed.IssuedAt.IsZero() || parsed.IssuedAt.After(time.Now().Add(leeway)) {
			return errTime
		}
		var d details
		if err := parsed.Claims(&d); err != nil {
			return err
		}
		return d.check()
	}, nil
}

// typOf reads what go-oidc does not hand out.
func typOf(token string) (string, error) {
	part, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", err
	}
	var header struct {
		Type string `json:"typ"`
	}
	return header.Type, json.Unmarshal(raw, &header)
}
