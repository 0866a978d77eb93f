package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"chatpass/seal"
	"chatpass/store"
)

// checkSeals says how far a renewal of the master key has come. While there is none, nothing is counted.
func checkSeals(ctx context.Context, st *store.Store, held []seal.Key) []finding {
	findings := []finding{{"master key", statusOK, "opens the store"}}
	if len(held) == 1 {
		return findings
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	counts, err := st.Census(ctx)
	return append(findings, judgeSeals(held, counts, err == nil)...)
}

// judgeSeals says what a census means, which may have been cut off.
func judgeSeals(held []seal.Key, counts map[seal.Key]int, whole bool) []finding {
	var findings []finding
	say := func(status findingStatus, format string, args ...any) {
		findings = append(findings, finding{"master key", status, fmt.Sprintf(format, args...)})
	}
	atLeast := ""
	if !whole {
		atLeast = "at least "
	}
	for _, k := range held {
		switch n := counts[k]; {
		case k.Use == seal.Staged:
			say(statusAdvice, "key %s is staged: when every replica runs with it, `chatpass secret rotate FILE` lets it seal", k.ID)
		case k.Use == seal.Old && (n > 0 || !whole):
			say(statusAdvice, "values still sealed under old key %s: %s%d; the service seals them anew in the background", k.ID, atLeast, n)
		case k.Use == seal.Old:
			say(statusAdvice, "nothing is sealed under old key %s any more: `chatpass secret retire FILE` removes it", k.ID)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b seal.Key) int { return cmp.Compare(a.ID, b.ID) }) {
		if !slices.Contains(held, k) {
			say(statusFault, "values that it cannot open: %s%d, %s; give its newest copy, or restore what is damaged", atLeast, counts[k], whose(k))
		}
	}
	return findings
}

func whose(k seal.Key) string {
	if k.ID == "" {
		return "damaged"
	}
	return "sealed under key " + k.ID
}
