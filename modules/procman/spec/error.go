package spec

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxErrors is how many faults of one file are told at once.
const MaxErrors = 20

// Error is one fault of a file.
type Error struct {
	File    string // as it was named to Load or LoadFile
	Line    int    // from 1
	Column  int    // from 1, in characters
	Path    string // of the key, such as processes.api.restart.policy; "" if the fault has none
	Message string
	Hint    string // what to write instead; "" if nothing is known
	Excerpt string // the line's text and a caret under the column; "" if the line is unknown
}

// Error is all of it, over several lines if there is an excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// Errors are the faults of one file, in the order of their lines. Use errors.As to get the first *Error.
type Errors []*Error

// Error is all faults, one after the other.
func (e Errors) Error() string {
	text := make([]string, len(e))
	for i := range e {
		text[i] = e[i].Error()
	}
	return strings.Join(text, "\n")
}

// Unwrap gives the faults to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// Note is something that was read and has no effect, or another one than it has where it comes from.
type Note struct {
	File    string
	Line    int
	Column  int
	Path    string
	Message string
}

// String is the note in one line.
func (n Note) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", n.File, n.Line, n.Column, n.Path, n.Message)
}

// source is a file's text, for excerpts.
type source struct {
	name  string
	lines []string
}

func newSource(name string, text []byte) *source {
	return &source{name, strings.Split(string(text), "\n")}
}

// pos is a place in a file.
type pos struct {
	src       *source
	line, col int
}

// faults collects what is wrong, up to MaxErrors.
type faults struct {
	list Errors
}

func (f *faults) full() bool { return len(f.list) >= MaxErrors }

func (f *faults) add(at pos, path, hint, format string, args ...any) {
	if f.full() {
		return
	}
	f.list = append(f.list, newError(at, path, hint, fmt.Sprintf(format, args...)))
}

func newError(at pos, path, hint, message string) *Error {
	e := &Error{Line: at.line, Column: at.col, Path: path, Message: message, Hint: hint}
	if at.src != nil {
		e.File = at.src.name
		e.Excerpt = at.src.excerpt(at.line, at.col)
	}
	return e
}

// err is what was collected, nil if nothing.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	sortByPlace(f.list)
	return f.list
}

func sortByPlace(list Errors) {
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

const maxExcerpt = 160

// secretLine is a key or NAME= that speaks of a secret, with what follows.
var secretLine = regexp.MustCompile(`(?i)([\w.-]*(?:` + secretWords + `)[\w.-]*["']?\s*[:=]\s*)(\S.*)$`)

const secretWords = `passw|passphrase|secret|token|api_?key|private_?key|access_?key|credential|_key\b|_pwd\b`

var secretName = regexp.MustCompile(`(?i)(` + secretWords + `|^pwd_|_pass\b|^pass\b)`)

// SecretName tells whether a variable's name speaks of a secret, so that its value is shown nowhere.
func SecretName(name string) bool { return secretName.MatchString(name) }

const hidden = "***"

// excerpt is the line and a caret. What looks like a secret's value is left out: errors are logged.
func (s *source) excerpt(line, col int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	text := strings.TrimRight(s.lines[line-1], "\r")
	if secretLine.MatchString(text) {
		text = secretLine.ReplaceAllString(text, "${1}"+hidden)
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "?")
	}
	r := []rune(text)
	col = min(max(col, 1), len(r)+1)
	from := 0
	if len(r) > maxExcerpt {
		from = max(0, min(col-maxExcerpt/2, len(r)-maxExcerpt))
		r = r[from : from+maxExcerpt]
		col -= from
	}
	pad := make([]rune, 0, col)
	for _, c := range r[:min(len(r), col-1)] {
		if c != '\t' {
			c = ' '
		}
		pad = append(pad, c)
	}
	number := fmt.Sprintf("%5d | ", line)
	return number + string(r) + "\n" + strings.Repeat(" ", len(number)-2) + "| " + string(pad) + "^"
}

// meant is the hint for a name that isn't one of the known: the nearest, if it is near.
func meant(name string, known []string) string {
	best, near := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= near && (best == "" || d < near) {
			best, near = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is how many letters have to be changed, added, taken or swapped with their neighbour.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	var rows [3][66]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
