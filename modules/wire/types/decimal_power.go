package types

import (
	"math"
	"math/big"
)

// Sqrt returns the square root with PostgreSQL's scale; ok is false for a negative number.
func (d Decimal) Sqrt() (root Decimal, ok bool) {
	if d.class != finite {
		return d, d.class != negativeInfinity
	}
	if d.neg {
		return Decimal{}, false
	}
	weight, _ := d.base10000()
	var sweight int
	if weight >= 0 {
		sweight = (weight*4)/2 + 1
	} else {
		sweight = 1 - (1-weight*4)/2
	}
	scale := int32(minSignificantDigit - sweight)
	scale = min(max(scale, d.scale, 0), maxResultScale)
	return d.SqrtScale(scale), true
}

// SqrtScale returns the square root of a number that isn't negative, rounded to scale digits after the point.
func (d Decimal) SqrtScale(scale int32) Decimal {
	// isqrt(coef × 10^(2·(scale+1) - d.scale)), one digit more than wanted, then rounded.
	exp := 2*(scale+1) - d.scale
	m := new(big.Int).Set(d.magnitude())
	if exp >= 0 {
		m.Mul(m, bigPow10(exp))
	} else {
		m.Quo(m, bigPow10(-exp))
	}
	return fromBig(false, m.Sqrt(m), scale+1).Round(scale)
}

// PowInt returns d^n rounded to scale digits after the point; ErrZeroPower, and ErrDecimalOverflow where it has more digits
// than are worked out exactly.
func (d Decimal) PowInt(n int64, scale int32) (Decimal, error) {
	switch {
	case n == 0:
		return DecimalFromInt(1).Round(scale), nil
	case d.class != finite:
		return d.Power(DecimalFromInt(n))
	case d.IsZero() && n < 0:
		return Decimal{}, ErrZeroPower
	case d.IsZero():
		return Decimal{scale: scale}, nil
	}
	r, exact, err := d.powWhole(n, scale)
	if !exact {
		err = ErrDecimalOverflow
	}
	return r, err
}

// The most digits that a power is worked out with exactly: of a fraction; whole numbers are bounded by MaxDecimalDigits.
const maxExactPower = 20_000

// powWhole returns d^n of a finite number that isn't zero, rounded to scale. exact is false when that takes too many digits.
func (d Decimal) powWhole(n int64, scale int32) (r Decimal, exact bool, err error) {
	base := d.TrimZeros()
	neg := n < 0
	if neg {
		n = -n
	}
	if one := DecimalFromInt(1); base.Abs().Cmp(one) == 0 {
		if base.neg && n%2 != 0 {
			one = one.Neg()
		}
		return one.Round(scale), true, nil
	}
	if n < 0 || n > 4*MaxDecimalDigits {
		return r, false, nil
	}
	if base.scale > 0 && int64(base.Digits())*n > maxExactPower {
		return r, false, nil
	}
	if base.scale == 0 && float64(n)*base.lnEstimate() > MaxDecimalDigits*math.Ln10 {
		if neg {
			return Decimal{scale: scale}, true, nil
		}
		return r, true, ErrDecimalOverflow
	}
	m := new(big.Int).Exp(base.magnitude(), big.NewInt(n), nil)
	r = fromBig(base.neg && n%2 != 0, m, base.scale*int32(n))
	if neg {
		r, err = DecimalFromInt(1).QuoRound(r, scale)
		return r, true, err
	}
	return r.Round(scale), true, nil
}

// Power returns d^e with PostgreSQL's scale; ErrZeroPower for zero to a negative power, ErrComplexPower for a negative
// number to one that isn't whole.
func (d Decimal) Power(e Decimal) (Decimal, error) {
	one := DecimalFromInt(1)
	switch {
	case e.IsZero():
		return d.powScale(one), nil
	case d.IsNaN() || e.IsNaN():
		if d.Cmp(one) == 0 {
			return one, nil
		}
		return NaN, nil
	case e.IsInf():
		c := d.Abs().Cmp(one)
		switch {
		case c == 0:
			return one, nil
		case (c > 0) == (e.Sign() > 0):
			return Infinity, nil
		}
		return Decimal{}, nil
	case d.IsZero() && e.Sign() < 0:
		return Decimal{}, ErrZeroPower
	case d.IsZero():
		return Decimal{scale: minSignificantDigit}, nil
	}
	n, whole := e.Int64()
	whole = whole && e.Cmp(DecimalFromInt(n)) == 0
	if d.IsInf() {
		switch {
		case e.Sign() < 0:
			return Decimal{}, nil
		case d.neg && whole && n%2 != 0:
			return NegativeInfinity, nil
		case d.neg && !whole:
			return Decimal{}, ErrComplexPower
		}
		return Infinity, nil
	}
	scale := d.powScaleDigits(e)
	if whole {
		scale = min(max(minSignificantDigit, d.scale), maxResultScale)
		if r, exact, err := d.powWhole(n, scale); exact {
			return r, err
		}
	}
	if d.neg && !whole {
		return Decimal{}, ErrComplexPower
	}
	// e × ln |d|, with digits to spare for those before the point of the result.
	estimate := e.Float() * d.lnEstimate()
	if estimate > maxExponent {
		return Decimal{}, ErrDecimalOverflow
	}
	if estimate < -float64(scale+10)*math.Ln10 {
		return Decimal{scale: scale}, nil
	}
	spare := int32(max(estimate/math.Ln10, 0)) + int32(max(e.IntegerDigits(), 0)) + 16
	ln, err := d.Abs().LnScale(scale + spare)
	if err != nil {
		return Decimal{}, err
	}
	r, err := ln.Mul(e).Round(scale + spare).ExpScale(scale)
	if d.neg && n%2 != 0 {
		r = r.Neg()
	}
	return r, err
}

func (d Decimal) powScale(r Decimal) Decimal {
	scale := min(max(minSignificantDigit, d.scale), maxResultScale)
	return r.Round(scale)
}

// powScaleDigits is the scale that PostgreSQL gives d^e: 16 significant digits and no fewer than the operands have.
func (d Decimal) powScaleDigits(e Decimal) int32 {
	val := e.Float() * d.lnEstimate() / math.Ln10
	val = min(max(val, -maxResultScale), maxResultScale)
	scale := int32(minSignificantDigit) - int32(val)
	return min(max(scale, d.scale, e.scale, 0), maxResultScale)
}

// lnEstimate is ln |d| in floating point, for any size.
func (d Decimal) lnEstimate() float64 {
	n := d.Digits() - int(d.scale)
	m := Decimal{small: d.small, big: d.big, scale: int32(d.Digits())}.Float() // 0.1 … 1
	return math.Log(m) + float64(n)*math.Ln10
}
