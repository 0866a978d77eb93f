package store

import (
	"context"
	"fmt"

	"chatpass/decision"
	"chatpass/session"
)

// kindDecision is the name space of refusals, by the id of the decision.
const kindDecision kind = "decision"

// byRequest is the index column of a refusal.
const byRequest = 0

func (s trades) KeepDecisions(ctx context.Context, fresh, counted []decision.Decision) error {
	ops := make([]op, 0, len(fresh)+len(counted))
	for _, d := range fresh {
		row, err := s.refusal(d)
		if err != nil {
			return err
		}
		ops = append(ops, op{verb: create, record: row, otherwise: session.ErrExists})
	}
	for _, d := range counted {
		row, err := s.refusal(d)
		if err != nil {
			return err
		}
		row.version = 1 // nobody counts it twice
		ops = append(ops, op{verb: swap, record: row, otherwise: session.ErrNotFound})
	}
	if err := s.apply(ctx, "keep_decisions", ops...); err != nil {
		return fmt.Errorf("keep decisions: %w", err)
	}
	return nil
}

func (s trades) refusal(d decision.Decision) (record, error) {
	row := record{kind: kindDecision, key: []byte(d.ID), expires: instant(d.Time.Add(decision.KeptFor))}
	if d.RequestID != "" {
		row.index[byRequest] = s.ofRequest(d.RequestID)
	}
	var err error
	row.value, err = s.seal(kindDecision, row.key, d)
	return row, err
}

func (s trades) ofRequest(id string) []byte { return s.sum("request", id) }

func (s trades) Decision(ctx context.Context, id string) (decision.Decision, error) {
	found, ok, err := s.get(ctx, kindDecision, []byte(id))
	if err != nil {
		return decision.Decision{}, err
	}
	if !ok {
		return s.decisionOfRequest(ctx, id)
	}
	var d decision.Decision
	err = s.open(found, &d)
	return d, err
}

func (s trades) decisionOfRequest(ctx context.Context, id string) (d decision.Decision, err error) {
	of := page{kind: kindDecision, column: byRequest, value: s.ofRequest(id), after: []byte{}, limit: 1}
	rows, err := s.list(ctx, "list_decisions", of)
	if err != nil {
		return decision.Decision{}, err
	}
	if len(rows) == 0 {
		return decision.Decision{}, session.ErrNotFound
	}
	err = s.open(rows[0], &d)
	return d, err
}
