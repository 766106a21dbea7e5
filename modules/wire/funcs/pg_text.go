package funcs

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"
	"golang.org/x/text/unicode/norm"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/ident"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const text, b, i4, i8 = types.Text, types.Bytes, types.Int4, types.Int8
	define(pg,
		pgFn("lower", text, "bop_lower($1)", text),
		pgFn("upper", text, "bop_upper($1)", text),
		pgFn("initcap", text, "bop_initcap($1)", text),
		pgFn("length", i4, "length($1)", text),
		pgFn("length", i4, "length($1)", b),
		pgFn("length", i4, "length(CAST($1 AS TEXT))", types.Bit),
		pgFn("char_length", i4, "length($1)", text),
		pgFn("character_length", i4, "length($1)", text),
		pgFn("octet_length", i4, "octet_length($1)", text),
		pgFn("octet_length", i4, "octet_length($1)", b),
		pgFn("bit_length", i4, "(8 * octet_length($1))", text),
		pgFn("bit_length", i4, "(8 * octet_length($1))", b),
		pgFn("position", i4, "bop_strpos($2, $1)", text, text),
		pgFn("position", i4, "bop_strpos($2, $1)", b, b),
		pgFn("strpos", i4, "bop_strpos($1, $2)", text, text),
		pgFn("starts_with", types.Bool, "bop_starts_with($1, $2)", text, text),
		pgOpt(1, pgFn("substr", text, "bop_substr($*)", text, i4, i4)),
		pgOpt(1, pgFn("substr", b, "bop_substr($*)", b, i4, i4)),
		pgOpt(1, pgFn("substring", text, "bop_substr($*)", text, i4, i4)),
		pgOpt(1, pgFn("substring", b, "bop_substr($*)", b, i4, i4)),
		pgFn("left", text, "bop_left($1, $2)", text, i4),
		pgFn("right", text, "bop_right($1, $2)", text, i4),
		pgOpt(1, pgFn("lpad", text, "bop_lpad($*)", text, i4, text)),
		pgOpt(1, pgFn("rpad", text, "bop_rpad($*)", text, i4, text)),
		pgOpt(1, pgFn("btrim", text, "bop_trim(3, $*)", text, text)),
		pgOpt(1, pgFn("ltrim", text, "bop_trim(1, $*)", text, text)),
		pgOpt(1, pgFn("rtrim", text, "bop_trim(2, $*)", text, text)),
		pgFn("btrim", b, "bop_trim(3, $*)", b, b),
		pgFn("ltrim", b, "bop_trim(1, $*)", b, b),
		pgFn("rtrim", b, "bop_trim(2, $*)", b, b),
		pgFn("replace", text, "replace($1, $2, $3)", text, text, text),
		pgFn("translate", text, "bop_translate($1, $2, $3)", text, text, text),
		pgFn("repeat", text, "bop_repeat($1, $2)", text, i4),
		pgFn("reverse", text, "bop_reverse($1)", text),
		pgFn("split_part", text, "bop_split_part($1, $2, $3)", text, text, i4),
		pgOpt(1, pgFn("overlay", text, "bop_overlay($*)", text, text, i4, i4)),
		pgOpt(1, pgFn("overlay", b, "bop_overlay($*)", b, b, i4, i4)),
		pgFn("ascii", i4, "bop_ascii($1)", text),
		pgFn("chr", text, "bop_chr($1)", i4),
		pgFn("to_hex", text, "bop_to_hex($1, 32)", i4),
		pgFn("to_hex", text, "bop_to_hex($1, 64)", i8),
		pgFn("md5", text, "bop_md5($1)", text),
		pgFn("md5", text, "bop_md5($1)", b),
		pgFn("sha224", b, "bop_sha(224, $1)", b),
		pgFn("sha256", b, "bop_sha(256, $1)", b),
		pgFn("sha384", b, "bop_sha(384, $1)", b),
		pgFn("sha512", b, "bop_sha(512, $1)", b),
		pgFn("encode", text, "bop_encode($1, $2)", b, text),
		pgFn("decode", b, "bop_decode($1, $2)", text, text),
		pgFn("convert_from", text, "bop_convert_from($1, $2)", b, types.Name),
		pgFn("convert_to", b, "bop_convert_to($1, $2)", text, types.Name),
		pgFn("get_byte", i4, "bop_get_byte($1, $2)", b, i4),
		pgFn("set_byte", b, "bop_set_byte($1, $2, $3)", b, i4, i4),
		pgOpt(1, pgFn("normalize", text, "bop_normalize($*)", text, text)),
		pgOpt(1, pgFn("is_normalized", types.Bool, "bop_is_normalized($*)", text, text)),
		pgFn("unistr", text, "bop_unistr($1)", text),
		pgFn("quote_ident", text, "bop_quote_ident($1)", text),
		pgFn("quote_literal", text, "bop_quote_literal($1, NULL)", text),
		pgFn("quote_literal", text, "bop_quote_literal($1, $t1)", Any),
		pgNull(pgFn("quote_nullable", text, "ifnull(bop_quote_literal($1, NULL), 'NULL')", text)),
		pgNull(pgFn("quote_nullable", text, "ifnull(bop_quote_literal($1, $t1), 'NULL')", Any)),
		pgNull(&Signature{Name: "concat", Args: []types.Kind{Any}, Variadic: true, Result: text, SQL: "bop_concat($T, $*)"}),
		pgNull(&Signature{Name: "concat_ws", Args: []types.Kind{text, Any}, Variadic: true, Result: text, SQL: "bop_concat_ws($T, $*)"}),
		pgNull(pgFn("format", text, "bop_format($T, $1)", text)),
		pgNull(&Signature{Name: "format", Args: []types.Kind{text, Any}, Variadic: true, Result: text, SQL: "bop_format($T, $*)"}),
	)
	defineOp(pg, infix("^@", text, text, types.Bool, "bop_starts_with($1, $2)"))

	implement(func(r *Registrar) {
		env := r.Env
		one := func(name string, f func(s string) string) {
			r.Pure(name, 1, pgStrict(func(a []types.Value) (types.Value, error) { return pgText(f(pgStr(a[0]))), nil }))
		}
		one("bop_lower", strings.ToLower)
		one("bop_upper", strings.ToUpper)
		one("bop_initcap", pgInitcap)
		one("bop_reverse", func(s string) string {
			rs := []rune(s)
			for i, j := 0, len(rs)-1; i < j; i, j = i+1, j-1 {
				rs[i], rs[j] = rs[j], rs[i]
			}
			return string(rs)
		})
		one("bop_quote_ident", ident.Quote)
		r.Pure("bop_strpos", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			i := bytes.Index(a[0].B, a[1].B)
			if i < 0 {
				return types.IntValue(0), nil
			}
			if a[0].Class == types.Blob {
				return types.IntValue(int64(i) + 1), nil
			}
			return types.IntValue(int64(utf8.RuneCount(a[0].B[:i])) + 1), nil
		}))
		r.Pure("bop_starts_with", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			return types.BoolValue(bytes.HasPrefix(a[0].B, a[1].B)), nil
		}))
		r.Pure("bop_substr", 2, pgStrict(pgSubstr))
		r.Pure("bop_substr", 3, pgStrict(pgSubstr))
		r.Pure("bop_left", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			n := a[1].I
			if n < 0 {
				n = max(int64(utf8.RuneCount(a[0].B))+n, 0)
			}
			return types.Value{Class: types.String, B: a[0].B[:pgRuneOffset(a[0].B, n)]}, nil
		}))
		r.Pure("bop_right", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			skip := int64(utf8.RuneCount(a[0].B)) - a[1].I
			if a[1].I < 0 {
				skip = -a[1].I
			}
			return types.Value{Class: types.String, B: a[0].B[pgRuneOffset(a[0].B, max(skip, 0)):]}, nil
		}))
		for _, n := range []int{2, 3} {
			r.Pure("bop_lpad", n, pgStrict(func(a []types.Value) (types.Value, error) { return pgPad(a, true) }))
			r.Pure("bop_rpad", n, pgStrict(func(a []types.Value) (types.Value, error) { return pgPad(a, false) }))
			r.Pure("bop_trim", n, pgStrict(pgTrim))
			r.Pure("bop_overlay", n+1, pgStrict(pgOverlay))
		}
		r.Pure("bop_translate", 3, pgStrict(func(a []types.Value) (types.Value, error) {
			return pgText(pgTranslate(pgStr(a[0]), []rune(pgStr(a[1])), []rune(pgStr(a[2])))), nil
		}))
		r.Pure("bop_repeat", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			n := max(a[1].I, 0)
			if len(a[0].B) > 0 && n > pgMaxResult/int64(len(a[0].B)) {
				return types.Value{}, pgTooLong()
			}
			return types.Value{Class: types.String, B: bytes.Repeat(a[0].B, int(n))}, nil
		}))
		r.Pure("bop_split_part", 3, pgStrict(pgSplitPart))
		r.Pure("bop_ascii", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			if len(a[0].B) == 0 {
				return types.IntValue(0), nil
			}
			c, _ := utf8.DecodeRune(a[0].B)
			return types.IntValue(int64(c)), nil
		}))
		r.Pure("bop_chr", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			switch n := a[0].I; {
			case n == 0:
				return types.Value{}, sqlerr.New("54000", "null character not permitted")
			case n < 0:
				return types.Value{}, sqlerr.New("54000", "character number must be positive")
			case n > unicode.MaxRune || !utf8.ValidRune(rune(n)):
				return types.Value{}, sqlerr.New("54000", "requested character not valid for encoding: %d", n)
			default:
				return pgText(string(rune(n))), nil
			}
		}))
		r.Pure("bop_to_hex", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			u := uint64(a[0].I)
			if a[1].I == 32 {
				u = uint64(uint32(u))
			}
			return pgText(strconv.FormatUint(u, 16)), nil
		}))
		r.Pure("bop_md5", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			sum := md5.Sum(a[0].B)
			return pgText(hex.EncodeToString(sum[:])), nil
		}))
		r.Pure("bop_sha", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			var sum []byte
			switch a[0].I {
			case 224:
				s := sha256.Sum224(a[1].B)
				sum = s[:]
			case 256:
				s := sha256.Sum256(a[1].B)
				sum = s[:]
			case 384:
				s := sha512.Sum384(a[1].B)
				sum = s[:]
			default:
				s := sha512.Sum512(a[1].B)
				sum = s[:]
			}
			return types.BlobValue(sum), nil
		}))
		r.Pure("bop_encode", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			s, err := pgEncodeBytes(a[0].B, pgStr(a[1]))
			return pgText(s), err
		}))
		r.Pure("bop_decode", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			b, err := pgDecodeBytes(pgStr(a[0]), pgStr(a[1]))
			return types.BlobValue(b), err
		}))
		r.Pure("bop_convert_from", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			switch pgEncodingName(pgStr(a[1])) {
			case "utf8", "unicode", "sqlascii":
				v := types.Value{Class: types.String, B: a[0].B}
				return v, types.CheckText(a[0].B)
			case "latin1", "iso88591":
				rs := make([]rune, len(a[0].B))
				for i, c := range a[0].B {
					rs[i] = rune(c)
				}
				return pgText(string(rs)), nil
			}
			return types.Value{}, sqlerr.New("22023", "invalid source encoding name \"%s\"", pgStr(a[1]))
		}))
		r.Pure("bop_convert_to", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			switch pgEncodingName(pgStr(a[1])) {
			case "utf8", "unicode", "sqlascii":
				return types.Value{Class: types.Blob, B: a[0].B}, nil
			case "latin1", "iso88591":
				var out []byte
				for _, c := range pgStr(a[0]) {
					if c > 0xff {
						return types.Value{}, sqlerr.New("22P05", "character with byte sequence 0x%x in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"", string(c))
					}
					out = append(out, byte(c))
				}
				return types.BlobValue(out), nil
			}
			return types.Value{}, sqlerr.New("22023", "invalid destination encoding name \"%s\"", pgStr(a[1]))
		}))
		r.Pure("bop_get_byte", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			if err := pgByteIndex(a[0].B, a[1].I); err != nil {
				return types.Value{}, err
			}
			return types.IntValue(int64(a[0].B[a[1].I])), nil
		}))
		r.Pure("bop_set_byte", 3, pgStrict(func(a []types.Value) (types.Value, error) {
			if err := pgByteIndex(a[0].B, a[1].I); err != nil {
				return types.Value{}, err
			}
			b := bytes.Clone(a[0].B)
			b[a[1].I] = byte(a[2].I)
			return types.BlobValue(b), nil
		}))
		for _, n := range []int{1, 2} {
			r.Pure("bop_normalize", n, pgStrict(func(a []types.Value) (types.Value, error) {
				f, err := pgNormalForm(a)
				return types.Value{Class: types.String, B: f.Bytes(a[0].B)}, err
			}))
			r.Pure("bop_is_normalized", n, pgStrict(func(a []types.Value) (types.Value, error) {
				f, err := pgNormalForm(a)
				return types.BoolValue(f.IsNormal(a[0].B)), err
			}))
		}
		r.Pure("bop_unistr", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			s, err := pgUnistr(pgStr(a[0]))
			return pgText(s), err
		}))
		r.Impure("bop_quote_literal", 2, pgLoose(func(a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.Value{}, nil
			}
			return pgText(ident.QuoteLiteral(string(env.pgPrint(nil, typeAt(pgCodes(a[1]), 0), a[0])))), nil
		}))
		r.Impure("bop_concat", -1, pgLoose(func(a []types.Value) (types.Value, error) {
			return env.pgConcat(pgTypes(pgCodes(a[0]), 0, len(a)-1), a[1:], nil)
		}))
		r.Impure("bop_concat_ws", -1, pgLoose(func(a []types.Value) (types.Value, error) {
			if len(a) < 2 || a[1].IsNull() {
				return types.Value{}, nil
			}
			return env.pgConcat(pgTypes(pgCodes(a[0]), 1, len(a)-2), a[2:], a[1].B)
		}))
		r.Impure("bop_format", -1, func(ctx sqlite3.Context, arg Values) {
			pgLoose(func(a []types.Value) (types.Value, error) {
				if len(a) < 2 || a[1].IsNull() {
					return types.Value{}, nil
				}
				return env.pgFormatText(pgStr(a[1]), pgTypes(pgCodes(a[0]), 1, len(a)-2), a[2:])
			})(ctx, arg)
		})
	})
}

// runeOffset is where the n-th character begins, or the end.
func pgRuneOffset(b []byte, n int64) int {
	i := 0
	for ; n > 0 && i < len(b); n-- {
		_, size := utf8.DecodeRune(b[i:])
		i += size
	}
	return i
}

func pgNegativeLength() error {
	return sqlerr.New("22011", "negative substring length not allowed")
}

func pgSubstr(a []types.Value) (types.Value, error) {
	from, to := a[1].I, int64(1)<<62
	if len(a) == 3 {
		if a[2].I < 0 {
			return types.Value{}, pgNegativeLength()
		}
		to = from + a[2].I
	}
	from, to = max(from, 1)-1, max(to, 1)-1
	b := a[0].B
	if a[0].Class == types.Blob {
		n := int64(len(b))
		from = min(from, n)
		return types.Value{Class: types.Blob, B: b[from:max(min(to, n), from)]}, nil
	}
	b = b[pgRuneOffset(b, from):]
	return types.Value{Class: types.String, B: b[:pgRuneOffset(b, max(to-from, 0))]}, nil
}

func pgPad(a []types.Value, left bool) (types.Value, error) {
	s, fill := a[0].B, []byte(" ")
	if len(a) == 3 {
		fill = a[2].B
	}
	n := max(a[1].I, 0)
	if n > pgMaxResult/4 {
		return types.Value{}, pgTooLong()
	}
	have := int64(utf8.RuneCount(s))
	if have >= n {
		return types.Value{Class: types.String, B: s[:pgRuneOffset(s, n)]}, nil
	}
	if len(fill) == 0 {
		return types.Value{Class: types.String, B: s}, nil
	}
	each := int64(utf8.RuneCount(fill))
	more := n - have
	out := bytes.Repeat(fill, int(more/each))
	out = append(out, fill[:pgRuneOffset(fill, more%each)]...)
	if left {
		return types.Value{Class: types.String, B: append(out, s...)}, nil
	}
	return types.Value{Class: types.String, B: append(bytes.Clone(s), out...)}, nil
}

// trim is bop_trim(sides, string[, characters]); sides: 1 left, 2 right, 3 both.
func pgTrim(a []types.Value) (types.Value, error) {
	b := a[1].B
	if a[1].Class == types.Blob {
		set := a[2].B
		in := func(c byte) bool { return bytes.IndexByte(set, c) >= 0 }
		for a[0].I&1 != 0 && len(b) > 0 && in(b[0]) {
			b = b[1:]
		}
		for a[0].I&2 != 0 && len(b) > 0 && in(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		return types.Value{Class: types.Blob, B: b}, nil
	}
	set := " "
	if len(a) == 3 {
		set = pgStr(a[2])
	}
	if a[0].I&1 != 0 {
		b = bytes.TrimLeft(b, set)
	}
	if a[0].I&2 != 0 {
		b = bytes.TrimRight(b, set)
	}
	return types.Value{Class: types.String, B: b}, nil
}

func pgOverlay(a []types.Value) (types.Value, error) {
	blob := a[0].Class == types.Blob
	length := func(b []byte) int64 {
		if blob {
			return int64(len(b))
		}
		return int64(utf8.RuneCount(b))
	}
	n := length(a[1].B)
	if len(a) == 4 {
		n = a[3].I
	}
	if a[2].I <= 0 {
		return types.Value{}, pgNegativeLength()
	}
	head, err := pgSubstr([]types.Value{a[0], types.IntValue(1), types.IntValue(a[2].I - 1)})
	if err != nil {
		return head, err
	}
	tail, err := pgSubstr([]types.Value{a[0], types.IntValue(a[2].I + n)})
	if err != nil {
		return tail, err
	}
	head.B = append(append(bytes.Clone(head.B), a[1].B...), tail.B...)
	return head, nil
}

func pgInitcap(s string) string {
	var b strings.Builder
	inside := false
	for _, c := range s {
		if inside {
			b.WriteRune(unicode.ToLower(c))
		} else {
			b.WriteRune(unicode.ToUpper(c))
		}
		inside = unicode.IsLetter(c) || unicode.IsDigit(c)
	}
	return b.String()
}

func pgTranslate(s string, from, to []rune) string {
	return strings.Map(func(c rune) rune {
		for i, f := range from {
			if f == c {
				if i < len(to) {
					return to[i]
				}
				return -1
			}
		}
		return c
	}, s)
}

func pgSplitPart(a []types.Value) (types.Value, error) {
	s, sep, n := pgStr(a[0]), pgStr(a[1]), a[2].I
	if n == 0 {
		return types.Value{}, sqlerr.New("22023", "field position must not be zero")
	}
	parts := []string{s}
	if sep != "" && s != "" {
		parts = strings.Split(s, sep)
	}
	if n < 0 {
		n += int64(len(parts)) + 1
	}
	if n < 1 || n > int64(len(parts)) {
		return pgText(""), nil
	}
	return pgText(parts[n-1]), nil
}

func pgEncodeBytes(b []byte, form string) (string, error) {
	switch strings.ToLower(form) {
	case "hex":
		return hex.EncodeToString(b), nil
	case "base64":
		s := base64.StdEncoding.EncodeToString(b)
		var out strings.Builder
		for len(s) > 76 {
			out.WriteString(s[:76])
			out.WriteByte('\n')
			s = s[76:]
		}
		out.WriteString(s)
		return out.String(), nil
	case "escape":
		var out strings.Builder
		for _, c := range b {
			switch {
			case c == 0 || c >= 0x80:
				out.WriteByte('\\')
				out.WriteByte('0' + c>>6)
				out.WriteByte('0' + c>>3&7)
				out.WriteByte('0' + c&7)
			case c == '\\':
				out.WriteString(`\\`)
			default:
				out.WriteByte(c)
			}
		}
		return out.String(), nil
	}
	return "", sqlerr.New("22023", "unrecognized encoding: \"%s\"", form)
}

func pgDecodeBytes(s, form string) ([]byte, error) {
	clean := strings.NewReplacer(" ", "", "\n", "", "\r", "", "\t", "").Replace
	switch strings.ToLower(form) {
	case "hex":
		s = clean(s)
		for i := range len(s) {
			if !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
				c, _ := utf8.DecodeRuneInString(s[i:])
				return nil, sqlerr.New("22023", "invalid hexadecimal digit: \"%c\"", c)
			}
		}
		if len(s)%2 != 0 {
			return nil, sqlerr.New("22023", "invalid hexadecimal data: odd number of digits")
		}
		return hex.DecodeString(s)
	case "base64":
		b, err := base64.StdEncoding.DecodeString(clean(s))
		if err != nil {
			return nil, sqlerr.New("22023", "invalid base64 end sequence").WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.")
		}
		return b, nil
	case "escape":
		var out []byte
		for i := 0; i < len(s); i++ {
			octal := func(j int) bool { return j < len(s) && s[j] >= '0' && s[j] <= '7' }
			switch {
			case s[i] != '\\':
				out = append(out, s[i])
			case i+1 < len(s) && s[i+1] == '\\':
				out = append(out, '\\')
				i++
			case octal(i+1) && s[i+1] <= '3' && octal(i+2) && octal(i+3):
				out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
				i += 3
			default:
				return nil, sqlerr.New("22P02", "invalid input syntax for type bytea")
			}
		}
		return out, nil
	}
	return nil, sqlerr.New("22023", "unrecognized encoding: \"%s\"", form)
}

func pgEncodingName(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c == ' ' {
			return -1
		}
		return unicode.ToLower(c)
	}, s)
}

func pgByteIndex(b []byte, i int64) error {
	if i < 0 || i >= int64(len(b)) {
		return sqlerr.New("2202E", "index %d out of valid range, 0..%d", i, len(b)-1)
	}
	return nil
}

func pgNormalForm(a []types.Value) (norm.Form, error) {
	if len(a) < 2 {
		return norm.NFC, nil
	}
	switch strings.ToUpper(pgStr(a[1])) {
	case "NFC":
		return norm.NFC, nil
	case "NFD":
		return norm.NFD, nil
	case "NFKC":
		return norm.NFKC, nil
	case "NFKD":
		return norm.NFKD, nil
	}
	return 0, sqlerr.New("22023", "invalid normalization form: %s", pgStr(a[1]))
}

func pgUnistr(s string) (string, error) {
	var b strings.Builder
	bad := func() error {
		return sqlerr.New("42601", "invalid Unicode escape").WithHint(`Unicode escapes must be \XXXX, \+XXXXXX, \uXXXX, or \UXXXXXXXX.`)
	}
	high := rune(0)
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			c, n := utf8.DecodeRuneInString(s[i:])
			b.WriteRune(c)
			i += n
			continue
		}
		rest := s[i+1:]
		if strings.HasPrefix(rest, `\`) {
			b.WriteByte('\\')
			i += 2
			continue
		}
		skip, n := 0, 4
		switch {
		case strings.HasPrefix(rest, "+"):
			skip, n = 1, 6
		case strings.HasPrefix(rest, "u"):
			skip = 1
		case strings.HasPrefix(rest, "U"):
			skip, n = 1, 8
		}
		if len(rest) < skip+n {
			return "", bad()
		}
		u, err := strconv.ParseUint(rest[skip:skip+n], 16, 32)
		if err != nil || u == 0 || u > unicode.MaxRune {
			return "", bad()
		}
		i += 1 + skip + n
		switch c := rune(u); {
		case c >= 0xD800 && c < 0xDC00 && high == 0:
			high = c
			continue
		case c >= 0xDC00 && c < 0xE000 && high != 0:
			b.WriteRune((high-0xD800)<<10 + (c - 0xDC00) + 0x10000)
		case c >= 0xD800 && c < 0xE000 || high != 0:
			return "", sqlerr.New("42601", "invalid Unicode surrogate pair")
		default:
			b.WriteRune(c)
		}
		high = 0
	}
	if high != 0 {
		return "", sqlerr.New("42601", "invalid Unicode surrogate pair")
	}
	return b.String(), nil
}

// concat joins the values that aren't NULL.
func (e *Env) pgConcat(ts []types.Type, vs []types.Value, sep []byte) (types.Value, error) {
	out := []byte{}
	first := true
	for i, v := range vs {
		if v.IsNull() {
			continue
		}
		if !first {
			out = append(out, sep...)
		}
		first = false
		out = e.pgPrint(out, ts[i], v)
		if len(out) > pgMaxResult {
			return types.Value{}, pgTooLong()
		}
	}
	return types.Value{Class: types.String, B: out}, nil
}

// formatText is PostgreSQL's format().
func (e *Env) pgFormatText(f string, ts []types.Type, vs []types.Value) (types.Value, error) {
	var out []byte
	next := 0
	number := func(i int) (n, to int, ok bool) {
		to = i
		for to < len(f) && f[to] >= '0' && f[to] <= '9' {
			if n = n*10 + int(f[to]-'0'); n > 1<<24 {
				return 0, to, false
			}
			to++
		}
		return n, to, to > i
	}
	arg := func(n int) (int, error) {
		if n < 1 || n > len(vs) {
			return 0, sqlerr.New("22023", "too few arguments for format()")
		}
		return n - 1, nil
	}
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			out = append(out, f[i])
			continue
		}
		i++
		position, width, left := 0, 0, false
		if n, to, ok := number(i); ok {
			if to < len(f) && f[to] == '$' {
				if n == 0 {
					return types.Value{}, sqlerr.New("22023", "format specifies argument 0, but arguments are numbered from 1")
				}
				position, i = n, to+1
			}
		}
		for i < len(f) && f[i] == '-' {
			left = true
			i++
		}
		if i < len(f) && f[i] == '*' {
			i++
			at := 0
			if n, to, ok := number(i); ok && to < len(f) && f[to] == '$' {
				at, i = n, to+1
			} else {
				next++
				at = next
			}
			j, err := arg(at)
			if err != nil {
				return types.Value{}, err
			}
			if width = int(vs[j].I); width < 0 {
				left, width = true, -width
			}
		} else if n, to, ok := number(i); ok {
			width, i = n, to
		}
		if i >= len(f) {
			return types.Value{}, sqlerr.New("22023", "unterminated format() type specifier").
				WithHint("For a single \"%%\" use \"%%%%\".")
		}
		if f[i] == '%' {
			out = append(out, '%')
			continue
		}
		if f[i] != 's' && f[i] != 'I' && f[i] != 'L' {
			return types.Value{}, sqlerr.New("22023", "unrecognized format() type specifier \"%c\"", f[i]).
				WithHint("For a single \"%%\" use \"%%%%\".")
		}
		if position == 0 {
			next++
			position = next
		} else {
			next = position
		}
		j, err := arg(position)
		if err != nil {
			return types.Value{}, err
		}
		var s string
		switch v := vs[j]; {
		case v.IsNull() && f[i] == 'I':
			return types.Value{}, sqlerr.New("22004", "null values cannot be formatted as an SQL identifier")
		case v.IsNull() && f[i] == 'L':
			s = "NULL"
		case v.IsNull():
		default:
			s = string(e.pgPrint(nil, ts[j], v))
			switch f[i] {
			case 'I':
				s = ident.Quote(s)
			case 'L':
				s = ident.QuoteLiteral(s)
			}
		}
		fill := max(width-utf8.RuneCountInString(s), 0)
		if fill > pgMaxResult/16 || len(out)+fill > pgMaxResult {
			return types.Value{}, pgTooLong()
		}
		if !left {
			out = append(out, strings.Repeat(" ", fill)...)
		}
		out = append(out, s...)
		if left {
			out = append(out, strings.Repeat(" ", fill)...)
		}
	}
	return types.Value{Class: types.String, B: out}, nil
}
