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

// distance is the number of letters to insert, remove, replace or swap with their neighbour to make a
// into b (optimal string alignment).
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
