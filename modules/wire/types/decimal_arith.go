package types

import (
	"math/big"
	"math/bits"
)

// Round returns d rounded half away from zero to scale digits after the point; a negative scale rounds before it
// (and leaves none after). Digits are added as zeros.
func (d Decimal) Round(scale int32) Decimal { return d.cut(scale, roundHalf) }

// Trunc cuts d to scale digits after the point, towards zero. Digits are added as zeros.
func (d Decimal) Trunc(scale int32) Decimal { return d.cut(scale, roundDown) }

// Floor and Ceil return the whole number below and above.
func (d Decimal) Floor() Decimal { return d.cut(0, roundFloor) }

func (d Decimal) Ceil() Decimal { return d.cut(0, roundCeil) }

type roundMode uint8

const (
	roundHalf roundMode = iota
	roundDown
	roundFloor
	roundCeil
)

func (d Decimal) cut(scale int32, mode roundMode) Decimal {
	if d.class != finite {
		return d
	}
	scale = max(min(scale, MaxDecimalScale), -MaxDecimalDigits-2)
	switch {
	case scale == d.scale:
		return d
	case scale > d.scale:
		up := d.scaleUp(scale - d.scale)
		up.scale = scale
		return up
	}
	drop := d.scale - scale
	if int(drop) > d.Digits()+1 {
		drop = int32(d.Digits() + 1)
		r := d.cutDigits(drop, mode)
		// Whatever is left (0 or 1) stands for 10^-scale.
		r.scale = 0
		if scale < 0 {
			return r.scaleUp(-scale)
		}
		r.scale = scale
		return r
	}
	r := d.cutDigits(drop, mode)
	if scale < 0 {
		r.scale = 0
		return r.scaleUp(-scale)
	}
	r.scale = scale
	return r
}

// cutDigits drops the last n digits of the coefficient.
func (d Decimal) cutDigits(n int32, mode roundMode) Decimal {
	up := func(nonzero, half bool) bool {
		switch mode {
		case roundHalf:
			return half
		case roundFloor:
			return d.neg && nonzero
		case roundCeil:
			return !d.neg && nonzero
		}
		return false
	}
	if d.big == nil && int(n) < len(pow10tab) {
		p := pow10tab[n]
		q, r := d.small/p, d.small%p
		if up(r != 0, r >= p-r && r != 0) {
			q++
		}
		return Decimal{neg: d.neg && q != 0, small: q, scale: d.scale}
	}
	p := bigPow10(n)
	q, r := new(big.Int).QuoRem(d.magnitude(), p, new(big.Int))
	nonzero := r.Sign() != 0
	if up(nonzero, nonzero && r.Lsh(r, 1).Cmp(p) >= 0) {
		q.Add(q, big.NewInt(1))
	}
	return fromBig(d.neg, q, d.scale)
}

// Neg returns -d.
func (d Decimal) Neg() Decimal {
	switch d.class {
	case notANumber:
		return d
	case positiveInfinity:
		return NegativeInfinity
	case negativeInfinity:
		return Infinity
	}
	if !d.IsZero() {
		d.neg = !d.neg
	}
	return d
}

// Abs returns |d|.
func (d Decimal) Abs() Decimal {
	if d.neg {
		return d.Neg()
	}
	return d
}

// Add returns d + e; the result has the larger scale.
func (d Decimal) Add(e Decimal) Decimal {
	if d.class != finite || e.class != finite {
		return addSpecial(d, e)
	}
	scale := max(d.scale, e.scale)
	a, b := d.scaleUp(scale-d.scale), e.scaleUp(scale-e.scale)
	if a.big == nil && b.big == nil {
		if a.neg == b.neg {
			if sum, carry := bits.Add64(a.small, b.small, 0); carry == 0 {
				return Decimal{neg: a.neg && sum != 0, small: sum, scale: scale}
			}
		} else if a.small >= b.small {
			return Decimal{neg: a.neg && a.small != b.small, small: a.small - b.small, scale: scale}
		} else {
			return Decimal{neg: b.neg, small: b.small - a.small, scale: scale}
		}
	}
	x := new(big.Int).Set(a.magnitude())
	if a.neg {
		x.Neg(x)
	}
	if b.neg {
		x.Sub(x, b.magnitude())
	} else {
		x.Add(x, b.magnitude())
	}
	neg := x.Sign() < 0
	return fromBig(neg, x.Abs(x), scale)
}

func addSpecial(d, e Decimal) Decimal {
	switch {
	case d.class == notANumber || e.class == notANumber:
		return NaN
	case d.class == finite:
		return e
	case e.class == finite || d.class == e.class:
		return d
	}
	return NaN // ∞ - ∞
}

// Sub returns d - e; the result has the larger scale.
func (d Decimal) Sub(e Decimal) Decimal { return d.Add(e.Neg()) }

// Mul returns d × e; the result's scale is the sum of theirs, at most MaxDecimalScale.
func (d Decimal) Mul(e Decimal) Decimal {
	if d.class != finite || e.class != finite {
		return signedInfinity(d, e)
	}
	scale := d.scale + e.scale
	neg := d.neg != e.neg
	var r Decimal
	if d.big == nil && e.big == nil {
		if hi, lo := bits.Mul64(d.small, e.small); hi == 0 {
			r = Decimal{neg: neg && lo != 0, small: lo, scale: scale}
			if scale > MaxDecimalScale {
				return r.Round(MaxDecimalScale)
			}
			return r
		}
	}
	r = fromBig(neg, new(big.Int).Mul(d.magnitude(), e.magnitude()), scale)
	if scale > MaxDecimalScale {
		return r.Round(MaxDecimalScale)
	}
	return r
}

// signedInfinity is ∞ × e for any e that isn't NaN or zero.
func signedInfinity(d, e Decimal) Decimal {
	s := d.Sign() * e.Sign()
	switch {
	case s > 0:
		return Infinity
	case s < 0:
		return NegativeInfinity
	}
	return NaN
}

// base10000 returns the weight and value of d's first digit in base 10000, aligned at the point as PostgreSQL stores it.
func (d Decimal) base10000() (weight, first int) {
	if d.IsZero() {
		return 0, 0
	}
	n := d.Digits() - int(d.scale) // digits before the point; ≤ 0 for leading zeros after it
	weight = floorDiv(n-1, 4)
	take := n - 4*weight // digits of the coefficient in the first group
	var u uint64
	if d.big == nil {
		u = d.small
		if drop := uintDigits(u) - take; drop > 0 {
			u /= pow10tab[drop]
		} else {
			u *= pow10tab[-drop]
		}
		return weight, int(u)
	}
	text := d.big.Text(10)
	for i := range take {
		u *= 10
		if i < len(text) {
			u += uint64(text[i] - '0')
		}
	}
	return weight, int(u)
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// DivScale returns the scale that PostgreSQL gives the quotient d / e: at least 16 significant digits, and no fewer
// digits after the point than either operand has.
func (d Decimal) DivScale(e Decimal) int32 {
	w1, f1 := d.base10000()
	w2, f2 := e.base10000()
	qweight := w1 - w2
	if f1 <= f2 {
		qweight--
	}
	scale := int32(minSignificantDigit - qweight*4)
	return min(max(scale, d.scale, e.scale, 0), maxResultScale)
}

// Div returns d / e with PostgreSQL's scale, rounded half away from zero; ErrDivisionByZero.
func (d Decimal) Div(e Decimal) (Decimal, error) {
	if q, special, err := divSpecial(d, e); special {
		return q, err
	}
	return d.QuoRound(e, d.DivScale(e))
}

// QuoRound returns d / e rounded half away from zero to scale digits after the point; ErrDivisionByZero.
func (d Decimal) QuoRound(e Decimal, scale int32) (Decimal, error) {
	return d.quo(e, scale, true)
}

// QuoTrunc returns d / e cut to scale digits after the point; ErrDivisionByZero.
func (d Decimal) QuoTrunc(e Decimal, scale int32) (Decimal, error) {
	return d.quo(e, scale, false)
}

func divSpecial(d, e Decimal) (q Decimal, special bool, err error) {
	switch {
	case d.class == notANumber || e.class == notANumber:
		return NaN, true, nil
	case e.IsZero():
		return Decimal{}, true, ErrDivisionByZero
	case d.IsInf() && e.IsInf():
		return NaN, true, nil
	case d.IsInf():
		return signedInfinity(d, e), true, nil
	case e.IsInf():
		return Decimal{}, true, nil
	}
	return Decimal{}, false, nil
}

func (d Decimal) quo(e Decimal, scale int32, round bool) (Decimal, error) {
	if q, special, err := divSpecial(d, e); special {
		return q, err
	}
	// d.coef / 10^d.scale / (e.coef / 10^e.scale) × 10^scale
	num, den := d, e
	if exp := scale - d.scale + e.scale; exp >= 0 {
		num = num.scaleUp(exp)
	} else {
		den = den.scaleUp(-exp)
	}
	neg := d.neg != e.neg
	if num.big == nil && den.big == nil {
		q, r := num.small/den.small, num.small%den.small
		if round && r >= den.small-r && r != 0 {
			q++
		}
		return Decimal{neg: neg && q != 0, small: q, scale: scale}, nil
	}
	dm := den.magnitude()
	q, r := new(big.Int).QuoRem(num.magnitude(), dm, new(big.Int))
	if round && r.Lsh(r, 1).Cmp(dm) >= 0 {
		q.Add(q, big.NewInt(1))
	}
	return fromBig(neg, q, scale), nil
}

// Mod returns the remainder of d / e with the sign of d and the larger scale; ErrDivisionByZero.
func (d Decimal) Mod(e Decimal) (Decimal, error) {
	switch {
	case d.class == notANumber || e.class == notANumber:
		return NaN, nil
	case d.IsInf():
		if e.IsZero() {
			return Decimal{}, ErrDivisionByZero
		}
		return NaN, nil
	case e.IsInf():
		return d, nil
	case e.IsZero():
		return Decimal{}, ErrDivisionByZero
	}
	scale := max(d.scale, e.scale)
	a, b := d.scaleUp(scale-d.scale), e.scaleUp(scale-e.scale)
	if a.big == nil && b.big == nil {
		r := a.small % b.small
		return Decimal{neg: d.neg && r != 0, small: r, scale: scale}, nil
	}
	return fromBig(d.neg, new(big.Int).Rem(a.magnitude(), b.magnitude()), scale), nil
}

// Cmp orders d and e by value: -Infinity, finite numbers, Infinity, NaN; NaN equals itself.
func (d Decimal) Cmp(e Decimal) int {
	if d.class != finite || e.class != finite {
		return rankDecimal(d) - rankDecimal(e)
	}
	ds, es := d.Sign(), e.Sign()
	if ds != es {
		return cmpInt(ds, es)
	}
	if ds == 0 {
		return 0
	}
	scale := max(d.scale, e.scale)
	a, b := d.scaleUp(scale-d.scale), e.scaleUp(scale-e.scale)
	var c int
	if a.big == nil && b.big == nil {
		switch {
		case a.small < b.small:
			c = -1
		case a.small > b.small:
			c = 1
		}
	} else {
		c = a.magnitude().Cmp(b.magnitude())
	}
	return c * ds
}

func cmpInt(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func rankDecimal(d Decimal) int {
	switch d.class {
	case negativeInfinity:
		return 0
	case positiveInfinity:
		return 2
	case notANumber:
		return 3
	}
	return 1
}

// TrimZeros returns d without zeros at the end of its fraction.
func (d Decimal) TrimZeros() Decimal {
	if d.class != finite {
		return d
	}
	for d.scale > 0 {
		if d.big != nil {
			q, r := new(big.Int).QuoRem(d.big, big.NewInt(10), new(big.Int))
			if r.Sign() != 0 {
				return d
			}
			d = fromBig(d.neg, q, d.scale-1)
			continue
		}
		if d.small == 0 {
			d.scale = 0
			return d
		}
		if d.small%10 != 0 {
			return d
		}
		d.small /= 10
		d.scale--
	}
	return d
}
