package funcs

import (
	"bytes"
	"encoding/base64"
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
