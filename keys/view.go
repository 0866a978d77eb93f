package keys

import (
	"cmp"
	"crypto"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// A view is what a replica shows of the ring: everything that requests need, made once per change
// and never modified. Only leases are renewed between changes.
type view struct {
	*picture
	// until is when each class stops signing, in elapsed time.
	until map[string]time.Duration
	// watch is what was known of the keys' ages, and memory what of the ring's past.
	watch  watch
	memory Memory
}

// A picture is one version of the ring, ready for use.
type picture struct {
	version int64
	records []Record // without private halves, only with references to them
	set     KeySet
	signers map[string]*signer // by class
	// verifiers are the served keys by kid.
	verifiers map[string]verifier
}

// A verifier is a published key.
type verifier struct {
	class, algorithm string
	public           crypto.PublicKey
}

// A signer is a private key that signs now.
type signer struct {
	record  Record // without its private half
	alg     algorithm
	key     crypto.Signer
	headers sync.Map // protected headers by typ, encoded
}

// newPicture reads a ring. It refuses one that would serve a kid twice or a key that is not what its
// record says: better the last good one.
func newPicture(snap Snapshot, cfg *Config) (*picture, error) {
	p := &picture{version: snap.Version, signers: map[string]*signer{}, verifiers: map[string]verifier{}}
	records := slices.SortedFunc(slices.Values(snap.Keys), func(a, b Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.KID, b.KID))
	})
	set := jwk.NewSet()
	for _, r := range records {
		if served(&r, cfg.Denied) {
			if err := p.add(&r, set, cfg.Module); err != nil {
				return nil, err
			}
		}
		if !r.Outside {
			r.Private = nil
		}
		p.records = append(p.records, r)
	}
	var err error
	p.set, err = renderKeySet(set)
	return p, err
}

// served says whether a key is in the key set.
func served(r *Record, denied []string) bool {
	switch r.state() {
	case Pending, Active, Retiring:
		return !slices.Contains(denied, r.KID)
	}
	return false
}

func (p *picture) add(r *Record, set jwk.Set, module Module) error {
	if _, ok := p.verifiers[r.KID]; ok {
		return fmt.Errorf("kid %s is in the ring twice", r.KID)
	}
	public, alg, err := publicHalf(r)
	if err != nil {
		return err
	}
	if r.Outside && module == nil && r.state() != Retiring {
		return fmt.Errorf("key %s is kept outside of the store and no module is configured: configure it again", r.KID)
	}
	p.verifiers[r.KID] = verifier{r.Class, r.Algorithm, public}
	if r.state() == Active {
		private, err := r.signer(public, module)
		if err != nil {
			return err
		}
		if p.signers[r.Class] != nil {
			return fmt.Errorf("class %s has two active keys", r.Class)
		}
		record := *r
		record.Private = nil
		p.signers[r.Class] = &signer{record: record, alg: alg, key: private}
	}
	return addJWK(set, r, public)
}

// began says whether a class has ever had a key that signed.
func (p *picture) began(class string) bool {
	return slices.ContainsFunc(p.records, func(k Record) bool {
		return k.Class == class && !k.Activated.IsZero()
	})
}

// algorithms are those of the served keys of a class, sorted.
func (p *picture) algorithms(class string) []string {
	found := map[string]bool{}
	for _, v := range p.verifiers {
		if v.class == class {
			found[v.algorithm] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
