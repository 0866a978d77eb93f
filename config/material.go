package config

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
)

// checkCertificates accepts PEM with at least one certificate.
func checkCertificates(document Document) problem {
	if !x509.NewCertPool().AppendCertsFromPEM(document) {
		return problem{"holds no PEM certificate", "name a file that starts with -----BEGIN CERTIFICATE-----"}
	}
	return problem{}
}

// checkKeySet accepts a JWK Set (RFC 7517 §5) of public keys. Each key is judged when it is used.
func checkKeySet(document Document) problem {
	var set struct {
		Keys []struct {
			D json.RawMessage `json:"d"`
			K json.RawMessage `json:"k"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil || len(set.Keys) == 0 {
		return problem{"holds no JSON key set", `name a file such as {"keys": [{"kty": …}]}`}
	}
	for _, key := range set.Keys {
		if key.D != nil || key.K != nil {
			return problem{"holds a private or symmetric key", "keep only the public keys in it"}
		}
	}
	return problem{}
}

// checkPrivateKey accepts an asymmetric private key: PKCS #8 PEM (RFC 5958) or a JWK (RFC 7517).
func checkPrivateKey(text string) problem {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return checkPrivateJWK(text)
	}
	if block.Type != "PRIVATE KEY" {
		return problem{"holds PEM of another kind than PRIVATE KEY", "convert it with openssl pkcs8 -topk8 -nocrypt"}
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		return problem{"holds a PRIVATE KEY that cannot be read", "make one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"}
	}
	return problem{}
}

func checkPrivateJWK(text string) problem {
	var key struct{ Kty, D string }
	if err := json.Unmarshal([]byte(text), &key); err != nil || key.Kty == "" || key.D == "" {
		return problem{"holds neither a PKCS #8 PEM private key nor a private JWK", "make one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"}
	}
	return problem{}
}
