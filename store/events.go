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

func (r ring) Link(ctx context.Context, n int64) ([]byte, error) {
	found, ok, err := r.get(ctx, kindEvent, eventKey(n))
	if err != nil || !ok {
		return nil, err
	}
	var stored keyEvent
	if err := r.open(found, &stored); err != nil {
		return nil, fmt.Errorf("%w: %v", keys.ErrBrokenChain, err)
	}
	return stored.Link, nil
}

func (r ring) Events(ctx context.Context) ([]keys.Event, keys.Mark, error) {
	at, _, err := r.stored(ctx)
	if err != nil {
		return nil, keys.Mark{}, err
	}
	walk := chainWalk{ring: r, known: keys.Mark{Events: at.Events, Head: at.Head}}
	next := page{kind: kindEvent, value: allEvents(), after: []byte{}, limit: pageSize}
	for {
		rows, err := r.list(ctx, "list_events", next)
		if err != nil {
			return nil, keys.Mark{}, err
		}
		for _, row := range rows {
			walk.step(row)
		}
		if len(rows) < pageSize {
			break
		}
		next.after = rows[len(rows)-1].key
	}
	if walk.end.Events < walk.known.Events {
		walk.fault("it ends with event %d of %d", walk.end.Events, walk.known.Events)
		walk.end = walk.known
	}
	return walk.events, walk.end, walk.broken
}

// A chainWalk goes along the chain of events, and past what is broken in it.
type chainWalk struct {
	ring
	known  keys.Mark // the end that the ring knows
	events []keys.Event
	end    keys.Mark // so far
	broken error     // the first fault
}

func (w *chainWalk) step(row record) {
	follows := bytes.Equal(row.key, eventKey(w.end.Events+1))
	if !follows {
		w.fault("event %d is missing", w.end.Events+1)
	}
	var stored keyEvent
	if err := w.open(row, &stored); err != nil {
		w.fault("event %d: %v", w.end.Events+1, err)
		if follows {
			w.end.Events++
		}
		return
	}
	n := int64(binary.BigEndian.Uint64(row.key)) // what opens is ours, in the place where we put it
	if !bytes.Equal(stored.Link, w.link(w.end.Head, stored.Event)) {
		w.fault("event %d does not follow the one before", n)
	}
	if n == w.known.Events && !bytes.Equal(stored.Link, w.known.Head) {
		w.fault("event %d is not the one that the ring ends with", n)
	}
	w.end = keys.Mark{Events: n, Head: stored.Link}
	var event keys.Event
	if err := json.Unmarshal(stored.Event, &event); err != nil {
		w.fault("event %d: %v", n, err)
		return
	}
	w.events = append(w.events, event)
}

func (w *chainWalk) fault(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf("%w: "+format, append([]any{keys.ErrBrokenChain}, args...)...)
	}
}
