package status

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

const (
	// typ is the `typ` of a list (draft §5.1), and MediaType what it is served as (draft §8.1).
	typ = "statuslist+jwt"
	// MediaType is the content type of a list.
	MediaType = "application/" + typ

	// fewestDecoys is the least number of places that no session has and whose bits are set all the same;
	// mostDecoys is one more than the greatest. How many a list has is part of its secret, so that it does
	// not tell how many sessions have ended.
	fewestDecoys, mostDecoys = 128, 512
	// level is that of zlib: the last quarter of the bytes would cost many times more.
	level = 6
)

// A list is what is known of one list.
type list struct {
	decoys []int
	// ended holds, by index, until when the bit is needed.
	ended  map[int]time.Time
	packed string // base64url of the compressed bits; empty when it is to be made anew
}

func newList(shuffle permutation) *list {
	l := &list{ended: map[int]time.Time{}}
	for i := range fewestDecoys + shuffle.at(Size/2)%(mostDecoys-fewestDecoys) {
		l.decoys = append(l.decoys, shuffle.at(Size-1-i)) // the second half is never taken
	}
	return l
}

func (l *list) end(index int, until time.Time) {
	if _, known := l.ended[index]; !known {
		l.packed = ""
	}
	l.ended[index] = until
}

// forget clears the bits of sessions whose contexts have all expired.
func (l *list) forget(now time.Time) {
	before := len(l.ended)
	maps.DeleteFunc(l.ended, func(_ int, until time.Time) bool { return !now.Before(until) })
	if len(l.ended) != before {
		l.packed = ""
	}
}

// pack compresses the bits (draft §4.1): the first index is the lowest bit of the first byte.
func (l *list) pack() error {
	if l.packed != "" {
		return nil
	}
	bits := make([]byte, Size/8)
	set := func(index int) { bits[index/8] |= 1 << (index % 8) }
	for index := range l.ended {
		set(index)
	}
	for _, index := range l.decoys {
		set(index)
	}
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, level)
	if err != nil {
		return fmt.Errorf("compress status list: %w", err)
	}
	if _, err := w.Write(bits); err != nil {
		return fmt.Errorf("compress status list: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress status list: %w", err)
	}
	l.packed = base64.RawURLEncoding.EncodeToString(packed.Bytes())
	return nil
}

// payload is a list's claims (draft §5.1).
type payload struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"` // the list's own address
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
	TTL     int    `json:"ttl"`
	List    struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
}

// render signs every list as of the last look, and serves them.
func (l *Lists) render(ctx context.Context) error {
	served := make(map[string]Rendered, len(l.lists))
	for name, at := range l.lists {
		if err := at.pack(); err != nil {
			return err
		}
		claims := payload{
			Issuer: l.cfg.Issuer, Subject: l.cfg.URI + name, Issued: l.read.Unix(), Expires: l.read.Add(Life).Unix(), TTL: int(l.cfg.TTL / time.Second),
		}
		claims.List.Bits, claims.List.List = 1, at.packed
		body, err := json.Marshal(claims)
		if err != nil {
			return fmt.Errorf("encode status list: %w", err)
		}
		token, err := l.cfg.Signer.Sign(ctx, typ, body)
		if err != nil {
			return fmt.Errorf("sign status list: %w", err)
		}
		served[name] = Rendered{Token: []byte(token), Read: l.read}
	}
	l.served.Store(&served)
	return nil
}
