package types

import (
	"errors"
	"math"
	"math/big"
)

// ErrZeroPower: zero to a negative power; ErrComplexPower: a negative number to a power that isn't whole; ErrLogarithm: the
// logarithm of a number that isn't positive.
var (
	ErrZeroPower    = errors.New("zero raised to a negative power is undefined")
	ErrComplexPower = errors.New("a negative number raised to a non-integer power yields a complex result")
	ErrLogarithm    = errors.New("logarithm of a number that is not positive")
)

// maxExponent is the largest power of e that is worked out, as in PostgreSQL.
const maxExponent = 6000

// fixedPoint returns d as a whole number of 10^-digits.
func (d Decimal) fixedPoint(digits int32) *big.Int {
	m := new(big.Int).Set(d.magnitude())
	if exp := digits - d.scale; exp >= 0 {
		m.Mul(m, bigPow10(exp))
	} else {
		m.Quo(m, bigPow10(-exp))
	}
	if d.neg {
		m.Neg(m)
	}
	return m
}

func fromFixed(m *big.Int, digits int32) Decimal {
	neg := m.Sign() < 0
	return fromBig(neg, new(big.Int).Abs(m), digits)
}

// Exp returns e^d with PostgreSQL's scale.
func (d Decimal) Exp() (Decimal, error) {
	val := min(max(d.Float()/math.Ln10, -maxResultScale), maxResultScale)
	scale := min(max(int32(minSignificantDigit)-int32(val), d.scale, 0), maxResultScale)
	return d.ExpScale(scale)
}

// ExpScale returns e^d rounded to scale digits after the point.
func (d Decimal) ExpScale(scale int32) (Decimal, error) {
	switch d.class {
	case notANumber, positiveInfinity:
		return d, nil
	case negativeInfinity:
		return Decimal{}, nil
	}
	f := d.Float()
	if f > maxExponent {
		return Decimal{}, ErrDecimalOverflow
	}
	if f < -float64(scale+10)*math.Ln10 {
		return Decimal{scale: scale}, nil
	}
	// Halve the exponent until the series converges quickly, then square back.
	digits := scale + int32(max(f/math.Ln10, 0)) + 20
	x := d.fixedPoint(digits)
	one := bigPow10(digits)
	halvings := uint(0)
	limit := new(big.Int).Quo(one, big.NewInt(256))
	for new(big.Int).Abs(x).Cmp(limit) > 0 {
		x.Quo(x, big.NewInt(2))
		halvings++
		if halvings == 8 {
			digits += 10
			x.Mul(x, bigPow10(10))
			one = bigPow10(digits)
			limit.Quo(one, big.NewInt(256))
		}
	}
	sum := new(big.Int).Set(one)
	term := new(big.Int).Set(one)
	for n := int64(1); term.Sign() != 0; n++ {
		term.Mul(term, x).Quo(term, one)
		term.Quo(term, big.NewInt(n))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum).Quo(sum, one)
	}
	return fromFixed(sum, digits).Round(scale), nil
}

// Ln returns the natural logarithm with PostgreSQL's scale; ErrLogarithm.
func (d Decimal) Ln() (Decimal, error) {
	if d.class == finite && d.Sign() <= 0 || d.class == negativeInfinity {
		return Decimal{}, ErrLogarithm
	}
	if d.class != finite {
		return d, nil
	}
	// As many digits as give 16 significant ones.
	l := d.lnEstimate()
	weight := 0.0
	if l != 0 {
		weight = math.Floor(math.Log10(math.Abs(l)))
	}
	scale := min(max(int32(minSignificantDigit)-int32(weight), d.scale, 0), maxResultScale)
	return d.LnScale(scale)
}

// LnScale returns the natural logarithm rounded to scale digits after the point; ErrLogarithm.
func (d Decimal) LnScale(scale int32) (Decimal, error) {
	switch {
	case d.class == notANumber || d.class == positiveInfinity:
		return d, nil
	case d.Sign() <= 0:
		return Decimal{}, ErrLogarithm
	}
	// d = m × 10^k with m near 1: ln d = ln m + k ln 10.
	digits := scale + 20
	k := int32(d.Digits()) - d.scale
	m := d
	m.scale = int32(d.Digits())
	x := m.fixedPoint(digits) // 0.1 ≤ m < 1
	ln := lnFixed(x, digits)
	if k != 0 {
		ten := lnFixed(bigPow10(digits-1), digits) // ln 0.1
		ln.Sub(ln, ten.Mul(ten, big.NewInt(int64(k))))
	}
	return fromFixed(ln, digits).Round(scale), nil
}

// lnFixed returns ln x for a fixed-point 0 < x ≤ 1: square roots bring it near 1, then the series of atanh.
func lnFixed(x *big.Int, digits int32) *big.Int {
	x = new(big.Int).Set(x)
	const guard = 20
	x.Mul(x, bigPow10(guard))
	one := bigPow10(digits + guard)
	roots := uint(0)
	near := new(big.Int).Sub(one, new(big.Int).Quo(one, big.NewInt(64)))
	for x.Cmp(near) < 0 {
		x.Mul(x, one).Sqrt(x)
		roots++
	}
	// y = (x-1)/(x+1), ln x = 2 (y + y³/3 + y⁵/5 …)
	y := new(big.Int).Sub(x, one)
	y.Mul(y, one).Quo(y, new(big.Int).Add(x, one))
	square := new(big.Int).Mul(y, y)
	square.Quo(square, one)
	sum := new(big.Int).Set(y)
	term := new(big.Int).Set(y)
	for n := int64(3); term.Sign() != 0; n += 2 {
		term.Mul(term, square).Quo(term, one)
		sum.Add(sum, new(big.Int).Quo(term, big.NewInt(n)))
	}
	sum.Lsh(sum, roots+1)
	return sum.Quo(sum, bigPow10(guard))
}

// Log returns the logarithm of d to a base with PostgreSQL's scale; ErrLogarithm, ErrDivisionByZero for base 1.
func (d Decimal) Log(base Decimal) (Decimal, error) {
	if d.Sign() <= 0 || base.Sign() <= 0 {
		return Decimal{}, ErrLogarithm
	}
	if d.class != finite || base.class != finite {
		return NaN, nil
	}
	estimate := d.lnEstimate() / base.lnEstimate()
	weight := 0.0
	if estimate != 0 && !math.IsInf(estimate, 0) && !math.IsNaN(estimate) {
		weight = math.Floor(math.Log10(math.Abs(estimate)))
	}
	scale := min(max(int32(minSignificantDigit)-int32(weight), d.scale, base.scale, 0), maxResultScale)
	ld, err := d.LnScale(scale + 10)
	if err != nil {
		return Decimal{}, err
	}
	lb, err := base.LnScale(scale + 10)
	if err != nil {
		return Decimal{}, err
	}
	return ld.QuoRound(lb, scale)
}
