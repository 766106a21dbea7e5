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
	// Lower case keeps the number of characters, if not of bytes.
	hay := bytes.Map(unicode.ToLower, a[1].B[runeOffset(a[1].B, from-1):])
	at := bytes.Index(hay, bytes.Map(unicode.ToLower, a[0].B))
	if at < 0 {
		return types.IntValue(0), nil
	}
	return types.IntValue(from + int64(utf8.RuneCount(hay[:at]))), nil
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
