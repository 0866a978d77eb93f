package jwks

import (
	"crypto/rsa"
	"math/big"
)

// isROCA says whether a modulus has the mark of the chips that made guessable keys (CVE-2017-15361): their
// primes are powers of 65537 modulo many small primes at once, and so is the modulus. One good modulus in a
// hundred million has it too.
func isROCA(key *rsa.PublicKey) bool {
	for _, prime := range []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157} {
		residue := new(big.Int).Mod(key.N, big.NewInt(prime)).Int64()
		if !isPower(65537, residue, prime) {
			return false
		}
	}
	return true
}

// isPower says whether residue is base^n modulo prime for some n.
func isPower(base, residue, prime int64) bool {
	power := int64(1)
	for range prime {
		if power == residue {
			return true
		}
		power = power * base % prime
	}
	return false
}
