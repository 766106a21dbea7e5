package types

import (
	"errors"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// decimalClass tells finite numbers from the three others.
type decimalClass uint8

const (
	finite decimalClass = iota
	notANumber
	positiveInfinity
	negativeInfinity
)

// Decimal is a number with a decimal point: an integer coefficient and the count of its digits after the point, which is
// kept (1.10 is not 1.1, though they are equal). It also holds PostgreSQL's NaN and infinities. The zero Decimal is 0.
// Up to 18 digits need no memory of their own. A Decimal is immutable.
type Decimal struct {
	class decimalClass
	neg   bool
	scale int32
	small uint64   // the coefficient, when big is nil
	big   *big.Int // the coefficient's magnitude, when it doesn't fit small
}

// Limits of PostgreSQL's numeric, which Decimal keeps to.
const (
	MaxDecimalScale     = 16383  // digits after the point
	MaxDecimalDigits    = 131072 // digits before the point
	maxResultScale      = 1000   // of a division
	minSignificantDigit = 16     // of a division
)

// Errors of decimal arithmetic.
var (
	ErrDivisionByZero   = errors.New("division by zero")
	ErrDecimalOverflow  = errors.New("value overflows numeric format")
	errDecimalSyntax    = errors.New("invalid decimal syntax")
	errDecimalNotFinite = errors.New("not a finite number")
)

// NaN, Infinity and NegativeInfinity are numeric's special values.
var (
	NaN              = Decimal{class: notANumber}
	Infinity         = Decimal{class: positiveInfinity}
	NegativeInfinity = Decimal{class: negativeInfinity, neg: true}
)

var pow10tab = func() (t [20]uint64) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = t[i-1] * 10
	}
	return t
}()

// bigPow10 returns 10^n.
func bigPow10(n int32) *big.Int {
	if n < int32(len(pow10tab)) {
		return new(big.Int).SetUint64(pow10tab[n])
	}
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// DecimalFromInt returns i with no digits after the point.
func DecimalFromInt(i int64) Decimal {
	if i < 0 {
		return Decimal{neg: true, small: uint64(-i)}
	}
	return Decimal{small: uint64(i)}
}

// NewDecimal returns coefficient × 10^-scale.
func NewDecimal(coefficient int64, scale int32) Decimal {
	d := DecimalFromInt(coefficient)
	d.scale = max(scale, 0)
	return d
}

// DecimalFromFloat converts f as PostgreSQL does: digits is 15 for double precision and 6 for real.
func DecimalFromFloat(f float64, digits int) Decimal {
	switch {
	case math.IsNaN(f):
		return NaN
	case math.IsInf(f, 1):
		return Infinity
	case math.IsInf(f, -1):
		return NegativeInfinity
	}
	var buf [32]byte
	d, err := ParseDecimal(strconv.AppendFloat(buf[:0], f, 'g', digits, 64))
	if err != nil {
		return NaN
	}
	return d
}

// fromBig returns the canonical Decimal of a magnitude, which it takes over.
func fromBig(neg bool, mag *big.Int, scale int32) Decimal {
	if mag.IsUint64() {
		return Decimal{neg: neg && mag.Sign() != 0, small: mag.Uint64(), scale: scale}
	}
	return Decimal{neg: neg, big: mag, scale: scale}
}

// magnitude returns |coefficient| as a big.Int that must not be changed.
func (d Decimal) magnitude() *big.Int {
	if d.big != nil {
		return d.big
	}
	return new(big.Int).SetUint64(d.small)
}

// IsNaN, IsInf and IsZero classify d.
func (d Decimal) IsNaN() bool  { return d.class == notANumber }
func (d Decimal) IsInf() bool  { return d.class >= positiveInfinity }
func (d Decimal) IsZero() bool { return d.class == finite && d.big == nil && d.small == 0 }

// Scale returns the number of digits after the point.
func (d Decimal) Scale() int32 { return d.scale }

// Sign returns -1, 0 or 1; NaN gives 0.
func (d Decimal) Sign() int {
	switch {
	case d.class == notANumber || d.IsZero():
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// Digits returns the number of digits of the coefficient, at least 1.
func (d Decimal) Digits() int {
	if d.big != nil {
		return len(d.big.Text(10))
	}
	return uintDigits(d.small)
}

func uintDigits(u uint64) int {
	n := 1
	for n < len(pow10tab) && u >= pow10tab[n] {
		n++
	}
	return n
}

// IntegerDigits returns the number of digits before the point, 0 for numbers below one.
func (d Decimal) IntegerDigits() int {
	if d.IsZero() {
		return 0
	}
	return max(d.Digits()-int(d.scale), 0)
}

// ParseDecimal reads digits with an optional point and exponent, NaN, Infinity, inf; blanks around it are allowed.
// Digits after the point are kept as written.
func ParseDecimal(b []byte) (Decimal, error) {
	b = trimSpace(b)
	d, rest, err := parseDecimalPrefix(b)
	if err != nil {
		return Decimal{}, err
	}
	if len(rest) != 0 {
		return Decimal{}, errDecimalSyntax
	}
	return d, nil
}

// parseDecimalPrefix reads the longest decimal at the start of b.
func parseDecimalPrefix(b []byte) (Decimal, []byte, error) {
	var d Decimal
	i := 0
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		d.neg = b[i] == '-'
		i++
	}
	if i < len(b) && (b[i]|0x20 == 'n' || b[i]|0x20 == 'i') {
		return parseDecimalWord(b, i, d.neg)
	}

	start, digits, afterPoint := i, 0, int32(-1)
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' {
			if afterPoint >= 0 {
				break
			}
			afterPoint = 0
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		if afterPoint >= 0 {
			afterPoint++
		}
		digits++
		if digits <= 18 {
			d.small = d.small*10 + uint64(c-'0')
		}
	}
	if digits == 0 {
		return Decimal{}, nil, errDecimalSyntax
	}
	d.scale = max(afterPoint, 0)
	if digits > 18 {
		text := make([]byte, 0, digits)
		for _, c := range b[start:i] {
			if c != '.' {
				text = append(text, c)
			}
		}
		lead := 0
		for lead < len(text)-1 && text[lead] == '0' {
			lead++
		}
		text = text[lead:]
		if len(text) > MaxDecimalDigits+MaxDecimalScale {
			return Decimal{}, nil, ErrDecimalOverflow
		}
		mag, ok := new(big.Int).SetString(string(text), 10)
		if !ok {
			return Decimal{}, nil, errDecimalSyntax
		}
		d = fromBig(d.neg, mag, d.scale)
	}

	if i < len(b) && b[i]|0x20 == 'e' {
		exp, n, ok := parseExponent(b[i:])
		if ok {
			i += n
			var err error
			if d, err = d.shift(exp); err != nil {
				return Decimal{}, nil, err
			}
		}
	}
	if d.scale > MaxDecimalScale {
		d = d.Round(MaxDecimalScale)
	}
	if d.IntegerDigits() > MaxDecimalDigits {
		return Decimal{}, nil, ErrDecimalOverflow
	}
	if d.IsZero() {
		d.neg = false
	}
	return d, b[i:], nil
}

func parseDecimalWord(b []byte, i int, neg bool) (Decimal, []byte, error) {
	if hasFold(b[i:], "nan") && i == 0 {
		return NaN, b[i+3:], nil
	}
	for _, w := range [...]string{"infinity", "inf"} {
		if hasFold(b[i:], w) {
			if neg {
				return NegativeInfinity, b[i+len(w):], nil
			}
			return Infinity, b[i+len(w):], nil
		}
	}
	return Decimal{}, nil, errDecimalSyntax
}

func parseExponent(b []byte) (exp int, n int, ok bool) {
	i := 1
	neg := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	start := i
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if exp < 1<<24 {
			exp = exp*10 + int(b[i]-'0')
		}
	}
	if i == start {
		return 0, 0, false
	}
	if neg {
		exp = -exp
	}
	return exp, i, true
}

// shift returns d × 10^exp, with as many digits after the point as remain.
func (d Decimal) shift(exp int) (Decimal, error) {
	scale := int64(d.scale) - int64(exp)
	if scale >= 0 {
		if scale > MaxDecimalScale {
			// Too small to be told from zero, or nearly.
			if d.IsZero() || scale-int64(d.Digits()) > MaxDecimalScale {
				return Decimal{scale: MaxDecimalScale}, nil
			}
		}
		d.scale = int32(scale)
		return d, nil
	}
	d.scale = 0
	if d.IsZero() {
		return d, nil
	}
	if -scale > MaxDecimalDigits {
		return Decimal{}, ErrDecimalOverflow
	}
	return d.scaleUp(int32(-scale)), nil
}

// scaleUp multiplies the coefficient by 10^n, leaving scale alone.
func (d Decimal) scaleUp(n int32) Decimal {
	if n <= 0 || d.IsZero() {
		return d
	}
	if d.big == nil && int(n) < len(pow10tab) {
		if hi, lo := bits.Mul64(d.small, pow10tab[n]); hi == 0 {
			d.small = lo
			return d
		}
	}
	m := new(big.Int).Mul(d.magnitude(), bigPow10(n))
	return fromBig(d.neg, m, d.scale)
}

// AppendText appends the canonical text: digits with exactly Scale digits after the point, NaN, Infinity or -Infinity.
func (d Decimal) AppendText(dst []byte) []byte {
	switch d.class {
	case notANumber:
		return append(dst, "NaN"...)
	case positiveInfinity:
		return append(dst, "Infinity"...)
	case negativeInfinity:
		return append(dst, "-Infinity"...)
	}
	if d.neg {
		dst = append(dst, '-')
	}
	start := len(dst)
	if d.big != nil {
		dst = d.big.Append(dst, 10)
	} else {
		dst = strconv.AppendUint(dst, d.small, 10)
	}
	if d.scale == 0 {
		return dst
	}
	digits := len(dst) - start
	scale := int(d.scale)
	if pad := scale + 1 - digits; pad > 0 {
		for range pad {
			dst = append(dst, '0')
		}
		copy(dst[start+pad:], dst[start:start+digits])
		for i := range pad {
			dst[start+i] = '0'
		}
	}
	dst = append(dst, 0)
	point := len(dst) - 1 - scale
	copy(dst[point+1:], dst[point:len(dst)-1])
	dst[point] = '.'
	return dst
}

func (d Decimal) String() string {
	var buf [40]byte
	return string(d.AppendText(buf[:0]))
}

// Float returns the nearest float64.
func (d Decimal) Float() float64 {
	switch d.class {
	case notANumber:
		return math.NaN()
	case positiveInfinity:
		return math.Inf(1)
	case negativeInfinity:
		return math.Inf(-1)
	}
	if d.big == nil && d.scale == 0 {
		if d.neg {
			return -float64(d.small)
		}
		return float64(d.small)
	}
	var buf [64]byte
	f, _ := strconv.ParseFloat(string(d.AppendText(buf[:0])), 64)
	return f
}

// Int64 returns d rounded half away from zero; ok is false when that doesn't fit or d isn't finite.
func (d Decimal) Int64() (i int64, ok bool) {
	if d.class != finite {
		return 0, false
	}
	d = d.Round(0)
	if d.big != nil {
		return 0, false
	}
	switch {
	case d.neg && d.small <= 1<<63:
		return -int64(d.small), true
	case !d.neg && d.small < 1<<63:
		return int64(d.small), true
	}
	return 0, false
}
