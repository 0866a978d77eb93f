package verify

import "context"

// Signed says whether a token is signed by a key of the issuer, whatever it says: what [Verifier.Verify]
// checks before it reads the payload.
func (v *Verifier) Signed(ctx context.Context, compact string) error {
	_, _, err := v.signed(ctx, compact)
	return err
}
