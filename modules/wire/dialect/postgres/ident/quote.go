package ident

import (
	"slices"
	"strings"
)

// Find returns the key word that s is, in lower case.
func Find(s string) (Keyword, bool) {
	i, ok := slices.BinarySearchFunc(Keywords, s, func(k Keyword, s string) int { return strings.Compare(k.Word, s) })
	if !ok {
		return Keyword{}, false
	}
	return Keywords[i], true
}

// Quote returns s as an identifier, in quotes where it needs them, as quote_ident does.
func Quote(s string) string {
	safe := s != "" && (s[0] == '_' || 'a' <= s[0] && s[0] <= 'z')
	for i := 1; safe && i < len(s); i++ {
		c := s[i]
		safe = c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
	}
	if safe {
		if k, ok := Find(s); !ok || k.Category == Unreserved {
			return s
		}
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// QuoteLiteral returns s as a string literal, as quote_literal does.
func QuoteLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}
