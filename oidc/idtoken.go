package oidc

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chatpass/identity"
)

// identify makes our own checks of an ID token's claims: go-oidc makes few of them, and some differently.
func (is *issuer) identify(t token, accepted []string) (identity.Identity, error) {
	c := t.claims
	from := is.tenants[t.iss]
	who := identity.Identity{IDP: is.cfg.Name, Issuer: from.issuer, SubjectIssuer: from.subjectIssuer, Claims: c.present()}
	tell := func(check, measured, required string) error { t.passed.Tell(check, measured, required); return nil }
	err := firstError(
		func() error { return from.check(c, true) },
		func() (err error) { who.UpstreamSubject, err = c.subject("sub"); return },
		func() (err error) { who.Subject, err = c.subject(is.cfg.SubjectClaim); return },
		func() (err error) { who.IssuedAt, err = c.required("iat"); return },
		func() (err error) { who.Expires, err = c.required("exp"); return },
		func() error { return tell("token claims", "sub, iat and exp", "sub, iat and exp") },
		func() error { return is.checkTimes(c, who.IssuedAt, who.Expires) },
		func() error {
			return tell("token times", is.times(who), "begun and not over, to "+seconds(is.cfg.ClockSkew))
		},
		func() (err error) { who.Client, err = c.party(accepted); return },
		func() error { return tell("token audience", "client "+clip(who.Client), oneOf(accepted)) },
		func() (err error) { who.UpstreamSession, err = c.text("sid"); return },
		func() (err error) { who.AuthTime, err = c.instant("auth_time"); return },
		func() (err error) { who.SessionEnds, err = c.instant(sessionExpiry); return },
		func() (err error) { who.ACR, err = is.level(c, nil); return },
		func() (err error) { who.AMR, err = c.texts("amr"); return },
	)
	return who, err
}

func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkKind tells ID tokens from the other JWTs that the same issuer signs with the same keys (RFC 8725
// §3.11). Keycloak gives its access and logout tokens the header of an ID token, and says what they are
// in a claim `typ`.
func (t token) checkKind() error {
	if !t.isTyped("jwt") {
		return identity.Reject(identity.NotAnIDToken, "typ "+clip(t.typ), "no typ, or JWT")
	}
	if _, there := t.claims["events"]; there {
		return identity.Reject(identity.NotAnIDToken, "a claim events", "no events")
	}
	kind, _ := t.claims["typ"].(string)
	if slices.Contains([]string{"bearer", "dpop", "refresh", "offline", "logout"}, strings.ToLower(kind)) {
		return identity.Reject(identity.NotAnIDToken, "a claim typ of "+clip(kind), "an ID token")
	}
	if sign := t.claims.accessToken(); sign != "" {
		return identity.Reject(identity.NotAnIDToken, "a claim "+sign+", as in an access token", "an ID token")
	}
	return nil
}

// checkTimes checks `iat`, `exp` and `nbf` (RFC 7519 §4.1.4-§4.1.6) within the clock skew. A zero
// expires is not checked.
func (is *issuer) checkTimes(c claims, issued, expires time.Time) error {
	now, skew := is.cfg.Now(), is.cfg.ClockSkew
	notBefore, err := c.instant("nbf")
	if err != nil {
		return err
	}
	if ahead := issued.Sub(now); ahead > skew {
		return identity.Reject(identity.IssuedInFuture, "issued "+seconds(ahead)+" ahead", "at most "+seconds(skew)+" ahead")
	}
	if past := now.Sub(expires); !expires.IsZero() && past >= skew {
		return identity.Reject(identity.TokenExpired, is.age(issued)+", "+seconds(past)+" beyond its exp", "less than "+seconds(skew)+" beyond its exp")
	}
	proved, err := c.instant("auth_time")
	if err != nil {
		return err
	}
	if ahead := proved.Sub(now); ahead > skew {
		return identity.Reject(identity.IssuedInFuture, "signed in "+seconds(ahead)+" ahead", "at most "+seconds(skew)+" ahead")
	}
	if ahead := notBefore.Sub(now); ahead > skew {
		return identity.Reject(identity.IssuedInFuture, "made valid "+seconds(ahead)+" ahead", "at most "+seconds(skew)+" ahead")
	}
	return nil
}

// checkAge refuses a token that was issued too long ago to be shown around.
func (is *issuer) checkAge(issued time.Time, limit time.Duration) error {
	age := is.cfg.Now().Sub(issued)
	if age <= limit {
		return nil
	}
	return identity.Reject(identity.TokenExpired, seconds(age), "at most "+seconds(limit))
}

// times says how old a token is, and how long it is good for.
func (is *issuer) times(who identity.Identity) string {
	return "issued " + is.age(who.IssuedAt) + " ago, expires in " + seconds(who.Expires.Sub(is.cfg.Now()))
}

func (is *issuer) age(then time.Time) string { return seconds(is.cfg.Now().Sub(then)) }

func oneOf(allowed []string) string {
	if len(allowed) == 0 {
		return "nothing: the list of those accepted is empty"
	}
	return "one of " + strings.Join(allowed, ", ")
}

func seconds(d time.Duration) string { return fmt.Sprint(d.Round(time.Second)) }
