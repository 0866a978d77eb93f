package config

import (
	"slices"
	"strings"
)

// nearest returns the known word that word was probably meant to be, or "".
func nearest(word string, known []string) string {
	if len(word) > 64 || len(known) == 0 {
		return ""
	}
	const enough = 50 // of what a person could have meant
	known = known[:min(len(known), enough)]
	word = strings.ToLower(word)
	best := slices.MinFunc(known, func(a, b string) int { return distance(word, strings.ToLower(a)) - distance(word, strings.ToLower(b)) })
	if distance(word, strings.ToLower(best)) > 1+len(word)/3 {
		return ""
	}
	return best
}

// distance is the number of letters to insert, remove or replace to make a into b (Levenshtein).
func distance(a, b string) int {
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, replaced)
		}
		last = row
	}
	return last[len(b)]
}
