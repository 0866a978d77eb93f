package verify

import "context"

// Signed says whether a token is signed by a key of the issuer, whatever it says: what [Verifier.Verify]
// checks before it reads the payload.
func (v *Verifier) Signed(ctx context.Context, compact string) error {
	_, _, err := v.signed(ctx, compact)
	return err
}

// ReadObject decodes a JSON object as headers and payloads are decoded.
func ReadObject(raw []byte) (map[string]any, bool) {
	object, err := readObject(raw)
	return object, err == nil
}
