package session

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"chatpass/identity"
)

// Purposes of a sign-in.
const (
	Login  = "login"
	StepUp = "step_up" // raises the session that there is
	Switch = "switch"  // somebody else signs in
)

const (
	// TransactionLifetime is how long a person may take to sign in.
	TransactionLifetime = 15 * time.Minute
	// resultLifetime is how long the outcome of a sign-in waits to be claimed.
	resultLifetime = 120 * time.Second

	transactionUse = "sign-in transaction"
	codeUse        = "sign-in code"
)

// A Transaction is one sign-in on its way. It lives sealed in a cookie of the browser that started it,
// so that strangers cannot make us store anything.
type Transaction struct {
	// Txn names the transaction; Challenge is the S256 of the verifier that only the starting page
	// knows (RFC 7636 §4.2).
	Txn       string `json:"txn"`
	Challenge string `json:"challenge"`

	Client string `json:"client"`
	App    string `json:"app"`
	// Mode is "popup" or "redirect". PageOrigin is the page that started; ReturnTo is where a
	// redirect leads back, Relay where a popup goes that cannot reach the page, empty for nowhere.
	Mode       string `json:"mode"`
	PageOrigin string `json:"page_origin"`
	ReturnTo   string `json:"return_to,omitempty"`
	Relay      string `json:"relay,omitempty"`
	// IDP is the upstream issuer's name. State, Nonce and Verifier are the secrets of the code flow;
	// MaxAge and ACRValues are what was asked of the issuer.
	IDP       string         `json:"idp"`
	State     string         `json:"state"`
	Nonce     string         `json:"nonce"`
	Verifier  string         `json:"verifier"`
	MaxAge    *time.Duration `json:"max_age,omitempty"`
	ACRValues []string       `json:"acr_values,omitempty"`
	// Purpose is [Login], [StepUp] or [Switch]; Expected is the customer whom the page expects, empty for
	// any.
	Purpose  string `json:"purpose,omitempty"`
	Expected string `json:"expected,omitempty"`
	// Far: the window was sent here by another site, as no page of the app's does.
	Far     bool      `json:"far,omitempty"`
	Created time.Time `json:"created"`
}

// SealTransaction returns t as a cookie value.
func (s *Sessions) SealTransaction(t Transaction) (string, error) {
	return s.sealText(transactionUse, t)
}

// OpenTransaction reads a cookie value made by [Sessions.SealTransaction]. Its error is an
// [identity.Rejection] if the value is not one of ours or too old.
func (s *Sessions) OpenTransaction(cookie string) (Transaction, error) {
	return s.openTransaction(transactionUse, cookie)
}

func (s *Sessions) openTransaction(use, text string) (Transaction, error) {
	var t Transaction
	if err := s.openText(use, text, &t); err != nil {
		return Transaction{}, err
	}
	now := s.cfg.Now()
	if now.Sub(t.Created) >= TransactionLifetime {
		return Transaction{}, identity.Reject(identity.SignInExpired, "started "+since(now, t.Created), "at most "+TransactionLifetime.String()+" ago")
	}
	return t, nil
}

// SealCode returns a code with which the page that started t claims its result where t's cookie cannot come
// along: the page lies on another site. It is worth nothing without the page's verifier.
func (s *Sessions) SealCode(t Transaction) (string, error) {
	return s.sealText(codeUse, Transaction{
		Txn: t.Txn, Challenge: t.Challenge, Client: t.Client, PageOrigin: t.PageOrigin, State: t.State, Created: t.Created,
	})
}

// SignedIn is what an issuer says when it has signed a person in.
type SignedIn struct {
	Identity identity.Identity
	IDToken  string
	Grant    identity.Grant
}

// Complete stores the outcome of a sign-in for the page that started it. Its error is an
// [identity.Rejection] if the transaction has an outcome already.
func (s *Sessions) Complete(ctx context.Context, t Transaction, in SignedIn) error {
	err := s.cfg.Store.PutResult(ctx, Result{
		Txn: t.Txn, Challenge: t.Challenge, State: t.State, Identity: in.Identity, IDToken: in.IDToken, Grant: in.Grant,
		Purpose: t.Purpose, Expected: t.Expected, Expires: s.cfg.Now().Add(resultLifetime),
	})
	if errors.Is(err, ErrExists) {
		return identity.Reject(identity.SignInClaimed, "completed before", "a sign-in not completed yet")
	}
	if err != nil {
		return fmt.Errorf("store sign-in result: %w", err)
	}
	return nil
}

// Fail stores that the issuer, or the person, said no. A later success of the same transaction still counts.
func (s *Sessions) Fail(ctx context.Context, t Transaction, oauthError string) error {
	err := s.cfg.Store.PutResult(ctx, Result{
		Txn: failed(t.Txn), Challenge: t.Challenge, Error: oauthError, Expires: s.cfg.Now().Add(resultLifetime),
	})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("store sign-in failure: %w", err)
	}
	return nil
}

// failed is the place of a failure beside the one of a success: a person who cancelled may go back and
// sign in after all.
func failed(txn string) string { return "failed " + txn }

// A Claim is what the page that started a sign-in shows to get its session.
type Claim struct {
	// Txn and Verifier are the two values that the page made.
	Txn, Verifier string
	// Cookie is the sealed transaction. Code stands in for it, see [Sessions.SealCode]; whoever sets it has to
	// know that no cookie can come.
	Cookie, Code string
	// Client and Origin are those of the request that claims.
	Client, Origin string
}

// Claim returns the result of the sign-in that c names. The result stays until [Sessions.SignIn] takes
// it. Its error is an [identity.Rejection] if c does not come from the page and the browser that
// started, or the result is gone.
func (s *Sessions) Claim(ctx context.Context, c Claim) (Result, error) {
	use, proof := transactionUse, c.Cookie
	if c.Code != "" {
		use, proof = codeUse, c.Code
	}
	t, err := s.openTransaction(use, proof)
	if err != nil {
		return Result{}, err
	}
	if t.Txn != c.Txn || t.Client != c.Client || t.PageOrigin != c.Origin || !proves(c.Verifier, t.Challenge) {
		return Result{}, identity.Reject(identity.SignInExpired, "another page or browser", "the page and browser that started the sign-in")
	}
	result, err := s.cfg.Store.Result(ctx, c.Txn)
	switch {
	case errors.Is(err, ErrTaken):
		return Result{}, identity.Reject(identity.SignInClaimed, "claimed before", "a sign-in not claimed yet")
	case errors.Is(err, ErrNotFound):
		return Result{}, identity.Reject(identity.SignInExpired, "no result waiting", "a result at most "+resultLifetime.String()+" old")
	case err != nil:
		return Result{}, fmt.Errorf("read sign-in result: %w", err)
	case result.State != t.State || !proves(c.Verifier, result.Challenge): // completed in another browser
		return Result{}, identity.Reject(identity.SignInExpired, "another sign-in's result", "the result of this sign-in")
	}
	return result, nil
}

// proves checks a verifier against its S256 challenge (RFC 7636 §4.6).
func proves(verifier, challenge string) bool {
	if verifier == "" || challenge == "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	made := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1
}
