package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// seal encodes v as the value of the record of that key. All values are sealed, secret or not: then
// none can be altered, or be put in the place of another, by somebody who only has the file.
func (s *Store) seal(k kind, key []byte, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", k, err)
	}
	sealed, err := s.cfg.Sealer.Seal(plain, place(k, key))
	if err != nil {
		return nil, outage("seal "+string(k), err)
	}
	return sealed, nil
}

// open decodes the value of a record into v. A value that does not open is an outage and never an
// answer: nobody is signed out because a file is damaged.
func (s *Store) open(r record, v any) error {
	if err := s.unseal(r, v); err != nil {
		return outage("open "+string(r.kind), err)
	}
	return nil
}

// unseal is open for who can do without the record: its error is no outage.
func (s *Store) unseal(r record, v any) error {
	plain, err := s.cfg.Sealer.Open(r.value, place(r.kind, r.key))
	if err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// place is the associated data of a record's value. A kind holds no NUL.
func place(k kind, key []byte) []byte {
	return append([]byte(string(k)+"\x00"), key...)
}

// sum names something personal, foreign or long by a keyed hash of 32 bytes.
func (s *Store) sum(purpose string, parts ...string) []byte {
	var data []byte
	for _, part := range parts {
		data = binary.AppendUvarint(data, uint64(len(part)))
		data = append(data, part...)
	}
	return s.cfg.Sealer.Sum("store "+purpose, data)
}
