package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"chatpass/keys"
)

// keyEvent is an event as stored. Link is the HMAC of the link before and the event: one that is
// missing, altered or moved breaks the chain for all behind it.
type keyEvent struct {
	Event json.RawMessage `json:"event"`
	Link  []byte          `json:"link"`
}

// allEvents is the index value by which events are listed.
func allEvents() []byte { return []byte("ring") }

// eventKey is the place of the nth event, counted from 1.
func eventKey(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// chain appends events to the chain that ends as at says, and returns the writes that it takes.
func (r ring) chain(at *storedRing, events []keys.Event) ([]op, error) {
	var writes []op
	for _, e := range events {
		plain, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode key event: %w", err)
		}
		at.Events, at.Head = at.Events+1, r.link(at.Head, plain)
		entry := record{kind: kindEvent, key: eventKey(at.Events), expires: never}
		entry.index[0] = allEvents()
		if entry.value, err = r.seal(kindEvent, entry.key, keyEvent{plain, at.Head}); err != nil {
			return nil, err
		}
		writes = append(writes, op{verb: create, record: entry, otherwise: keys.ErrConflict})
	}
	return writes, nil
}

func (r ring) link(head, event []byte) []byte {
	return r.sum("key event", string(head), string(event))
}

func (r ring) Events(ctx context.Context) ([]keys.Event, error) {
	at, _, err := r.stored(ctx)
	if err != nil {
		return nil, err
	}
	var events []keys.Event
	var head []byte
	next := page{kind: kindEvent, value: allEvents(), after: []byte{}, limit: pageSize}
	for int64(len(events)) < at.Events {
		rows, err := r.list(ctx, "list_events", next)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return nil, fmt.Errorf("%w: %d of %d events are there", keys.ErrBrokenChain, len(events), at.Events)
		}
		for _, row := range rows {
			event, link, err := r.event(row, head)
			if err != nil {
				return nil, fmt.Errorf("%w at event %d", err, len(events)+1)
			}
			if events, head = append(events, event), link; int64(len(events)) == at.Events {
				break // what follows was written since
			}
		}
		next.after = rows[len(rows)-1].key
	}
	if !bytes.Equal(head, at.Head) {
		return nil, fmt.Errorf("%w at its end", keys.ErrBrokenChain)
	}
	return events, nil
}

// event reads one event, and checks that it follows the one with that link.
func (r ring) event(row record, head []byte) (keys.Event, []byte, error) {
	var stored keyEvent
	if err := r.open(row, &stored); err != nil {
		return keys.Event{}, nil, fmt.Errorf("%w: %v", keys.ErrBrokenChain, err)
	}
	link := r.link(head, stored.Event)
	if !bytes.Equal(link, stored.Link) {
		return keys.Event{}, nil, keys.ErrBrokenChain
	}
	var event keys.Event
	if err := json.Unmarshal(stored.Event, &event); err != nil {
		return keys.Event{}, nil, outage("decode key event", err)
	}
	return event, link, nil
}
