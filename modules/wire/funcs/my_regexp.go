package funcs

import (
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	defineOp(my,
		infix("REGEXP", types.Text, types.Text, types.Bool, "my_regexp_like($1, $2)"),
		infix("NOT REGEXP", types.Text, types.Text, types.Bool, "NOT my_regexp_like($1, $2)"),
		infix("LIKE", types.Text, types.Text, types.Bool, "my_like($1, $2)"),
		&Signature{Name: "LIKE", Args: kinds(types.Text, types.Text, types.Text), Result: types.Bool, SQL: "my_like($1, $2, $3)"},
		infix("LIKE BINARY", types.Text, types.Text, types.Bool, "my_like_binary($1, $2)"),
		&Signature{Name: "LIKE BINARY", Args: kinds(types.Text, types.Text, types.Text), Result: types.Bool, SQL: "my_like_binary($1, $2, $3)"},
	)
	implement(func(r *Registrar) {
		matcher := func(ci bool) func(ctx sqlite3.Context, arg Values) {
			return func(ctx sqlite3.Context, arg Values) {
				if anyNull(arg) {
					return
				}
				escape := rune('\\')
				if len(arg) > 2 {
					escape = -1
					if e := arg[2].RawText(); len(e) > 0 {
						escape, _ = utf8.DecodeRune(e)
					}
				}
				text, pattern := arg[0].RawText(), arg[1].RawText()
				if ci {
					text, pattern = FoldCI(nil, text), FoldCI(nil, pattern)
				}
				match, ok := like(text, pattern, escape, interruptOf(ctx).Done())
				if !ok {
					fail(ctx, errInterrupted())
					return
				}
				ctx.ResultBool(match)
			}
		}
		r.Pure("my_like", -1, matcher(true))
		r.Pure("my_like_binary", -1, matcher(false))
	})
}

// Like matches LIKE's pattern: % any characters, _ one; escape (-1: none) makes the next character plain. ci: letters match
// without regard to case and accents.
func Like(text, pattern []byte, escape rune, ci bool) bool {
	if ci {
		text, pattern = FoldCI(nil, text), FoldCI(nil, pattern)
	}
	match, _ := like(text, pattern, escape, nil)
	return match
}

// likeSteps is how often a match looks whether it should stop.
const likeSteps = 1 << 20

// like matches byte for byte; ok is false when done ended it. It takes time of text × pattern at most.
func like(text, pattern []byte, escape rune, done <-chan struct{}) (match, ok bool) {
	steps := 0
	star, mark := -1, 0 // where to go back to after a mismatch
	t, p := 0, 0
	for {
		if steps++; steps%likeSteps == 0 {
			select {
			case <-done:
				return false, false
			default:
			}
		}
		if p < len(pattern) {
			r, n := utf8.DecodeRune(pattern[p:])
			switch {
			case r == '%' && r != escape:
				star, mark = p+n, t
				p += n
				continue
			case r == '_' && r != escape:
				if t < len(text) {
					_, m := utf8.DecodeRune(text[t:])
					t, p = t+m, p+n
					continue
				}
			default:
				at := p
				if r == escape && p+n < len(pattern) {
					at = p + n
					r, n = utf8.DecodeRune(pattern[at:])
				}
				if t < len(text) {
					if c, m := utf8.DecodeRune(text[t:]); c == r && (c != utf8.RuneError || text[t] == pattern[at]) {
						t, p = t+m, at+n
						continue
					}
				}
			}
		} else if t == len(text) {
			return true, true
		}
		if star < 0 || mark >= len(text) {
			return false, true
		}
		_, m := utf8.DecodeRune(text[mark:])
		mark += m
		t, p = mark, star
	}
}

// regexps keeps compiled regular expressions by flags and pattern.
var regexps struct {
	sync.Mutex
	m map[string]*regexp.Regexp
}

// The cache is emptied when it holds maxRegexps; longer patterns than maxRegexpKept aren't kept.
const (
	maxRegexps    = 1000
	maxRegexpKept = 4096
)

// compileRegexp compiles an expression of ICU's syntax as far as Go's has the same. match: c, i, m, n, u.
func compileRegexp(pattern, match string) (*regexp.Regexp, error) {
	flags := "i"
	for _, c := range match {
		switch c {
		case 'c':
			flags = strings.ReplaceAll(flags, "i", "")
		case 'i':
			if !strings.Contains(flags, "i") {
				flags += "i"
			}
		case 'm':
			flags += "m"
		case 'n':
			flags += "s"
		case 'u':
		default:
			return nil, sqlerr.New("22023", "invalid regular expression flags").My(1210, "Incorrect arguments to regexp_like")
		}
	}
	key := flags + "/" + pattern
	regexps.Lock()
	re := regexps.m[key]
	regexps.Unlock()
	if re != nil {
		return re, nil
	}
	source := strings.NewReplacer("[[:<:]]", `\b`, "[[:>:]]", `\b`).Replace(pattern)
	if flags != "" {
		source = "(?" + flags + ")" + source
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, sqlerr.New("2201B", "invalid regular expression: %s", err).
			My(3696, "The regular expression contains an error: %s", err)
	}
	if len(key) > maxRegexpKept {
		return re, nil
	}
	regexps.Lock()
	defer regexps.Unlock()
	if len(regexps.m) >= maxRegexps || regexps.m == nil {
		regexps.m = make(map[string]*regexp.Regexp)
	}
	regexps.m[key] = re
	return re, nil
}

func regexpArg(a []types.Value, flags int) (*regexp.Regexp, error) {
	match := ""
	if len(a) > flags {
		match = string(a[flags].B)
	}
	return compileRegexp(string(a[1].B), match)
}

func myRegexpLike(_ *Env, a []types.Value) (types.Value, error) {
	re, err := regexpArg(a, 2)
	if err != nil {
		return null, err
	}
	return types.BoolValue(re.Match(a[0].B)), nil
}

// position and occurrence are the optional arguments of the REGEXP functions.
func regexpFrom(a []types.Value, pos, occurrence int) (start int, nth int64, err error) {
	from := int64(1)
	nth = 1
	if len(a) > pos {
		from = a[pos].I
	}
	if len(a) > occurrence {
		nth = a[occurrence].I
	}
	if from < 1 || from > int64(utf8.RuneCount(a[0].B))+1 {
		return 0, 0, sqlerr.New("22023", "position is out of range").My(3686, "Index out of bounds in regular expression search.")
	}
	return runeOffset(a[0].B, from-1), nth, nil
}

func myRegexpReplace(e *Env, a []types.Value) (types.Value, error) {
	re, err := regexpArg(a, 5)
	if err != nil {
		return null, err
	}
	start, nth, err := regexpFrom(a, 3, 4)
	if err != nil {
		return null, err
	}
	if len(a) < 5 {
		nth = 0
	}
	// $1 in the replacement stands for a group; Go wants braces around the number.
	var repl []byte
	for i := 0; i < len(a[2].B); i++ {
		c := a[2].B[i]
		switch {
		case c == '\\' && i+1 < len(a[2].B):
			i++
			if a[2].B[i] == '$' {
				repl = append(repl, '$')
			}
			repl = append(repl, a[2].B[i])
		case c == '$' && i+1 < len(a[2].B) && a[2].B[i+1] >= '0' && a[2].B[i+1] <= '9':
			repl = append(repl, '$', '{', a[2].B[i+1], '}')
			i++
		default:
			repl = append(repl, c)
		}
	}
	text := a[0].B[start:]
	out := append([]byte(nil), a[0].B[:start]...)
	last, n := 0, int64(0)
	for _, m := range re.FindAllSubmatchIndex(text, -1) {
		n++
		if nth > 0 && n != nth {
			continue
		}
		out = append(out, text[last:m[0]]...)
		out = re.Expand(out, repl, text, m)
		last = m[1]
		if !bounded(e, "regexp_replace", int64(len(out))) {
			return null, nil
		}
	}
	return textValue(append(out, text[last:]...)), nil
}

// regexpNth returns the nth match in text.
func regexpNth(re *regexp.Regexp, text []byte, nth int64) []int {
	all := re.FindAllIndex(text, int(min(max(nth, 1), 1<<30)))
	if int64(len(all)) < max(nth, 1) {
		return nil
	}
	return all[max(nth, 1)-1]
}

func myRegexpSubstr(_ *Env, a []types.Value) (types.Value, error) {
	re, err := regexpArg(a, 4)
	if err != nil {
		return null, err
	}
	start, nth, err := regexpFrom(a, 2, 3)
	if err != nil {
		return null, err
	}
	text := a[0].B[start:]
	m := regexpNth(re, text, nth)
	if m == nil {
		return null, nil
	}
	return textValue(text[m[0]:m[1]]), nil
}

func myRegexpInstr(_ *Env, a []types.Value) (types.Value, error) {
	re, err := regexpArg(a, 5)
	if err != nil {
		return null, err
	}
	start, nth, err := regexpFrom(a, 2, 3)
	if err != nil {
		return null, err
	}
	m := regexpNth(re, a[0].B[start:], nth)
	if m == nil {
		return types.IntValue(0), nil
	}
	at := start + m[0]
	if len(a) > 4 && a[4].I == 1 {
		at = start + m[1]
	}
	return types.IntValue(int64(utf8.RuneCount(a[0].B[:at])) + 1), nil
}
