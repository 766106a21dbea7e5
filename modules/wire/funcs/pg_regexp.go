package funcs

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Regular expressions. PostgreSQL's are translated to Go's, which match in linear time: look-around and back references
// are therefore refused by name. An expression without non-greedy parts takes the longest match, as PostgreSQL does.

// pgPattern is a compiled expression with the flags that aren't the expression's own.
type pgPattern struct {
	re     *regexp.Regexp
	global bool
}

// pgPatterns keeps compiled expressions; it is emptied when it is full.
var pgPatterns = struct {
	sync.RWMutex
	m map[string]*pgPattern
}{m: map[string]*pgPattern{}}

const pgMaxPatterns = 512

// pgCompile compiles a pattern with PostgreSQL's flags. similar patterns are keyed apart by the caller.
func pgCompile(pattern, flags string) (*pgPattern, error) {
	key := flags + "/" + pattern
	pgPatterns.RLock()
	p := pgPatterns.m[key]
	pgPatterns.RUnlock()
	if p != nil {
		return p, nil
	}
	p, err := pgNewPattern(pattern, flags)
	if err != nil {
		return nil, err
	}
	pgPatterns.Lock()
	if len(pgPatterns.m) >= pgMaxPatterns {
		clear(pgPatterns.m)
	}
	pgPatterns.m[key] = p
	pgPatterns.Unlock()
	return p, nil
}

func pgBadRegexp(format string, args ...any) error {
	return sqlerr.New("2201B", "invalid regular expression: "+format, args...)
}

func pgNewPattern(pattern, flags string) (*pgPattern, error) {
	p := &pgPattern{}
	var fold, literal, expanded bool
	dotNewline, lines := true, false
	set := func(c byte) bool {
		switch c {
		case 'i':
			fold = true
		case 'c':
			fold = false
		case 'n', 'm':
			dotNewline, lines = false, true
		case 'p':
			dotNewline, lines = false, false
		case 'w':
			dotNewline, lines = true, true
		case 's':
			dotNewline, lines = true, false
		case 'q':
			literal = true
		case 'x':
			expanded = true
		case 't':
			expanded = false
		case 'b', 'e':
		default:
			return false
		}
		return true
	}
	for i := range len(flags) {
		if flags[i] == 'g' {
			p.global = true
			continue
		}
		if !set(flags[i]) {
			c, _ := utf8.DecodeRuneInString(flags[i:])
			return nil, sqlerr.New("22023", "invalid regular expression option: \"%c\"", c)
		}
	}
	switch {
	case strings.HasPrefix(pattern, "***="):
		pattern, literal = pattern[4:], true
	case strings.HasPrefix(pattern, "***:"):
		pattern = pattern[4:]
	}
	if !literal && strings.HasPrefix(pattern, "(?") && len(pattern) > 2 && pattern[2] >= 'a' && pattern[2] <= 'z' {
		end := strings.IndexByte(pattern, ')')
		if end < 0 {
			return nil, pgBadRegexp("parentheses () not balanced")
		}
		for i := 2; i < end; i++ {
			if !set(pattern[i]) {
				return nil, pgBadRegexp("invalid embedded option")
			}
		}
		pattern = pattern[end+1:]
	}
	out, lazy := regexp.QuoteMeta(pattern), false
	if !literal {
		var err error
		if out, lazy, err = pgTranslateRegexp(pattern, expanded); err != nil {
			return nil, err
		}
	}
	options := ""
	if fold {
		options += "i"
	}
	if dotNewline {
		options += "s"
	}
	if lines {
		options += "m"
	}
	if options != "" {
		out = "(?" + options + ")" + out
	}
	re, err := regexp.Compile(out)
	if err != nil {
		return nil, pgRegexpError(err)
	}
	if !lazy {
		re.Longest()
	}
	p.re = re
	return p, nil
}

// pgRegexpError words an error of Go's parser as PostgreSQL does.
func pgRegexpError(err error) error {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return pgBadRegexp("%s", err)
	}
	switch e.Code {
	case syntax.ErrMissingParen, syntax.ErrUnexpectedParen:
		return pgBadRegexp("parentheses () not balanced")
	case syntax.ErrMissingRepeatArgument, syntax.ErrInvalidRepeatOp:
		return pgBadRegexp("quantifier operand invalid")
	case syntax.ErrMissingBracket:
		return pgBadRegexp("brackets [] not balanced")
	case syntax.ErrInvalidCharRange:
		if strings.HasPrefix(e.Expr, "[:") {
			return pgBadRegexp("invalid character class")
		}
		return pgBadRegexp("invalid character range")
	case syntax.ErrInvalidRepeatSize:
		return pgBadRegexp("invalid repetition count(s)")
	case syntax.ErrLarge, syntax.ErrNestingDepth:
		return pgBadRegexp("regular expression is too complex")
	}
	return pgBadRegexp("%s", e.Code)
}

// pgTranslateRegexp writes an advanced regular expression of PostgreSQL in Go's syntax; lazy says that it has a
// non-greedy quantifier.
func pgTranslateRegexp(s string, expanded bool) (out string, lazy bool, err error) {
	var b strings.Builder
	first := true
	// quantifier looks at what follows a quantifier. The first one decides for the whole expression: when it is
	// non-greedy the shortest match is wanted, so all others become non-greedy as well.
	quantifier := func(next int) int {
		is := next < len(s) && s[next] == '?'
		if first {
			lazy, first = is, false
		}
		if lazy || is {
			b.WriteByte('?')
		}
		if is {
			return 1
		}
		return 0
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case expanded && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
		case expanded && c == '#':
			for i+1 < len(s) && s[i+1] != '\n' {
				i++
			}
		case c == '\\':
			n, text, err := pgEscape(s[i:], false)
			if err != nil {
				return "", false, err
			}
			b.WriteString(text)
			i += n - 1
		case c == '[':
			n, text, err := pgBracket(s[i:])
			if err != nil {
				return "", false, err
			}
			b.WriteString(text)
			i += n - 1
		case c == '(' && strings.HasPrefix(s[i:], "(?"):
			if i+2 >= len(s) {
				return "", false, pgBadRegexp("quantifier operand invalid")
			}
			switch s[i+2] {
			case ':':
				b.WriteString("(?:")
				i += 2
			case '#':
				for i < len(s) && s[i] != ')' {
					i++
				}
			case '=', '!', '<':
				return "", false, sqlerr.New("0A000", "look-around in regular expressions is not supported")
			default:
				return "", false, pgBadRegexp("quantifier operand invalid")
			}
		case c == '*' || c == '+' || c == '?':
			b.WriteByte(c)
			i += quantifier(i + 1)
		case c == '{' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return "", false, pgBadRegexp("braces {} not balanced")
			}
			b.WriteString(s[i : i+end+1])
			i += end
			i += quantifier(i + 1)
		case c == '{':
			b.WriteString(`\{`)
		case c == '}':
			b.WriteString(`\}`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), lazy, nil
}

// pgEscape translates a backslash escape at the start of s.
func pgEscape(s string, bracket bool) (n int, text string, err error) {
	if len(s) < 2 {
		return 0, "", pgBadRegexp("invalid escape \\ sequence")
	}
	hexadecimal := func(from, least, most int) (int, string, error) {
		to := from
		for to < len(s) && to-from < most && strings.IndexByte("0123456789abcdefABCDEF", s[to]) >= 0 {
			to++
		}
		if to-from < least {
			return 0, "", pgBadRegexp("invalid escape \\ sequence")
		}
		return to, `\x{` + s[from:to] + `}`, nil
	}
	switch c := s[1]; c {
	case 'a', 'f', 'n', 'r', 't', 'v', 'd', 's', 'D', 'S':
		return 2, s[:2], nil
	case 'w':
		if bracket {
			return 2, `\p{L}\p{N}_`, nil
		}
		return 2, `[\p{L}\p{N}_]`, nil
	case 'W':
		if bracket {
			return 0, "", pgBadRegexp("invalid escape \\ sequence")
		}
		return 2, `[^\p{L}\p{N}_]`, nil
	case 'b':
		return 2, `\x08`, nil
	case 'B':
		return 2, `\\`, nil
	case 'e':
		return 2, `\x1b`, nil
	case 'A':
		return 2, `\A`, nil
	case 'Z':
		return 2, `\z`, nil
	case 'y', 'm', 'M':
		return 2, `\b`, nil
	case 'Y':
		return 2, `\B`, nil
	case 'u':
		return hexadecimal(2, 4, 4)
	case 'U':
		return hexadecimal(2, 8, 8)
	case 'x':
		return hexadecimal(2, 1, 8)
	case 'c':
		if len(s) < 3 {
			return 0, "", pgBadRegexp("invalid escape \\ sequence")
		}
		return 3, fmt.Sprintf(`\x%02x`, s[2]&0x1f), nil
	case '0':
		return 2, `\x00`, nil
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if bracket {
			return 0, "", pgBadRegexp("invalid escape \\ sequence")
		}
		return 0, "", sqlerr.New("0A000", "back references in regular expressions are not supported")
	default:
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return 0, "", pgBadRegexp("invalid escape \\ sequence")
		}
		_, size := utf8.DecodeRuneInString(s[1:])
		return 1 + size, regexp.QuoteMeta(s[1 : 1+size]), nil
	}
}

// pgClasses are the character classes that go beyond ASCII.
var pgClasses = map[string]string{
	"alpha": `\p{L}`, "alnum": `\p{L}\p{N}`, "upper": `\p{Lu}`, "lower": `\p{Ll}`,
}

// pgBracket translates a bracket expression at the start of s.
func pgBracket(s string) (n int, text string, err error) {
	switch {
	case strings.HasPrefix(s, "[[:<:]]"), strings.HasPrefix(s, "[[:>:]]"):
		return 7, `\b`, nil
	}
	var b strings.Builder
	b.WriteByte('[')
	i := 1
	if i < len(s) && s[i] == '^' {
		b.WriteByte('^')
		i++
	}
	for first := true; ; first = false {
		if i >= len(s) {
			return 0, "", pgBadRegexp("brackets [] not balanced")
		}
		switch c := s[i]; {
		case c == ']' && !first:
			b.WriteByte(']')
			return i + 1, b.String(), nil
		case c == '[' && i+1 < len(s) && (s[i+1] == ':' || s[i+1] == '.' || s[i+1] == '='):
			end := strings.Index(s[i+2:], string(s[i+1])+"]")
			if end < 0 {
				return 0, "", pgBadRegexp("brackets [] not balanced")
			}
			name := s[i+2 : i+2+end]
			switch {
			case s[i+1] == ':' && pgClasses[name] != "":
				b.WriteString(pgClasses[name])
			case s[i+1] == ':':
				b.WriteString("[:" + name + ":]")
			default:
				b.WriteString(regexp.QuoteMeta(name))
			}
			i += 2 + end + 2
		case c == '[' || c == ']':
			b.WriteString(`\` + string(c))
			i++
		case c == '\\':
			n, text, err := pgEscape(s[i:], true)
			if err != nil {
				return 0, "", err
			}
			b.WriteString(text)
			i += n
		case c == '^' || c == '&' || c == '~':
			b.WriteString(`\` + string(c))
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
}

// pgSimilar writes the pattern of SIMILAR TO as a regular expression of the whole string.
func pgSimilar(p string, escape string) (string, error) {
	if utf8.RuneCountInString(escape) > 1 {
		return "", pgBadEscape()
	}
	esc, _ := utf8.DecodeRuneInString(escape)
	var b strings.Builder
	b.WriteString("^(?:")
	bracket, parts, escaped := false, 0, false
	for _, c := range p {
		switch {
		case escaped:
			escaped = false
			if c == '"' {
				if bracket {
					return "", sqlerr.New("2201B", "SQL regular expression may not contain an escape-double-quote in brackets")
				}
				switch parts {
				case 0:
					// The middle part is what substring() returns; the first takes as little as it can.
					first := b.String()[len("^(?:"):]
					b.Reset()
					b.WriteString("^(?:" + pgLazy(first) + ")(")
				case 1:
					b.WriteString(")(?:")
				default:
					return "", sqlerr.New("2201B", "SQL regular expression may not contain more than two escape-double-quote separators")
				}
				parts++
				continue
			}
			b.WriteString(regexp.QuoteMeta(string(c)))
		case escape != "" && c == esc:
			escaped = true
		case bracket:
			if c == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(c)
			bracket = c != ']'
		default:
			switch c {
			case '[':
				bracket = true
				b.WriteByte('[')
			case '%':
				b.WriteString(".*")
			case '_':
				b.WriteByte('.')
			case '(':
				b.WriteString("(?:")
			case '\\', '.', '^', '$':
				b.WriteString(`\` + string(c))
			default:
				b.WriteRune(c)
			}
		}
	}
	b.WriteString(")$")
	return b.String(), nil
}

// pgLazy makes the quantifiers of a translated pattern non-greedy.
func pgLazy(s string) string { return strings.ReplaceAll(s, ".*", ".*?") }

func pgBadEscape() error {
	return sqlerr.New("22025", "invalid escape string").WithHint("Escape string must be empty or one character.")
}

// pgMatchLike matches a LIKE pattern against the whole of s.
func pgMatchLike(s, p []byte, esc rune) (bool, error) {
	type state struct{ s, p int }
	back := state{-1, -1}
	i, j := 0, 0
	for i < len(s) || j < len(p) {
		if j < len(p) {
			c, size := utf8.DecodeRune(p[j:])
			switch {
			case c == esc:
				j += size
				if j >= len(p) && i >= len(s) {
					return false, nil
				}
				if j >= len(p) {
					return false, sqlerr.New("22025", "LIKE pattern must not end with escape character")
				}
				c, size = utf8.DecodeRune(p[j:])
			case c == '%':
				j++
				back = state{i, j}
				continue
			case c == '_':
				if i < len(s) {
					_, n := utf8.DecodeRune(s[i:])
					i += n
					j++
					continue
				}
				c = -1
			}
			if i < len(s) && c >= 0 && len(s)-i >= size && string(s[i:i+size]) == string(p[j:j+size]) {
				i += size
				j += size
				continue
			}
		}
		if back.s < 0 || back.s >= len(s) {
			return false, nil
		}
		_, n := utf8.DecodeRune(s[back.s:])
		back.s += n
		i, j = back.s, back.p
	}
	return true, nil
}

func pgLike(a []types.Value, fold bool) (types.Value, error) {
	s, p, esc := a[0].B, a[1].B, '\\'
	if len(a) == 3 {
		esc = -1
		if len(a[2].B) > 0 {
			c, n := utf8.DecodeRune(a[2].B)
			if n != len(a[2].B) {
				return types.Value{}, pgBadEscape()
			}
			esc = c
		}
	}
	if fold {
		s, p = []byte(strings.ToLower(string(s))), []byte(strings.ToLower(string(p)))
	}
	ok, err := pgMatchLike(s, p, esc)
	return types.BoolValue(ok), err
}

func init() {
	const text, i4 = types.Text, types.Int4
	for op, sql := range map[string]string{
		"~": "bop_regexp_like($1, $2, '')", "!~": "NOT bop_regexp_like($1, $2, '')",
		"~*": "bop_regexp_like($1, $2, 'i')", "!~*": "NOT bop_regexp_like($1, $2, 'i')",
	} {
		defineOp(pg, infix(op, text, text, types.Bool, sql), infix(op, types.Name, text, types.Bool, sql))
	}
	like := func(op, fn string, k types.Kind) {
		defineOp(pg, pgFn(op, types.Bool, fn+"($1, $2)", k, k), pgFn(op, types.Bool, fn+"($1, $2, $3)", k, k, k))
	}
	like("LIKE", "bop_like", text)
	like("LIKE", "bop_like", types.Bytes)
	like("ILIKE", "bop_ilike", text)
	like("SIMILAR", "bop_similar", text)
	define(pg,
		pgFn("like", types.Bool, "bop_like($1, $2)", text, text),
		pgFn("notlike", types.Bool, "NOT bop_like($1, $2)", text, text),
		pgFn("substring", text, "bop_regexp_substring($1, $2)", text, text),
		pgFn("substring", text, "bop_similar_substring($1, $2, $3)", text, text, text),
		pgOpt(1, pgFn("regexp_replace", text, "bop_regexp_replace($*)", text, text, text, text)),
		pgOpt(2, pgFn("regexp_replace", text, "bop_regexp_replace_n($*)", text, text, text, i4, i4, text)),
		pgArray(text, pgOpt(1, pgFn("regexp_match", 0, "bop_regexp_match($*)", text, text, text))),
		pgArray(text, pgOpt(1, pgFn("regexp_split_to_array", 0, "bop_regexp_split($*)", text, text, text))),
		pgOpt(2, pgFn("regexp_count", i4, "bop_regexp_count($*)", text, text, i4, text)),
		pgOpt(1, pgFn("regexp_like", types.Bool, "bop_regexp_like_f($*)", text, text, text)),
		pgOpt(5, pgFn("regexp_instr", i4, "bop_regexp_instr($*)", text, text, i4, i4, i4, text, i4)),
		pgOpt(4, pgFn("regexp_substr", text, "bop_regexp_substr($*)", text, text, i4, i4, text, i4)),
		pgArray(text, pgOpt(1, &Signature{Name: "regexp_matches", Args: []types.Kind{text, text, text}, Form: SetReturning, SQL: "bop_regexp_matches($*)"})),
		pgOpt(1, pgSet("regexp_split_to_table", text, "bop_regexp_split_rows($*)", text, text, text)),
	)

	implement(func(r *Registrar) {
		for _, n := range []int{2, 3} {
			r.Pure("bop_like", n, pgStrict(func(a []types.Value) (types.Value, error) { return pgLike(a, false) }))
			r.Pure("bop_ilike", n, pgStrict(func(a []types.Value) (types.Value, error) { return pgLike(a, true) }))
			r.Pure("bop_similar", n, pgStrict(func(a []types.Value) (types.Value, error) {
				esc := `\`
				if len(a) == 3 {
					esc = pgStr(a[2])
				}
				p, err := pgSimilar(pgStr(a[1]), esc)
				if err != nil {
					return types.Value{}, err
				}
				re, err := pgCompile(p, "")
				if err != nil {
					return types.Value{}, err
				}
				return types.BoolValue(re.re.Match(a[0].B)), nil
			}))
			r.Pure("bop_regexp_like_f", n, pgStrict(func(a []types.Value) (types.Value, error) {
				p, err := pgFlagged(a, 2, "regexp_like")
				if err != nil {
					return types.Value{}, err
				}
				return types.BoolValue(p.re.Match(a[0].B)), nil
			}))
			r.Pure("bop_regexp_match", n, pgStrict(func(a []types.Value) (types.Value, error) {
				p, err := pgFlagged(a, 2, "regexp_match")
				if err != nil {
					return types.Value{}, err
				}
				return pgGroups(a[0].B, p.re.FindSubmatchIndex(a[0].B)), nil
			}))
			r.Pure("bop_regexp_split", n, pgStrict(func(a []types.Value) (types.Value, error) {
				p, err := pgFlagged(a, 2, "regexp_split_to_array")
				if err != nil {
					return types.Value{}, err
				}
				return pgTextArray(pgRegexpSplit(a[0].B, p)), nil
			}))
		}
		r.Pure("bop_regexp_like", 3, pgStrict(func(a []types.Value) (types.Value, error) {
			p, err := pgCompile(pgStr(a[1]), pgStr(a[2]))
			if err != nil {
				return types.Value{}, err
			}
			return types.BoolValue(p.re.Match(a[0].B)), nil
		}))
		r.Pure("bop_regexp_substring", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			p, err := pgCompile(pgStr(a[1]), "")
			if err != nil {
				return types.Value{}, err
			}
			return pgFirstGroup(a[0].B, p.re.FindSubmatchIndex(a[0].B)), nil
		}))
		r.Pure("bop_similar_substring", 3, pgStrict(func(a []types.Value) (types.Value, error) {
			s, err := pgSimilar(pgStr(a[1]), pgStr(a[2]))
			if err != nil {
				return types.Value{}, err
			}
			p, err := pgCompile(s, "")
			if err != nil {
				return types.Value{}, err
			}
			return pgFirstGroup(a[0].B, p.re.FindSubmatchIndex(a[0].B)), nil
		}))
		for _, n := range []int{3, 4} {
			r.Pure("bop_regexp_replace", n, pgStrict(func(a []types.Value) (types.Value, error) {
				flags := ""
				if len(a) == 4 {
					flags = pgStr(a[3])
					if flags != "" && flags[0] >= '0' && flags[0] <= '9' {
						return types.Value{}, sqlerr.New("22023", "invalid regular expression option: \"%c\"", flags[0]).
							WithHint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.")
					}
				}
				return pgRegexpReplace(a[0].B, pgStr(a[1]), pgStr(a[2]), 1, -1, flags)
			}))
		}
		for _, n := range []int{4, 5, 6} {
			r.Pure("bop_regexp_replace_n", n, pgStrict(func(a []types.Value) (types.Value, error) {
				nth, flags := int64(-1), ""
				if len(a) > 4 {
					nth = a[4].I
					if nth < 0 {
						return types.Value{}, pgBadParameter("n", nth)
					}
				}
				if len(a) > 5 {
					flags = pgStr(a[5])
				}
				return pgRegexpReplace(a[0].B, pgStr(a[1]), pgStr(a[2]), a[3].I, nth, flags)
			}))
		}
		for n := 2; n <= 7; n++ {
			if n <= 4 {
				r.Pure("bop_regexp_count", n, pgStrict(func(a []types.Value) (types.Value, error) {
					all, _, err := pgFindAll(a, 2, -1, 3)
					return types.IntValue(int64(len(all))), err
				}))
			}
			if n <= 6 {
				r.Pure("bop_regexp_substr", n, pgStrict(func(a []types.Value) (types.Value, error) {
					from, to, err := pgNthMatch(a, 2, 3, 4, 5)
					if err != nil || from < 0 {
						return types.Value{}, err
					}
					return types.Value{Class: types.String, B: a[0].B[from:to]}, nil
				}))
			}
			r.Pure("bop_regexp_instr", n, pgStrict(func(a []types.Value) (types.Value, error) {
				from, to, err := pgNthMatch(a, 2, 3, 5, 6)
				if err != nil || from < 0 {
					return types.IntValue(0), err
				}
				if len(a) > 4 {
					switch a[4].I {
					case 0:
					case 1:
						from = to
					default:
						return types.Value{}, pgBadParameter("endoption", a[4].I)
					}
				}
				return types.IntValue(int64(utf8.RuneCount(a[0].B[:from])) + 1), nil
			}))
		}
		r.pgRows("bop_regexp_matches", 3, nil, func(a []types.Value) (pgRowSource, error) {
			p, err := pgCompile(pgStr(a[1]), pgArgText(a, 2))
			if err != nil {
				return nil, err
			}
			n := 1
			if p.global {
				n = -1
			}
			s := a[0].B
			var rows []types.Value
			for _, m := range p.re.FindAllSubmatchIndex(s, n) {
				rows = append(rows, pgGroups(s, m))
			}
			return pgList(rows), nil
		})
		r.pgRows("bop_regexp_split_rows", 3, nil, func(a []types.Value) (pgRowSource, error) {
			p, err := pgCompile(pgStr(a[1]), pgArgText(a, 2))
			if err != nil {
				return nil, err
			}
			var rows []types.Value
			for _, s := range pgRegexpSplit(a[0].B, p) {
				rows = append(rows, types.Value{Class: types.String, B: s})
			}
			return pgList(rows), nil
		})
	})
}

// pgArgText is the text of argument i, "" if it was left out.
func pgArgText(a []types.Value, i int) string {
	if i >= len(a) {
		return ""
	}
	return pgStr(a[i])
}

func pgBadParameter(name string, v int64) error {
	return sqlerr.New("22023", "invalid value for parameter \"%s\": %d", name, v)
}

// pgFlagged compiles the pattern of a function that takes no g flag.
func pgFlagged(a []types.Value, flags int, name string) (*pgPattern, error) {
	p, err := pgCompile(pgStr(a[1]), pgArgText(a, flags))
	if err == nil && p.global {
		e := sqlerr.New("22023", "%s() does not support the \"global\" option", name)
		if name == "regexp_match" {
			e = e.WithHint("Use the regexp_matches function instead.")
		}
		return nil, e
	}
	return p, err
}

// pgGroups is the array of a match's groups, or of the match when there are none; NULL without a match.
func pgGroups(s []byte, m []int) types.Value {
	if m == nil {
		return types.Value{}
	}
	if len(m) > 2 {
		m = m[2:]
	}
	out := make([][]byte, 0, len(m)/2)
	for i := 0; i < len(m); i += 2 {
		if m[i] < 0 {
			out = append(out, nil)
			continue
		}
		out = append(out, s[m[i]:m[i+1]:m[i+1]])
	}
	return pgTextArray(out)
}

// pgFirstGroup is a match's first group, or the match.
func pgFirstGroup(s []byte, m []int) types.Value {
	if m == nil {
		return types.Value{}
	}
	if len(m) > 2 {
		m = m[2:]
	}
	if m[0] < 0 {
		return types.Value{}
	}
	return types.Value{Class: types.String, B: s[m[0]:m[1]]}
}

// pgTextArray makes an array of strings; a nil one is NULL.
func pgTextArray(parts [][]byte) types.Value {
	b := []byte{'['}
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		if p == nil {
			b = append(b, "null"...)
			continue
		}
		b = types.AppendJSONElement(b, types.Value{Class: types.String, B: p})
	}
	return types.Value{Class: types.String, B: append(b, ']')}
}

// pgRegexpSplit cuts s at the matches; empty matches at the ends and beside another match don't count.
func pgRegexpSplit(s []byte, p *pgPattern) [][]byte {
	var out [][]byte
	from := 0
	for _, m := range p.re.FindAllIndex(s, -1) {
		if m[0] == m[1] && (m[0] == 0 && len(s) > 0 || m[0] >= len(s)) {
			continue
		}
		if m[0] == m[1] && m[0] == from {
			continue
		}
		out = append(out, s[from:m[0]:m[0]])
		from = m[1]
	}
	return append(out, s[from:len(s):len(s)])
}

// pgRegexpReplace replaces from the start-th character on: the nth match, all for 0; -1: the first, or all by flag g.
func pgRegexpReplace(s []byte, pattern, with string, start, nth int64, flags string) (types.Value, error) {
	p, err := pgCompile(pattern, flags)
	if err != nil {
		return types.Value{}, err
	}
	if start < 1 {
		return types.Value{}, pgBadParameter("start", start)
	}
	if nth == -1 {
		nth = 1
		if p.global {
			nth = 0
		}
	}
	from := pgRuneOffset(s, start-1)
	out := append([]byte{}, s[:from]...)
	last := from
	n := int64(0)
	for _, m := range p.re.FindAllSubmatchIndex(s[from:], -1) {
		n++
		if nth > 0 && n != nth {
			continue
		}
		out = append(out, s[last:from+m[0]]...)
		out = pgExpand(out, with, s[from:], m)
		last = from + m[1]
		if len(out) > pgMaxResult {
			return types.Value{}, pgTooLong()
		}
		if nth > 0 {
			break
		}
	}
	return types.Value{Class: types.String, B: append(out, s[last:]...)}, nil
}

// pgExpand appends a replacement: \1 … \9 are groups, \& the match.
func pgExpand(dst []byte, with string, s []byte, m []int) []byte {
	for i := 0; i < len(with); i++ {
		if with[i] != '\\' || i+1 == len(with) {
			dst = append(dst, with[i])
			continue
		}
		i++
		g := 0
		switch c := with[i]; {
		case c == '&':
		case c >= '1' && c <= '9':
			g = int(c - '0')
		case c == '\\':
			dst = append(dst, '\\')
			continue
		default:
			dst = append(dst, '\\', c)
			continue
		}
		if 2*g+1 < len(m) && m[2*g] >= 0 {
			dst = append(dst, s[m[2*g]:m[2*g+1]]...)
		}
	}
	return dst
}

// pgFindAll finds matches of a[1] in a[0] from the character a[start] on.
func pgFindAll(a []types.Value, start, limit, flags int) (all [][]int, from int, err error) {
	p, err := pgCompile(pgStr(a[1]), pgArgText(a, flags))
	if err != nil {
		return nil, 0, err
	}
	if p.global {
		return nil, 0, sqlerr.New("22023", "this function does not support the \"global\" option")
	}
	if len(a) > start {
		if a[start].I < 1 {
			return nil, 0, pgBadParameter("start", a[start].I)
		}
		from = pgRuneOffset(a[0].B, a[start].I-1)
	}
	return p.re.FindAllSubmatchIndex(a[0].B[from:], limit), from, nil
}

// pgNthMatch finds the n-th match, or a group of it; from is -1 without one.
func pgNthMatch(a []types.Value, start, nth, flags, group int) (from, to int, err error) {
	n := int64(1)
	if len(a) > nth {
		if n = a[nth].I; n < 1 {
			return -1, 0, pgBadParameter("n", n)
		}
	}
	all, base, err := pgFindAll(a, start, int(min(n, 1<<30)), flags)
	if err != nil || int64(len(all)) < n {
		return -1, 0, err
	}
	m := all[n-1]
	g := int64(0)
	if len(a) > group {
		if g = a[group].I; g < 0 {
			return -1, 0, pgBadParameter("subexpr", g)
		}
	}
	if 2*g+1 >= int64(len(m)) || m[2*g] < 0 {
		return -1, 0, nil
	}
	return base + m[2*g], base + m[2*g+1], nil
}

// pgNumberText is an integer as text.
func pgNumberText(i int64) types.Value { return pgText(strconv.FormatInt(i, 10)) }
