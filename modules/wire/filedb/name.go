package filedb

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxFileName leaves room in the 255 bytes of common file systems for SQLite's own endings.
const maxFileName = 240

// fileName is the file of a database. Letters, digits, "_" and "-" stand for themselves, so does "." but at the
// beginning; every other byte is written %xx, as in a URL.
func fileName(name string) (string, error) {
	if name == "" || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%q can't be the name of a database", name)
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if isPlain(c) || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	b.WriteString(suffix)
	if b.Len() > maxFileName {
		return "", fmt.Errorf("the name %q is too long", name)
	}
	return b.String(), nil
}

// nameOf is the inverse of fileName. Files that no database's name leads to are none of ours.
func nameOf(file string) (string, bool) {
	coded, ok := strings.CutSuffix(file, suffix)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(coded); i++ {
		if coded[i] != '%' {
			b.WriteByte(coded[i])
			continue
		}
		var c byte
		if i+3 > len(coded) {
			return "", false
		}
		if _, err := fmt.Sscanf(coded[i+1:i+3], "%02x", &c); err != nil {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	again, err := fileName(b.String())
	return b.String(), err == nil && again == file
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
