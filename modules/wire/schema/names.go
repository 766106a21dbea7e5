package schema

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxName is PostgreSQL's longest name in bytes.
const maxName = 63

// objectName makes the name of an object that the client didn't name, as PostgreSQL does: table_column_label, the
// longer of the first two shortened until it fits.
func objectName(table, column, label string) string {
	over := 1 + len(label)
	if column != "" {
		over++
	}
	a, b := len(table), len(column)
	for a+b > maxName-over {
		if a > b {
			a--
		} else {
			b--
		}
	}
	name := clip(table, a)
	if column != "" {
		name += "_" + clip(column, b)
	}
	return name + "_" + label
}

// clip shortens s to at most n bytes without cutting a character.
func clip(s string, n int) string {
	if n >= len(s) {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// freeName returns the first of table_column_label, …label1, …label2 that isn't taken.
func freeName(table, column, label string, taken func(string) bool) string {
	name := objectName(table, column, label)
	for n := 1; taken(name); n++ {
		name = objectName(table, column, label+strconv.Itoa(n))
	}
	return name
}

// hidden tells whether clients must not see a name.
func hidden(name string) bool {
	return len(name) >= len(hiddenPrefix) && strings.EqualFold(name[:len(hiddenPrefix)], hiddenPrefix)
}

// relationTaken tells whether a namespace has a relation of that name.
func (s *Schema) relationTaken(namespace, name string) bool {
	key := Key{namespace, name}
	return s.Tables[key] != nil || s.Indexes[key] != nil || s.Sequences[key] != nil
}

// typeTaken tells whether a namespace has a type of that name; tables give their name to their row type.
func (s *Schema) typeTaken(namespace, name string) bool {
	key := Key{namespace, name}
	return s.Enums[key] != nil && s.Enums[key].Table == 0 || s.Domains[key] != nil ||
		s.Tables[key] != nil && s.Tables[key].Sequence == 0
}

// constraintTaken tells whether a table of the namespace has a constraint of that name.
func (s *Schema) constraintTaken(namespace, name string) bool {
	for _, t := range s.Tables {
		if t.Namespace == namespace && t.Constraint(name) != nil {
			return true
		}
	}
	return false
}
