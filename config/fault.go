package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing wrong in the file: where, what, and what to write instead. It never holds a
// secret's value.
type Fault struct {
	File string
	// Line and Column count from 1; 0 if the fault is the file itself.
	Line, Column int
	// Path is the key, such as "apps.support.audience"; empty if the fault is the file's syntax.
	Path    string
	Message string
	Remedy  string
}

// String returns `file:line:column: path: message; remedy`, leaving out what is not there.
func (f Fault) String() string {
	text := f.File + ": "
	if f.Line > 0 {
		text = fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	}
	if f.Path != "" {
		text += f.Path + ": "
	}
	text += f.Message
	if f.Remedy != "" {
		text += "; " + f.Remedy
	}
	return text
}

// Faults are all the faults of a file, in file order.
type Faults []Fault

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns the faults in the order of their places in the file.
func (f Faults) Sorted() Faults {
	sorted := slices.Clone(f)
	slices.SortStableFunc(sorted, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return sorted
}

// A problem is what is wrong with a value and what to write instead; the zero problem is none.
type problem struct{ message, remedy string }

func (p problem) none() bool { return p.message == "" }

// A position is a place in the file, from 1.
type position struct{ line, column int }

// A report collects where everything stands in a file, and what is wrong with it.
type report struct {
	file    string
	at      map[string]position // of every path in the file
	faulty  map[string]bool     // paths with a fault, so that no rule complains a second time
	faults  Faults
	advice  Faults
	secrets []Secret
}

func newReport(file string) report {
	return report{file: file, at: map[string]position{}, faulty: map[string]bool{}}
}

// fault notes what is wrong with the value at path, if anything is.
func (r *report) fault(path string, p problem) {
	r.faulty[path] = r.faulty[path] || !p.none()
	r.faultAt(r.position(path), path, p)
}

// faultAt notes what is wrong with something else: a key, or the file's syntax without a path.
func (r *report) faultAt(at position, path string, p problem) {
	if p.none() {
		return
	}
	r.faults = append(r.faults, Fault{r.file, at.line, at.column, path, p.message, p.remedy})
}

// advise notes what had better be another at path.
func (r *report) advise(path string, p problem) {
	at := r.position(path)
	r.advice = append(r.advice, Fault{r.file, at.line, at.column, path, p.message, p.remedy})
}

// given says whether path is in the file, or a misspelling of it.
func (r *report) given(path string) bool {
	_, ok := r.at[path]
	return ok || r.faulty[path]
}

// fine says whether path is in the file and nothing was found wrong with it so far.
func (r *report) fine(path string) bool { return r.given(path) && !r.faulty[path] }

// position returns where path stands, or the nearest part around it.
func (r *report) position(path string) position {
	for path != "" {
		if at, ok := r.at[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return position{1, 1}
}
