package funcs

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	implement(func(r *Registrar) {
		r.Collation("bop_decimal", CompareDecimal)
		r.Collation("bop_ci", CompareCI)
		r.Collation("bop_ci_pad", func(a, b []byte) int {
			return CompareCI(bytes.TrimRight(a, " "), bytes.TrimRight(b, " "))
		})
		r.Collation("bop_time", CompareTime)
	})
}

// CompareDecimal is the collation bop_decimal: numbers by value, whatever their digits after the point. What isn't a number
// comes before them, ordered by bytes.
func CompareDecimal(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	x, err1 := types.ParseDecimal(a)
	y, err2 := types.ParseDecimal(b)
	switch {
	case err1 != nil && err2 != nil:
		return bytes.Compare(a, b)
	case err1 != nil:
		return -1
	case err2 != nil:
		return 1
	}
	return x.Cmp(y)
}

// CompareTime is the collation bop_time, for MySQL's TIME that can be negative or longer than a day. What isn't a time comes
// before.
func CompareTime(a, b []byte) int {
	x, ok1 := types.ParseStoredTime(a)
	y, ok2 := types.ParseStoredTime(b)
	switch {
	case !ok1 && !ok2:
		return bytes.Compare(a, b)
	case !ok1 || ok2 && x < y:
		return -1
	case !ok2 || x > y:
		return 1
	}
	return 0
}

// CompareCI is the collation bop_ci: letters without regard to case and accents, like MySQL's utf8mb4_0900_ai_ci. Letters
// and digits come after punctuation, as they do there.
func CompareCI(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		x, y := a[0], b[0]
		if x|y >= utf8.RuneSelf {
			return compareFolded(a, b)
		}
		if x != y {
			if wx, wy := ciWeights[x], ciWeights[y]; wx != wy {
				// A combining accent may still follow, but can't make different letters equal.
				return int(wx) - int(wy)
			}
		}
		a, b = a[1:], b[1:]
	}
	switch {
	case len(a) == 0 && len(b) == 0:
		return 0
	case len(a) == 0:
		if isIgnorable(b) {
			return 0
		}
		return -1
	}
	if isIgnorable(a) {
		return 0
	}
	return 1
}

// isIgnorable reports whether b consists of accents alone.
func isIgnorable(b []byte) bool {
	if b[0] < utf8.RuneSelf {
		return false
	}
	return len(FoldCI(nil, b)) == 0
}

// ciWeights order ASCII as MySQL does: control characters, punctuation, digits, letters without case.
var ciWeights = func() (w [utf8.RuneSelf]byte) {
	const order = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789"
	next := byte(1)
	for c := range w {
		if c <= ' ' || c == 0x7f {
			w[c] = next
			next++
		}
	}
	for _, c := range []byte(order) {
		w[c] = next
		next++
	}
	for c := byte('a'); c <= 'z'; c++ {
		w[c], w[c-0x20] = next, next
		next++
	}
	return w
}()

// compareFolded compares text with characters beyond ASCII.
func compareFolded(a, b []byte) int {
	x, y := FoldCI(nil, a), FoldCI(nil, b)
	for len(x) > 0 && len(y) > 0 {
		r, n := utf8.DecodeRune(x)
		s, m := utf8.DecodeRune(y)
		if r != s {
			wr, ws := int(r)+0x80, int(s)+0x80
			if r < utf8.RuneSelf {
				wr = int(ciWeights[r])
			}
			if s < utf8.RuneSelf {
				ws = int(ciWeights[s])
			}
			return wr - ws
		}
		x, y = x[n:], y[m:]
	}
	return len(x) - len(y)
}

// FoldCI appends b in the form in which equal text under bop_ci is the same: lower case, without accents.
func FoldCI(dst, b []byte) []byte {
	ascii := true
	for _, c := range b {
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if !ascii {
		b = norm.NFKD.Bytes(b)
	}
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 0x20
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		i += n
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		switch r {
		case 'ß', 'ẞ':
			dst = append(dst, 's', 's')
			continue
		case 'æ', 'Æ':
			dst = append(dst, 'a', 'e')
			continue
		case 'œ', 'Œ':
			dst = append(dst, 'o', 'e')
			continue
		case 'ø', 'Ø':
			dst = append(dst, 'o')
			continue
		case 'đ', 'Đ':
			dst = append(dst, 'd')
			continue
		case 'ł', 'Ł':
			dst = append(dst, 'l')
			continue
		case 'ς':
			r = 'σ'
		}
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
	}
	return dst
}
