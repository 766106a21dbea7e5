package runlog

import (
	"bytes"
	"strconv"
)

// parseLogfmt reads pairs. A line that begins with one, has at least two, and a known key among them is logfmt; so a
// sentence with "x=1" in it isn't.
func parseLogfmt(b []byte, f *Fields) bool {
	pairs, known := 0, false
	for len(b) > 0 {
		if b[0] == ' ' || b[0] == '\t' {
			b = b[1:]
			continue
		}
		n := keyLen(b)
		if n == 0 || n == len(b) || b[n] != '=' {
			// Some loggers leave values with spaces without quotes.
			if pairs == 0 {
				return false
			}
			b = b[wordLen(b):]
			continue
		}
		key := b[:n]
		b = b[n+1:]
		value := b[:0]
		if len(b) > 0 && b[0] == '"' {
			n, escaped := quoted(b)
			if n == 0 {
				return false
			}
			value = b[1 : n-1]
			if escaped {
				if s, err := strconv.Unquote(string(b[:n])); err == nil {
					value = []byte(s)
				}
			}
			b = b[n:]
		} else {
			n := wordLen(b)
			value = b[:n]
			b = b[n:]
		}
		pairs++
		if what := fieldOf(key); what != noField {
			known = true
			f.set(what, value, true)
		}
	}
	return pairs >= 2 && known
}

func keyLen(b []byte) int {
	for i, c := range b {
		if c <= ' ' || c == '=' || c == '"' || c == 0x7f {
			return i
		}
	}
	return len(b)
}

func wordLen(b []byte) int {
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return i
	}
	return len(b)
}

// quoted is the length of a string with its quotes; 0 if it doesn't end.
func quoted(b []byte) (n int, escaped bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			return i + 1, escaped
		}
	}
	return 0, false
}
