package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
)

// maxMasterKey bounds a master key in bytes; one key takes about 250.
const maxMasterKey = 64 << 10

// errNotMasterKey stands for every fault of form. What a parser says about it is dropped on purpose:
// it could quote key material.
var errNotMasterKey = errors.New("not a master key made by chatpass")

// masterFile is the form of a master key: two Tink keysets in JSON.
type masterFile struct {
	// Seal holds XAES-256-GCM keys in the order in which they were made; the primary one seals, all open.
	Seal json.RawMessage `json:"seal"`
	// Sum holds the one HMAC-SHA-256 key of [Sealer.Sum].
	Sum json.RawMessage `json:"sum"`
}

// masterKey is a master key that has been checked.
type masterKey struct {
	file masterFile
	seal *keyset.Handle
	keys []Key
	sum  []byte
}

// NewMasterKey returns a new master key as JSON, to be kept in a file that only the service can read
// (mode 0600). Whoever has it can read everything that was sealed; without it, nobody can.
func NewMasterKey() ([]byte, error) {
	sealing, err := sealParameters()
	if err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	summing, err := sumParameters()
	if err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	var file masterFile
	if file.Seal, err = firstKey(sealing); err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	if file.Sum, err = firstKey(summing); err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	return file.encode()
}

// sealParameters: a nonce of 24 bytes, and a key id in front of each sealed value that finds its key.
func sealParameters() (key.Parameters, error) {
	return xaesgcm.NewParameters(xaesgcm.VariantTink, 12)
}

func sumParameters() (key.Parameters, error) {
	return hmacprf.NewParameters(32, hmacprf.SHA256)
}

// firstKey returns a keyset of one new key as JSON.
func firstKey(parameters key.Parameters) ([]byte, error) {
	manager := keyset.NewManager()
	id, err := manager.AddNewKeyFromParameters(parameters)
	if err != nil {
		return nil, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, err
	}
	return encodeKeyset(manager)
}

func encodeKeyset(manager *keyset.Manager) ([]byte, error) {
	handle, err := manager.Handle()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (f masterFile) encode() ([]byte, error) {
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode master key: %w", err)
	}
	if out = append(out, '\n'); len(out) > maxMasterKey {
		return nil, fmt.Errorf("master key would be %d bytes long, at most %d are read", len(out), maxMasterKey)
	}
	return out, nil
}

func readMasterKey(master []byte) (masterKey, error) {
	file, err := decodeMasterFile(master)
	if err != nil {
		return masterKey{}, err
	}
	sealing, err := sealParameters()
	if err != nil {
		return masterKey{}, err
	}
	summing, err := sumParameters()
	if err != nil {
		return masterKey{}, err
	}
	sealKeys, err := readKeyset(file.Seal, sealing)
	if err != nil {
		return masterKey{}, fmt.Errorf("seal: %w", err)
	}
	sumKeys, err := readKeyset(file.Sum, summing)
	if err != nil {
		return masterKey{}, fmt.Errorf("sum: %w", err)
	}
	sum, err := sumKey(sumKeys)
	if err != nil {
		return masterKey{}, fmt.Errorf("sum: %w", err)
	}
	keys, err := listKeys(sealKeys)
	if err != nil {
		return masterKey{}, fmt.Errorf("seal: %w", err)
	}
	return masterKey{file: file, seal: sealKeys, keys: keys, sum: sum}, nil
}

func decodeMasterFile(master []byte) (masterFile, error) {
	if len(master) > maxMasterKey {
		return masterFile{}, fmt.Errorf("%w: %d bytes, at most %d", errNotMasterKey, len(master), maxMasterKey)
	}
	in := json.NewDecoder(bytes.NewReader(master))
	in.DisallowUnknownFields()
	var file masterFile
	if in.Decode(&file) != nil {
		return masterFile{}, errNotMasterKey
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return masterFile{}, fmt.Errorf("%w: something follows it", errNotMasterKey)
	}
	return file, nil
}

// readKeyset reads a keyset all of whose keys are of the given parameters: a weaker key that slipped
// into the file must not seal anything.
func readKeyset(in []byte, want key.Parameters) (*keyset.Handle, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(in)))
	if err != nil {
		return nil, errNotMasterKey
	}
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil || !want.Equal(entry.Key().Parameters()) {
			return nil, fmt.Errorf("%w: key %d is of another kind", errNotMasterKey, i+1)
		}
	}
	return handle, nil
}

// sumKey returns the bytes of the only key of handle: with two, a sum would depend on which is primary.
func sumKey(handle *keyset.Handle) ([]byte, error) {
	if handle.Len() != 1 {
		return nil, fmt.Errorf("%w: %d keys, must be 1", errNotMasterKey, handle.Len())
	}
	primary, err := handle.Primary()
	if err != nil {
		return nil, errNotMasterKey
	}
	only, ok := primary.Key().(*hmacprf.Key)
	if !ok {
		return nil, errNotMasterKey
	}
	return only.KeyBytes().Data(insecuresecretdataaccess.Token{}), nil
}
