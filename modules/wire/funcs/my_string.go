package funcs

import (
	"bytes"
	"encoding/base64"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	text1 := func(name string, f func([]byte) []byte) myFunc {
		return myFunc{name: name, args: kinds(tText), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textValue(f(a[0].B)), nil
		}}
	}
	alias := func(name string, f myFunc) myFunc { f.as = "my_" + f.name; f.name = name; return f }

	lower := text1("lower", bytes.ToLower)
	upper := text1("upper", bytes.ToUpper)
	substring := myFunc{name: "substring", args: kinds(tText, tInt, tInt), optional: 1, result: tText, call: mySubstring}
	locate := myFunc{name: "locate", args: kinds(tText, tText, tInt), optional: 1, result: tInt, call: myLocate}
	rlike := myFunc{name: "regexp_like", args: kinds(tText, tText, tText), optional: 1, result: types.Bool, call: myRegexpLike}
	implementMy(
		lower, alias("lcase", lower), upper, alias("ucase", upper),
		text1("reverse", reverseRunes),
		text1("soundex", soundex),
		myFunc{name: "ascii", args: kinds(tText), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if len(a[0].B) == 0 {
				return types.IntValue(0), nil
			}
			return types.IntValue(int64(a[0].B[0])), nil
		}},
		myFunc{name: "ord", args: kinds(tText), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			_, n := utf8.DecodeRune(a[0].B)
			var i int64
			for _, c := range a[0].B[:n] {
				i = i<<8 | int64(c)
			}
			return types.IntValue(i), nil
		}},
		myFunc{name: "length", args: kinds(tText), result: tInt, sql: "length(CAST($1 AS BLOB))"},
		myFunc{name: "length", args: kinds(tBytes), result: tInt, sql: "length($1)"},
		myFunc{name: "octet_length", args: kinds(tText), result: tInt, sql: "length(CAST($1 AS BLOB))"},
		myFunc{name: "octet_length", args: kinds(tBytes), result: tInt, sql: "length($1)"},
		myFunc{name: "bit_length", args: kinds(tText), result: tInt, sql: "(8 * length(CAST($1 AS BLOB)))"},
		myFunc{name: "char_length", args: kinds(tText), result: tInt, sql: "length($1)"},
		myFunc{name: "char_length", args: kinds(tBytes), result: tInt, sql: "length($1)"},
		myFunc{name: "character_length", args: kinds(tText), result: tInt, sql: "length($1)"},
		myFunc{name: "concat", args: kinds(tText), variadic: true, result: tText, call: myConcat},
		myFunc{name: "concat_ws", args: kinds(tText, tText), variadic: true, result: tText, keepNull: true, call: myConcatWS},
		myFunc{name: "elt", args: kinds(tInt, tText), variadic: true, result: tText, keepNull: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].IsNull() || a[0].I < 1 || a[0].I >= int64(len(a)) {
				return null, nil
			}
			return a[a[0].I], nil
		}},
		myFunc{name: "field", args: kinds(tText, tText), variadic: true, result: tInt, keepNull: true, as: "my_field", call: myField},
		myFunc{name: "field", args: kinds(tFloat, tFloat), variadic: true, result: tInt, keepNull: true, as: "my_field", call: myField},
		myFunc{name: "find_in_set", args: kinds(tText, tText), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if len(a[1].B) == 0 || bytes.IndexByte(a[0].B, ',') >= 0 {
				return types.IntValue(0), nil
			}
			i := int64(0)
			for part := range bytes.SplitSeq(a[1].B, []byte{','}) {
				i++
				if CompareCI(part, a[0].B) == 0 {
					return types.IntValue(i), nil
				}
			}
			return types.IntValue(0), nil
		}},
		myFunc{name: "export_set", args: kinds(tInt, tText, tText, tText, tInt), optional: 2, result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			sep, n := []byte{','}, int64(64)
			if len(a) > 3 {
				sep = a[3].B
			}
			if len(a) > 4 {
				n = min(max(a[4].I, 0), 64)
			}
			var out []byte
			for i := range n {
				if i > 0 {
					out = append(out, sep...)
				}
				if a[0].I>>i&1 != 0 {
					out = append(out, a[1].B...)
				} else {
					out = append(out, a[2].B...)
				}
			}
			return textValue(out), nil
		}},
		myFunc{name: "make_set", args: kinds(tInt, tText), variadic: true, result: tText, keepNull: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return null, nil
			}
			var out []byte
			first := true
			for i, v := range a[1:] {
				if i < 64 && a[0].I>>i&1 != 0 && !v.IsNull() {
					if !first {
						out = append(out, ',')
					}
					first = false
					out = append(out, v.B...)
				}
			}
			return textValue(out), nil
		}},
		myFunc{name: "format", args: kinds(tDec, tInt, tText), optional: 1, result: tText, call: myFormat},
		myFunc{name: "hex", args: kinds(tText), result: tText, as: "my_hex", call: myHex},
		myFunc{name: "hex", args: kinds(tBytes), result: tText, as: "my_hex", call: myHex},
		myFunc{name: "hex", args: kinds(tInt), result: tText, as: "my_hex", call: myHex},
		myFunc{name: "unhex", args: kinds(tText), result: tBytes, call: func(_ *Env, a []types.Value) (types.Value, error) {
			s := a[0].B
			if len(s)%2 != 0 {
				s = append([]byte{'0'}, s...)
			}
			out := make([]byte, len(s)/2)
			for i := range out {
				n, err := strconv.ParseUint(string(s[2*i:2*i+2]), 16, 8)
				if err != nil || s[2*i] == '+' {
					return null, nil
				}
				out[i] = byte(n)
			}
			return types.BlobValue(out), nil
		}},
		myFunc{name: "to_base64", args: kinds(tText), result: tText, as: "my_to_base64", call: myToBase64},
		myFunc{name: "to_base64", args: kinds(tBytes), result: tText, as: "my_to_base64", call: myToBase64},
		myFunc{name: "from_base64", args: kinds(tText), result: tBytes, call: func(_ *Env, a []types.Value) (types.Value, error) {
			b, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return -1
				}
				return r
			}, string(a[0].B)))
			if err != nil {
				return null, nil
			}
			return types.BlobValue(b), nil
		}},
		myFunc{name: "insert", args: kinds(tText, tInt, tInt, tText), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			n := int64(utf8.RuneCount(a[0].B))
			pos, count := a[1].I, a[2].I
			if pos < 1 || pos > n {
				return a[0], nil
			}
			if count < 0 || count > n-pos+1 {
				count = n - pos + 1
			}
			start, end := runeOffset(a[0].B, pos-1), runeOffset(a[0].B, pos-1+count)
			return textValue(bytes.Join([][]byte{a[0].B[:start], a[3].B, a[0].B[end:]}, nil)), nil
		}},
		myFunc{name: "instr", args: kinds(tText, tText), result: tInt, call: func(e *Env, a []types.Value) (types.Value, error) {
			return myLocate(e, []types.Value{a[1], a[0]})
		}},
		locate, alias("position", locate),
		myFunc{name: "left", args: kinds(tText, tInt), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textValue(a[0].B[:runeOffset(a[0].B, max(a[1].I, 0))]), nil
		}},
		myFunc{name: "right", args: kinds(tText, tInt), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			n := int64(utf8.RuneCount(a[0].B))
			return textValue(a[0].B[runeOffset(a[0].B, n-min(max(a[1].I, 0), n)):]), nil
		}},
		substring, alias("substr", substring), alias("mid", substring),
		myFunc{name: "substring_index", args: kinds(tText, tText, tInt), result: tText, call: mySubstringIndex},
		myFunc{name: "lpad", args: kinds(tText, tInt, tText), result: tText, call: func(e *Env, a []types.Value) (types.Value, error) { return myPad(e, a, true) }},
		myFunc{name: "rpad", args: kinds(tText, tInt, tText), result: tText, call: func(e *Env, a []types.Value) (types.Value, error) { return myPad(e, a, false) }},
		myFunc{name: "ltrim", args: kinds(tText, tText), optional: 1, result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) { return myTrim(a, true, false) }},
		myFunc{name: "rtrim", args: kinds(tText, tText), optional: 1, result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) { return myTrim(a, false, true) }},
		myFunc{name: "btrim", args: kinds(tText, tText), optional: 1, result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) { return myTrim(a, true, true) }},
		myFunc{name: "trim", args: kinds(tText, tText), optional: 1, result: tText, as: "my_btrim"},
		myFunc{name: "quote", args: kinds(tText), result: tText, keepNull: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.StringValue("NULL"), nil
			}
			out := []byte{'\''}
			for _, c := range a[0].B {
				switch c {
				case '\\', '\'':
					out = append(out, '\\', c)
				case 0:
					out = append(out, '\\', '0')
				case 26:
					out = append(out, '\\', 'Z')
				default:
					out = append(out, c)
				}
			}
			return textValue(append(out, '\'')), nil
		}},
		myFunc{name: "repeat", args: kinds(tText, tInt), result: tText, call: func(e *Env, a []types.Value) (types.Value, error) {
			n := max(a[1].I, 0)
			if n > maxString || !bounded(e, "repeat", n*int64(len(a[0].B))) {
				return null, nil
			}
			return textValue(bytes.Repeat(a[0].B, int(n))), nil
		}},
		myFunc{name: "space", args: kinds(tInt), result: tText, call: func(e *Env, a []types.Value) (types.Value, error) {
			n := max(a[0].I, 0)
			if !bounded(e, "space", n) {
				return null, nil
			}
			return textValue(bytes.Repeat([]byte{' '}, int(n))), nil
		}},
		myFunc{name: "replace", args: kinds(tText, tText, tText), result: tText, call: func(e *Env, a []types.Value) (types.Value, error) {
			if len(a[1].B) == 0 {
				return a[0], nil
			}
			n := int64(bytes.Count(a[0].B, a[1].B))
			if !bounded(e, "replace", int64(len(a[0].B))+n*int64(len(a[2].B)-len(a[1].B))) {
				return null, nil
			}
			return textValue(bytes.ReplaceAll(a[0].B, a[1].B, a[2].B)), nil
		}},
		myFunc{name: "strcmp", args: kinds(tText, tText), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return types.IntValue(int64(sign(CompareCI(a[0].B, a[1].B)))), nil
		}},
		myFunc{name: "char", args: kinds(tInt), variadic: true, result: tBytes, keepNull: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			var out []byte
			for _, v := range a {
				if v.IsNull() {
					continue
				}
				u := uint32(v.I)
				for shift := 24; shift >= 0; shift -= 8 {
					if u>>shift != 0 || shift == 0 {
						out = append(out, byte(u>>shift))
					}
				}
			}
			return types.Value{Class: types.Blob, B: out}, nil
		}},
		myFunc{name: "bin", args: kinds(tInt), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textValue(strconv.AppendUint(nil, uint64(a[0].I), 2)), nil
		}},
		myFunc{name: "oct", args: kinds(tInt), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textValue(strconv.AppendUint(nil, uint64(a[0].I), 8)), nil
		}},
		myFunc{name: "conv", args: kinds(tText, tInt, tInt), result: tText, call: myConv},

		rlike,
		myFunc{name: "regexp_replace", args: kinds(tText, tText, tText, tInt, tInt, tText), optional: 3, result: tText, call: myRegexpReplace},
		myFunc{name: "regexp_substr", args: kinds(tText, tText, tInt, tInt, tText), optional: 3, result: tText, call: myRegexpSubstr},
		myFunc{name: "regexp_instr", args: kinds(tText, tText, tInt, tInt, tInt, tText), optional: 4, result: tInt, call: myRegexpInstr},

		myFunc{name: "convert", args: kinds(tText, tText), result: tText, sql: "$1"},
		myFunc{name: "charset", args: kinds(Any), result: tText, sql: "'utf8mb4'"},
	)
}

// runeOffset returns the byte offset of the n-th character.
func runeOffset(b []byte, n int64) int {
	i := 0
	for ; n > 0 && i < len(b); n-- {
		_, size := utf8.DecodeRune(b[i:])
		i += size
	}
	return i
}

func reverseRunes(b []byte) []byte {
	out := make([]byte, len(b))
	end := len(out)
	for i := 0; i < len(b); {
		_, n := utf8.DecodeRune(b[i:])
		end -= n
		copy(out[end:], b[i:i+n])
		i += n
	}
	return out
}

// soundex is MySQL's variant: of any length, at least four characters.
func soundex(b []byte) []byte {
	const codes = "01230120022455012623010202"
	var out []byte
	last := byte(0)
	for _, r := range strings.ToUpper(string(b)) {
		if !unicode.IsLetter(r) {
			continue
		}
		code := byte('0')
		if r >= 'A' && r <= 'Z' {
			code = codes[r-'A']
		}
		if len(out) == 0 {
			out = utf8.AppendRune(out, r)
			last = code
			continue
		}
		if code != '0' && code != last {
			out = append(out, code)
		}
		if code != '0' { // vowels don't part equal codes
			last = code
		}
	}
	if len(out) == 0 {
		return out
	}
	for utf8.RuneCount(out) < 4 {
		out = append(out, '0')
	}
	return out
}

func myConcat(e *Env, a []types.Value) (types.Value, error) {
	size := 0
	for _, v := range a {
		size += len(v.B)
	}
	if !bounded(e, "concat", int64(size)) {
		return null, nil
	}
	out := make([]byte, 0, size)
	for _, v := range a {
		out = append(out, v.B...)
	}
	return textValue(out), nil
}

func myConcatWS(e *Env, a []types.Value) (types.Value, error) {
	if a[0].IsNull() {
		return null, nil
	}
	size := 0
	for _, v := range a[1:] {
		size += len(v.B) + len(a[0].B)
	}
	if !bounded(e, "concat_ws", int64(size)) {
		return null, nil
	}
	out := make([]byte, 0, size)
	first := true
	for _, v := range a[1:] {
		if v.IsNull() {
			continue
		}
		if !first {
			out = append(out, a[0].B...)
		}
		first = false
		out = append(out, v.B...)
	}
	return textValue(out), nil
}

func myField(_ *Env, a []types.Value) (types.Value, error) {
	if a[0].IsNull() {
		return types.IntValue(0), nil
	}
	for i, v := range a[1:] {
		if v.IsNull() {
			continue
		}
		same := false
		if a[0].Class == types.String && v.Class == types.String {
			same = CompareCI(a[0].B, v.B) == 0
		} else {
			same = floatValue(a[0]) == floatValue(v)
		}
		if same {
			return types.IntValue(int64(i + 1)), nil
		}
	}
	return types.IntValue(0), nil
}

// myLocate finds a[0] in a[1] from character a[2] on, without regard to case.
func myLocate(_ *Env, a []types.Value) (types.Value, error) {
	from := int64(1)
	if len(a) > 2 {
		from = a[2].I
	}
	n := int64(utf8.RuneCount(a[1].B))
	if from < 1 || from > n+1 {
		return types.IntValue(0), nil
	}
	start := runeOffset(a[1].B, from-1)
	hay, needle := a[1].B[start:], a[0].B
	at := bytes.Index(hay, needle)
	if fold := indexFold(hay, needle); at < 0 || fold >= 0 && fold < at {
		at = fold
	}
	if at < 0 {
		return types.IntValue(0), nil
	}
	return types.IntValue(from + int64(utf8.RuneCount(hay[:at]))), nil
}

// indexFold finds needle in hay without regard to case.
func indexFold(hay, needle []byte) int {
	if len(needle) == 0 {
		return 0
	}
	n := utf8.RuneCount(needle)
	for i := 0; i < len(hay); {
		end := i
		for k := 0; k < n && end < len(hay); k++ {
			_, size := utf8.DecodeRune(hay[end:])
			end += size
		}
		if bytes.EqualFold(hay[i:end], needle) {
			return i
		}
		_, size := utf8.DecodeRune(hay[i:])
		i += size
	}
	return -1
}

func mySubstring(_ *Env, a []types.Value) (types.Value, error) {
	n := int64(utf8.RuneCount(a[0].B))
	pos := a[1].I
	if pos < 0 {
		pos += n + 1
	}
	if pos < 1 || pos > n {
		return types.StringValue(""), nil
	}
	count := n - pos + 1
	if len(a) > 2 {
		count = min(count, max(a[2].I, 0))
	}
	start := runeOffset(a[0].B, pos-1)
	rest := a[0].B[start:]
	return textValue(rest[:runeOffset(rest, count)]), nil
}

func mySubstringIndex(_ *Env, a []types.Value) (types.Value, error) {
	s, delim, count := a[0].B, a[1].B, a[2].I
	if len(delim) == 0 || count == 0 {
		return types.StringValue(""), nil
	}
	if count > 0 {
		at := 0
		for ; count > 0; count-- {
			i := bytes.Index(s[at:], delim)
			if i < 0 {
				return a[0], nil
			}
			at += i + len(delim)
		}
		return textValue(s[:at-len(delim)]), nil
	}
	end := len(s)
	for ; count < 0; count++ {
		i := bytes.LastIndex(s[:end], delim)
		if i < 0 {
			return a[0], nil
		}
		end = i
	}
	return textValue(s[end+len(delim):]), nil
}

func myPad(e *Env, a []types.Value, left bool) (types.Value, error) {
	want := a[1].I
	if want < 0 || !bounded(e, "lpad", want) {
		return null, nil
	}
	have := int64(utf8.RuneCount(a[0].B))
	if have >= want {
		return textValue(a[0].B[:runeOffset(a[0].B, want)]), nil
	}
	if len(a[2].B) == 0 {
		return types.StringValue(""), nil
	}
	var pad []byte
	n := int64(utf8.RuneCount(a[2].B))
	missing := want - have
	pad = append(bytes.Repeat(a[2].B, int(missing/n)), a[2].B[:runeOffset(a[2].B, missing%n)]...)
	if left {
		return textValue(append(pad, a[0].B...)), nil
	}
	return textValue(append(bytes.Clone(a[0].B), pad...)), nil
}

func myTrim(a []types.Value, left, right bool) (types.Value, error) {
	s, cut := a[0].B, []byte{' '}
	if len(a) > 1 {
		cut = a[1].B
	}
	if len(cut) == 0 {
		return a[0], nil
	}
	for left && bytes.HasPrefix(s, cut) {
		s = s[len(cut):]
	}
	for right && bytes.HasSuffix(s, cut) {
		s = s[:len(s)-len(cut)]
	}
	return textValue(s), nil
}

// myFormat is FORMAT(x, d): rounded, with thousands separated.
func myFormat(_ *Env, a []types.Value) (types.Value, error) {
	d, err := numberOf(a[0])
	if err != nil {
		return null, nil
	}
	text := d.Round(int32(min(max(a[1].I, 0), 30))).AppendText(nil)
	thousands, point := byte(','), byte('.')
	if len(a) > 2 {
		switch l := string(a[2].B); {
		case strings.HasPrefix(l, "de_"), strings.HasPrefix(l, "es_"), strings.HasPrefix(l, "it_"), strings.HasPrefix(l, "nl_"), strings.HasPrefix(l, "pt_"):
			if l != "de_CH" && !strings.HasPrefix(l, "es_") {
				thousands, point = '.', ','
			}
		}
	}
	var out []byte
	if text[0] == '-' {
		out = append(out, '-')
		text = text[1:]
	}
	whole, frac, hasFrac := bytes.Cut(text, []byte{'.'})
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			out = append(out, thousands)
		}
		out = append(out, c)
	}
	if hasFrac {
		out = append(append(out, point), frac...)
	}
	return textValue(out), nil
}

func myHex(_ *Env, a []types.Value) (types.Value, error) {
	switch a[0].Class {
	case types.Int:
		return textValue(bytes.ToUpper(strconv.AppendUint(nil, uint64(a[0].I), 16))), nil
	case types.Float:
		i, _ := roundEven(a[0].F)
		return textValue(bytes.ToUpper(strconv.AppendUint(nil, uint64(i), 16))), nil
	}
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, 2*len(a[0].B))
	for _, c := range a[0].B {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return textValue(out), nil
}

func myToBase64(_ *Env, a []types.Value) (types.Value, error) {
	s := base64.StdEncoding.AppendEncode(nil, a[0].B)
	var out []byte
	for len(s) > 76 {
		out = append(append(out, s[:76]...), '\n')
		s = s[76:]
	}
	return textValue(append(out, s...)), nil
}

func myConv(_ *Env, a []types.Value) (types.Value, error) {
	from, to := a[1].I, a[2].I
	signed := to < 0
	if from < 0 {
		from = -from
	}
	if signed {
		to = -to
	}
	if from < 2 || from > 36 || to < 2 || to > 36 {
		return null, nil
	}
	s := bytes.TrimSpace(a[0].B)
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	n := 0
	for n < len(s) {
		c := s[n] | 0x20
		v := int64(99)
		switch {
		case s[n] >= '0' && s[n] <= '9':
			v = int64(s[n] - '0')
		case c >= 'a' && c <= 'z':
			v = int64(c-'a') + 10
		}
		if v >= from {
			break
		}
		n++
	}
	if n == 0 {
		return types.StringValue("0"), nil
	}
	if n > 200 {
		n = 200
	}
	m, _ := new(big.Int).SetString(string(s[:n]), int(from))
	if !m.IsUint64() {
		m.SetUint64(1<<64 - 1)
	}
	u := m.Uint64()
	if neg {
		u = -u
	}
	if signed {
		return textValue([]byte(strings.ToUpper(strconv.FormatInt(int64(u), int(to))))), nil
	}
	return textValue([]byte(strings.ToUpper(strconv.FormatUint(u, int(to))))), nil
}
