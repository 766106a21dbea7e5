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

// PowInt returns d^n for a whole n, with all its digits while there are few, else rounded to scale.
func (d Decimal) PowInt(n int64, scale int32) (Decimal, error) {
	if d.class != finite {
		switch {
		case n == 0:
			return DecimalFromInt(1), nil
		case d.class == notANumber:
			return NaN, nil
		case n < 0:
			return Decimal{}, nil
		case d.neg && n%2 != 0:
			return NegativeInfinity, nil
		}
		return Infinity, nil
	}
	neg := n < 0
	if neg {
		if d.IsZero() {
			return Decimal{}, ErrDivisionByZero
		}
		n = -n
	}
	if n < 0 || n > 1<<20 && !d.IsZero() && d.Abs().TrimZeros().Cmp(DecimalFromInt(1)) != 0 {
		return Decimal{}, ErrDecimalOverflow
	}
	if int64(d.Digits())*min(n, 1<<20) > 4*MaxDecimalDigits {
		return Decimal{}, ErrDecimalOverflow
	}
	result, base := DecimalFromInt(1), d.TrimZeros()
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = result.Mul(base)
		}
		if n > 1 {
			base = base.Mul(base)
		}
		if result.IntegerDigits() > MaxDecimalDigits {
			return Decimal{}, ErrDecimalOverflow
		}
	}
	if neg {
		return DecimalFromInt(1).QuoRound(result, scale)
	}
	return result.Round(scale), nil
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
	if n, ok := e.Int64(); ok && e.Cmp(DecimalFromInt(n)) == 0 {
		return d.PowInt(n, min(max(minSignificantDigit, d.scale), maxResultScale))
	}
	if d.Sign() < 0 {
		return Decimal{}, ErrComplexPower
	}
	if d.IsInf() {
		if e.Sign() > 0 {
			return Infinity, nil
		}
		return Decimal{}, nil
	}
	scale := d.powScaleDigits(e)
	// e × ln d, with digits to spare for those before the point of the result.
	spare := int32(max(float64(e.Float())*d.lnEstimate()/math.Ln10, 0)) + 8
	if spare > MaxDecimalDigits {
		return Decimal{}, ErrDecimalOverflow
	}
	ln, err := d.LnScale(scale + spare + 8)
	if err != nil {
		return Decimal{}, err
	}
	x := ln.Mul(e).Round(scale + spare)
	r, err := x.ExpScale(scale)
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
