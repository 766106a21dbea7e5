package funcs

import (
	"hash/crc32"
	"math"
	"math/bits"
	"math/rand/v2"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// The most digits of MySQL's DECIMAL, and those after its point.
const (
	maxDecimalLen   = 65
	maxDecimalScale = 30
	divIncrement    = 4 // div_precision_increment
)

// decimalOf returns a DECIMAL of at most MySQL's size. whole are the digits before the point.
func decimalOf(whole, scale int32) types.Type {
	scale = min(scale, maxDecimalScale)
	return types.Type{Kind: types.Numeric, Len: min(max(whole+scale, 1), maxDecimalLen), Scale: scale}
}

// asDecimal is the DECIMAL that holds all values of a number type.
func asDecimal(t types.Type) types.Type {
	if t.Kind == types.Numeric {
		if t.Len <= 0 {
			return decimalOf(35, 30)
		}
		return t
	}
	switch t.Kind {
	case types.Bool, types.Int1:
		return decimalOf(3, 0)
	case types.Int2:
		return decimalOf(5, 0)
	case types.Int3:
		return decimalOf(8, 0)
	case types.Int4, types.Year:
		return decimalOf(10, 0)
	}
	return decimalOf(20, 0)
}

func init() {
	dec := types.Numeric
	add := func(ts []types.Type) types.Type {
		a, b := asDecimal(ts[0]), asDecimal(ts[1])
		return decimalOf(max(a.Len-a.Scale, b.Len-b.Scale)+1, max(a.Scale, b.Scale))
	}
	op := func(name string, l, r, res types.Kind, sql string, f func(ts []types.Type) types.Type) *Signature {
		s := infix(name, l, r, res, sql)
		s.ResultOf = f
		return s
	}
	int8Of := func(ts []types.Type) types.Type {
		return types.Type{Kind: types.Int8, Unsigned: ts[0].Unsigned || len(ts) > 1 && ts[1].Unsigned}
	}
	unsigned := func([]types.Type) types.Type { return types.Type{Kind: types.Int8, Unsigned: true} }
	defineOp(my,
		op("+", types.Int8, types.Int8, types.Int8, "bop_int8($1 + $2)", int8Of),
		op("-", types.Int8, types.Int8, types.Int8, "bop_int8($1 - $2)", int8Of),
		op("*", types.Int8, types.Int8, types.Int8, "bop_int8($1 * $2)", int8Of),
		op("DIV", types.Int8, types.Int8, types.Int8, "my_div($1, $2)", int8Of),
		op("%", types.Int8, types.Int8, types.Int8, "my_mod($1, $2)", func(ts []types.Type) types.Type {
			return types.Type{Kind: types.Int8, Unsigned: ts[0].Unsigned}
		}),
		op("/", types.Int8, types.Int8, dec, "my_dec_div($1, $2, 0)", divType),
		op("+", dec, dec, dec, "bop_dec_add($1, $2)", add),
		op("-", dec, dec, dec, "bop_dec_sub($1, $2)", add),
		op("*", dec, dec, dec, "my_dec_mul($1, $2)", func(ts []types.Type) types.Type {
			a, b := asDecimal(ts[0]), asDecimal(ts[1])
			return decimalOf(a.Len-a.Scale+b.Len-b.Scale, a.Scale+b.Scale)
		}),
		op("/", dec, dec, dec, "my_dec_div($1, $2, 0)", divType),
		op("DIV", dec, dec, types.Int8, "my_dec_intdiv($1, $2)", int8Of),
		op("%", dec, dec, dec, "my_dec_mod($1, $2)", func(ts []types.Type) types.Type {
			a, b := asDecimal(ts[0]), asDecimal(ts[1])
			return decimalOf(max(a.Len-a.Scale, b.Len-b.Scale), max(a.Scale, b.Scale))
		}),
		infix("+", types.Float8, types.Float8, types.Float8, "$1 + $2"),
		infix("-", types.Float8, types.Float8, types.Float8, "$1 - $2"),
		infix("*", types.Float8, types.Float8, types.Float8, "$1 * $2"),
		infix("/", types.Float8, types.Float8, types.Float8, "$1 / $2"),
		infix("DIV", types.Float8, types.Float8, types.Int8, "my_fdiv($1, $2)"),
		infix("%", types.Float8, types.Float8, types.Float8, "my_fmod($1, $2)"),
		prefix("-", types.Int8, types.Int8, "bop_int8(-$1)"),
		prefix("-", types.Float8, types.Float8, "-$1"),
		&Signature{Name: "-", Args: kinds(dec), Result: dec, SQL: "bop_dec_neg($1)", ResultOf: func(ts []types.Type) types.Type { return asDecimal(ts[0]) }},
		op("&", types.Int8, types.Int8, types.Int8, "my_bits($1 & $2)", unsigned),
		op("|", types.Int8, types.Int8, types.Int8, "my_bits($1 | $2)", unsigned),
		op("#", types.Int8, types.Int8, types.Int8, "my_bits(bop_xor($1, $2))", unsigned),
		op("^", types.Int8, types.Int8, types.Int8, "my_bits(bop_xor($1, $2))", unsigned),
		op("<<", types.Int8, types.Int8, types.Int8, "my_bits(my_shift($1, $2))", unsigned),
		op(">>", types.Int8, types.Int8, types.Int8, "my_bits(my_shift($1, -$2))", unsigned),
	)

	float1 := func(name string, f func(float64) float64) myFunc {
		return myFunc{name: name, args: kinds(tFloat), result: tFloat, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return finite(f(a[0].F)), nil
		}}
	}
	alias := func(name string, f myFunc) myFunc { f.as = "my_" + f.name; f.name = name; return f }
	same := func(ts []types.Type) types.Type { return asDecimal(ts[0]) }
	whole := func(ts []types.Type) types.Type {
		if d := asDecimal(ts[0]); d.Len-d.Scale < 18 {
			return types.T(types.Int8)
		}
		d := asDecimal(ts[0])
		return decimalOf(d.Len-d.Scale+1, 0)
	}
	power := myFunc{name: "pow", args: kinds(tFloat, tFloat), result: tFloat, call: func(_ *Env, a []types.Value) (types.Value, error) {
		f := math.Pow(a[0].F, a[1].F)
		if math.IsInf(f, 0) {
			return null, sqlerr.New("22003", "value out of range: overflow").My(1690, "DOUBLE value is out of range in 'pow'")
		}
		return finite(f), nil
	}}
	ceiling := []myFunc{
		{name: "ceiling", args: kinds(tInt), result: tInt, sql: "$1"},
		{name: "ceiling", args: kinds(dec), result: dec, resultOf: whole, as: "my_ceil", call: func(_ *Env, a []types.Value) (types.Value, error) {
			return wholeNumber(a[0], types.Decimal.Ceil)
		}},
		{name: "ceiling", args: kinds(tFloat), result: tFloat, sql: "ceil($1)"},
		{name: "floor", args: kinds(tInt), result: tInt, sql: "$1"},
		{name: "floor", args: kinds(dec), result: dec, resultOf: whole, as: "my_floor", call: func(_ *Env, a []types.Value) (types.Value, error) {
			return wholeNumber(a[0], types.Decimal.Floor)
		}},
		{name: "floor", args: kinds(tFloat), result: tFloat, sql: "floor($1)"},
	}
	for _, f := range ceiling[:3] {
		f.name, f.call = "ceil", nil
		ceiling = append(ceiling, f)
	}
	implementMy(ceiling...)
	implementMy(
		myFunc{name: "abs", args: kinds(tInt), result: tInt, sql: "abs($1)"},
		myFunc{name: "abs", args: kinds(dec), result: dec, resultOf: same, sql: "bop_dec_abs($1)"},
		myFunc{name: "abs", args: kinds(tFloat), result: tFloat, sql: "abs($1)"},
		myFunc{name: "sign", args: kinds(tFloat), result: tInt, sql: "sign($1)"},
		float1("acos", math.Acos), float1("asin", math.Asin), float1("cos", math.Cos), float1("sin", math.Sin),
		float1("tan", math.Tan), float1("sqrt", math.Sqrt), float1("exp", math.Exp),
		float1("cot", func(f float64) float64 { return 1 / math.Tan(f) }),
		float1("degrees", func(f float64) float64 { return f * 180 / math.Pi }),
		float1("radians", func(f float64) float64 { return f * math.Pi / 180 }),
		float1("ln", logOf(math.Log)), float1("log2", logOf(math.Log2)), float1("log10", logOf(math.Log10)),
		myFunc{name: "log", args: kinds(tFloat, tFloat), optional: 1, result: tFloat, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if len(a) == 1 {
				return finite(logOf(math.Log)(a[0].F)), nil
			}
			if a[0].F <= 0 || a[0].F == 1 || a[1].F <= 0 {
				return null, nil
			}
			return finite(math.Log(a[1].F) / math.Log(a[0].F)), nil
		}},
		myFunc{name: "atan", args: kinds(tFloat, tFloat), optional: 1, result: tFloat, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if len(a) == 2 {
				return types.FloatValue(math.Atan2(a[0].F, a[1].F)), nil
			}
			return types.FloatValue(math.Atan(a[0].F)), nil
		}},
		myFunc{name: "atan2", args: kinds(tFloat, tFloat), result: tFloat, as: "my_atan"},
		myFunc{name: "pi", result: tFloat, sql: "pi()"},
		power, alias("power", power),
		myFunc{name: "mod", args: kinds(tInt, tInt), result: tInt, sql: "my_mod($1, $2)"},
		myFunc{name: "mod", args: kinds(dec, dec), result: dec, sql: "my_dec_mod($1, $2)", resultOf: func(ts []types.Type) types.Type {
			a, b := asDecimal(ts[0]), asDecimal(ts[1])
			return decimalOf(max(a.Len-a.Scale, b.Len-b.Scale), max(a.Scale, b.Scale))
		}},
		myFunc{name: "mod", args: kinds(tFloat, tFloat), result: tFloat, sql: "my_fmod($1, $2)"},
		myFunc{name: "round", args: kinds(tInt), result: tInt, sql: "$1"},
		myFunc{name: "round", args: kinds(tInt, tInt), result: tInt, as: "my_round", call: myRound},
		myFunc{name: "round", args: kinds(dec, tInt), optional: 1, result: dec, as: "my_round", resultOf: roundType},
		myFunc{name: "round", args: kinds(tFloat, tInt), optional: 1, result: tFloat, as: "my_round"},
		myFunc{name: "truncate", args: kinds(tInt, tInt), result: tInt, as: "my_truncate", call: myTruncate},
		myFunc{name: "truncate", args: kinds(dec, tInt), result: dec, as: "my_truncate", resultOf: roundType},
		myFunc{name: "truncate", args: kinds(tFloat, tInt), result: tFloat, as: "my_truncate"},
		myFunc{name: "rand", args: kinds(tInt), optional: 1, result: tFloat, session: true, keepNull: true, call: myRand},
		myFunc{name: "crc32", args: kinds(tText), result: tInt, as: "my_crc32", resultOf: unsigned, call: myCRC},
		myFunc{name: "crc32", args: kinds(tBytes), result: tInt, as: "my_crc32", resultOf: unsigned},
		myFunc{name: "bit_count", args: kinds(tInt), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return types.IntValue(int64(bits.OnesCount64(uint64(a[0].I)))), nil
		}},
		myFunc{name: "interval", args: kinds(tFloat, tFloat), variadic: true, result: tInt, keepNull: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.IntValue(-1), nil
			}
			for i, v := range a[1:] {
				if !v.IsNull() && floatValue(v) > floatValue(a[0]) {
					return types.IntValue(int64(i)), nil
				}
			}
			return types.IntValue(int64(len(a) - 1)), nil
		}},
	)

	implement(func(r *Registrar) {
		env := r.Env
		// Division by zero gives NULL and, outside of strict inserts, a warning.
		zero := func() { env.warn(1365, "Division by 0") }
		whole := func(name string, f func(a, b int64) (int64, bool)) {
			r.Impure(name, 2, func(ctx sqlite3.Context, arg Values) {
				if anyNull(arg) {
					return
				}
				i, ok := f(arg[0].Int64(), arg[1].Int64())
				if !ok {
					zero()
					return
				}
				ctx.ResultInt64(i)
			})
		}
		whole("my_div", func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			if b == -1 {
				return -a, true
			}
			return a / b, true
		})
		whole("my_mod", func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			if b == -1 {
				return 0, true
			}
			return a % b, true
		})
		r.Pure("my_shift", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			a, n := uint64(arg[0].Int64()), arg[1].Int64()
			switch {
			case n >= 64 || n <= -64:
				ctx.ResultInt64(0)
			case n >= 0:
				ctx.ResultInt64(int64(a << n))
			default:
				ctx.ResultInt64(int64(a >> -n))
			}
		})
		r.Pure("my_bits", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			if i := arg[0].Int64(); i >= 0 {
				ctx.ResultInt64(i)
				return
			}
			fail(ctx, sqlerr.New("22003", "bigint unsigned out of range").My(1690, "BIGINT UNSIGNED value is out of range"))
		})
		r.Impure("my_fdiv", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			b := arg[1].Float()
			if b == 0 {
				zero()
				return
			}
			q := math.Trunc(arg[0].Float() / b)
			if math.Abs(q) >= math.MaxInt64 {
				fail(ctx, errRange("bigint"))
				return
			}
			ctx.ResultInt64(int64(q))
		})
		r.Impure("my_fmod", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			b := arg[1].Float()
			if b == 0 {
				zero()
				return
			}
			ctx.ResultFloat(math.Mod(arg[0].Float(), b))
		})
		decimal := func(name string, args int, f func(a, b types.Decimal) (types.Decimal, error)) {
			r.Impure(name, args, func(ctx sqlite3.Context, arg Values) {
				if anyNull(arg) {
					return
				}
				a, err1 := decimalArg(arg[0])
				b, err2 := decimalArg(arg[1])
				if err1 != nil || err2 != nil {
					return
				}
				d, err := f(a, b)
				if err != nil {
					zero()
					return
				}
				if d.Scale() > maxDecimalScale {
					d = d.Round(maxDecimalScale)
				}
				if d.IntegerDigits() > maxDecimalLen {
					fail(ctx, sqlerr.New("22003", "value overflows numeric format").My(1690, "DECIMAL value is out of range"))
					return
				}
				resultDecimal(ctx, d)
			})
		}
		decimal("my_dec_mul", 2, func(a, b types.Decimal) (types.Decimal, error) { return a.Mul(b), nil })
		decimal("my_dec_mod", 2, types.Decimal.Mod)
		decimal("my_dec_div", 3, func(a, b types.Decimal) (types.Decimal, error) {
			return a.QuoRound(b, min(a.Scale()+divIncrement, maxDecimalScale))
		})
		r.Impure("my_dec_intdiv", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			a, err1 := decimalArg(arg[0])
			b, err2 := decimalArg(arg[1])
			if err1 != nil || err2 != nil {
				return
			}
			q, err := a.QuoTrunc(b, 0)
			if err != nil {
				zero()
				return
			}
			i, ok := q.Int64()
			if !ok {
				fail(ctx, errRange("bigint"))
				return
			}
			ctx.ResultInt64(i)
		})
	})
}

// divType is the type of a / b: four more digits after the point than a has.
func divType(ts []types.Type) types.Type {
	a, b := asDecimal(ts[0]), asDecimal(ts[1])
	return decimalOf(a.Len-a.Scale+b.Scale, a.Scale+divIncrement)
}

// roundType is the type of ROUND(decimal, n): n isn't known before it runs, so the scale stays.
func roundType(ts []types.Type) types.Type {
	d := asDecimal(ts[0])
	if len(ts) == 1 {
		return decimalOf(d.Len-d.Scale+1, 0)
	}
	return decimalOf(d.Len-d.Scale+1, d.Scale)
}

// finite is f, or NULL for what isn't a number or is infinite.
func finite(f float64) types.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return null
	}
	return types.FloatValue(f)
}

// logOf makes logarithms of numbers that aren't positive NULL.
func logOf(f func(float64) float64) func(float64) float64 {
	return func(x float64) float64 {
		if x <= 0 {
			return math.NaN()
		}
		return f(x)
	}
}

func wholeNumber(v types.Value, f func(types.Decimal) types.Decimal) (types.Value, error) {
	d, err := numberOf(v)
	if err != nil {
		return null, nil
	}
	d = f(d)
	if i, ok := d.Int64(); ok && d.IntegerDigits() < 18 {
		return types.IntValue(i), nil
	}
	return types.DecimalValue(d), nil
}

func myRound(_ *Env, a []types.Value) (types.Value, error) {
	return myCut(a, types.Decimal.Round, math.RoundToEven)
}

func myTruncate(_ *Env, a []types.Value) (types.Value, error) {
	return myCut(a, types.Decimal.Trunc, math.Trunc)
}

// cutFloat rounds or truncates in binary, as MySQL does: 1.005 to two digits is 1.
func cutFloat(f float64, digits int, whole func(float64) float64) float64 {
	p := math.Pow10(max(digits, -digits))
	r := f * p
	if digits < 0 {
		r = f / p
	}
	switch {
	case math.IsInf(r, 0) || math.IsNaN(r):
		return f
	case digits < 0:
		return whole(r) * p
	}
	return whole(r) / p
}

func myCut(a []types.Value, cut func(types.Decimal, int32) types.Decimal, whole func(float64) float64) (types.Value, error) {
	digits := int64(0)
	if len(a) > 1 {
		digits = min(max(a[1].I, -maxDecimalLen), maxDecimalScale)
	}
	switch a[0].Class {
	case types.Int:
		if digits >= 0 {
			return a[0], nil
		}
		i, ok := cut(types.DecimalFromInt(a[0].I), int32(digits)).Int64()
		if !ok {
			return null, errRange("bigint")
		}
		return types.IntValue(i), nil
	case types.Float:
		return types.FloatValue(cutFloat(a[0].F, int(digits), whole)), nil
	}
	d, err := numberOf(a[0])
	if err != nil {
		return null, nil
	}
	return types.DecimalValue(cut(d, min(int32(digits), d.Scale()))), nil
}

// myRand is RAND(): with a seed, MySQL's own generator started anew.
func myRand(e *Env, a []types.Value) (types.Value, error) {
	if len(a) == 0 {
		return types.FloatValue(rand.Float64()), nil
	}
	const modulus = 0x3fffffff
	seed := uint32(a[0].I)
	s1 := uint64(seed*0x10001+55555555) % modulus
	s2 := uint64(seed*0x10000001) % modulus
	s1 = (s1*3 + s2) % modulus
	return types.FloatValue(float64(s1) / modulus), nil
}

func myCRC(_ *Env, a []types.Value) (types.Value, error) {
	return types.IntValue(int64(crc32.ChecksumIEEE(a[0].B))), nil
}
