package funcs

import (
	"crypto/rand"
	"errors"
	"math"
	mathrand "math/rand/v2"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const i2, i4, i8, f8, num = types.Int2, types.Int4, types.Int8, types.Float8, types.Numeric
	for _, k := range []types.Kind{i2, i4, i8} {
		width := map[types.Kind]string{i2: "2", i4: "4", i8: "8"}[k]
		define(pg,
			pgFn("abs", k, "bop_int"+width+"(bop_abs($1))", k),
			pgFn("mod", k, "bop_mod($1, $2)", k, k),
		)
	}
	for _, k := range []types.Kind{i4, i8} {
		define(pg,
			pgFn("gcd", k, "bop_gcd($1, $2)", k, k),
			pgFn("lcm", k, "bop_lcm($1, $2)", k, k),
		)
	}
	for _, n := range []string{"ceil", "ceiling"} {
		define(pg, pgFn(n, num, "bop_dec_ceil($1)", num), pgFn(n, f8, "bop_fceil($1)", f8))
	}
	for _, n := range []string{"power", "pow"} {
		define(pg, pgFn(n, num, "bop_dec_power($1, $2)", num, num), pgFn(n, f8, "bop_power($1, $2)", f8, f8))
	}
	define(pg,
		pgFn("abs", num, "bop_dec_abs($1)", num),
		pgFn("abs", types.Float4, "abs($1)", types.Float4),
		pgFn("abs", f8, "abs($1)", f8),
		pgFn("mod", num, "bop_dec_mod($1, $2)", num, num),
		pgFn("floor", num, "bop_dec_floor($1)", num),
		pgFn("floor", f8, "bop_ffloor($1)", f8),
		pgFn("round", num, "bop_dec_round($1, 0)", num),
		pgFn("round", f8, "bop_fround($1)", f8),
		pgFn("round", num, "bop_dec_round($1, $2)", num, i4),
		pgFn("trunc", num, "bop_dec_trunc($1, 0)", num),
		pgFn("trunc", f8, "bop_ftrunc($1)", f8),
		pgFn("trunc", num, "bop_dec_trunc($1, $2)", num, i4),
		pgFn("sign", num, "bop_dec_sign($1)", num),
		pgFn("sign", f8, "CAST(sign($1) AS REAL)", f8),
		pgFn("div", num, "bop_dec_quo($1, $2)", num, num),
		pgFn("sqrt", num, "bop_dec_sqrt($1)", num),
		pgFn("sqrt", f8, "bop_sqrt($1)", f8),
		pgFn("cbrt", f8, "bop_cbrt($1)", f8),
		pgFn("exp", num, "bop_dec_exp($1)", num),
		pgFn("exp", f8, "bop_exp($1)", f8),
		pgFn("ln", num, "bop_dec_ln($1)", num),
		pgFn("ln", f8, "bop_ln($1)", f8),
		pgFn("log", num, "bop_dec_log($1, '10')", num),
		pgFn("log10", num, "bop_dec_log($1, '10')", num),
		pgFn("log", num, "bop_dec_log($2, $1)", num, num),
		pgFn("log", f8, "bop_log10($1)", f8),
		pgFn("log10", f8, "bop_log10($1)", f8),
		pgFn("factorial", num, "bop_factorial($1)", i8),
		pgFn("gcd", num, "bop_dec_gcd($1, $2)", num, num),
		pgFn("lcm", num, "bop_dec_lcm($1, $2)", num, num),
		pgFn("scale", i4, "bop_dec_scale($1)", num),
		pgFn("min_scale", i4, "bop_dec_scale(bop_dec_trim($1))", num),
		pgFn("trim_scale", num, "bop_dec_trim($1)", num),
		pgFn("width_bucket", i4, "bop_width_bucket($*)", num, num, num, i4),
		pgFn("width_bucket", i4, "bop_width_bucket($*)", f8, f8, f8, i4),
		pgFn("width_bucket", i4, "bop_width_bucket_array($1, $2)", AnyElem, AnyArray),
		pgFn("pi", f8, "3.141592653589793"),
		pgFn("atan2", f8, "atan2($1, $2)", f8, f8),
		pgVolatile(pgFn("random", f8, "bop_random()")),
		pgVolatile(pgFn("setseed", types.Void, "bop_setseed($1)", f8)),
		pgVolatile(pgFn("gen_random_uuid", types.UUID, "bop_uuid()")),
		pgNull(&Signature{Name: "num_nulls", Args: []types.Kind{Any}, Variadic: true, Result: i4, SQL: "bop_num_nulls(1, $*)"}),
		pgNull(&Signature{Name: "num_nonnulls", Args: []types.Kind{Any}, Variadic: true, Result: i4, SQL: "bop_num_nulls(0, $*)"}),
	)
	// SQLite has these under the same names; the inverse ones report what is out of their range.
	for name, checked := range map[string]bool{
		"sin": false, "cos": false, "tan": false, "atan": false, "sinh": false, "cosh": false, "tanh": false, "asinh": false,
		"degrees": false, "radians": false, "acos": true, "asin": true, "acosh": true, "atanh": true,
	} {
		sql := name + "($1)"
		if checked {
			sql = "bop_" + name + "($1)"
		}
		define(pg, pgFn(name, f8, sql, f8))
	}
	for name := range pgDegrees {
		define(pg, pgFn(name, f8, "bop_"+name+"($1)", f8))
	}

	implement(func(r *Registrar) {
		env := r.Env
		pure := func(name string, n int, f func(a []types.Value) (types.Value, error)) { r.Pure(name, n, pgStrict(f)) }
		float := func(name string, f func(x float64) (float64, error)) {
			r.Pure(name, 1, func(ctx sqlite3.Context, arg Values) {
				if anyNull(arg) {
					return
				}
				x := arg[0].Float()
				y, err := f(x)
				if err != nil {
					fail(ctx, err)
					return
				}
				resultFloat(ctx, y, math.IsInf(x, 0))
			})
		}
		dec := func(name string, f func(d types.Decimal) (types.Decimal, error)) {
			pure(name, 1, func(a []types.Value) (types.Value, error) {
				d, err := pgDecimal(a[0])
				if err != nil {
					return types.Value{}, err
				}
				if d, err = f(d); err != nil {
					return types.Value{}, pgMathError(err)
				}
				return types.DecimalValue(d), nil
			})
		}
		dec2 := func(name string, f func(a, b types.Decimal) (types.Decimal, error)) {
			pure(name, 2, func(a []types.Value) (types.Value, error) {
				x, err := pgDecimal(a[0])
				if err != nil {
					return types.Value{}, err
				}
				y, err := pgDecimal(a[1])
				if err != nil {
					return types.Value{}, err
				}
				if x, err = f(x, y); err != nil {
					return types.Value{}, pgMathError(err)
				}
				return types.DecimalValue(x), nil
			})
		}
		float("bop_fceil", func(x float64) (float64, error) { return math.Ceil(x), nil })
		float("bop_ffloor", func(x float64) (float64, error) { return math.Floor(x), nil })
		float("bop_fround", func(x float64) (float64, error) { return math.RoundToEven(x), nil })
		float("bop_ftrunc", func(x float64) (float64, error) { return math.Trunc(x), nil })
		float("bop_exp", func(x float64) (float64, error) { return math.Exp(x), nil })
		float("bop_ln", func(x float64) (float64, error) { return math.Log(x), pgLogRange(x) })
		float("bop_log10", func(x float64) (float64, error) { return math.Log10(x), pgLogRange(x) })
		for name, f := range map[string]func(float64) float64{"acos": math.Acos, "asin": math.Asin, "acosh": math.Acosh, "atanh": math.Atanh} {
			float("bop_"+name, func(x float64) (float64, error) {
				y := f(x)
				if math.IsNaN(y) {
					return y, sqlerr.New("22003", "input is out of range")
				}
				return y, nil
			})
		}
		for name, f := range pgDegrees {
			float("bop_"+name, f)
		}
		dec("bop_dec_ceil", func(d types.Decimal) (types.Decimal, error) { return d.Ceil(), nil })
		dec("bop_dec_floor", func(d types.Decimal) (types.Decimal, error) { return d.Floor(), nil })
		dec("bop_dec_sqrt", func(d types.Decimal) (types.Decimal, error) {
			if root, ok := d.Sqrt(); ok {
				return root, nil
			}
			return d, sqlerr.New("2201F", "cannot take square root of a negative number")
		})
		dec("bop_dec_exp", types.Decimal.Exp)
		dec("bop_dec_ln", func(d types.Decimal) (types.Decimal, error) {
			if d.IsZero() {
				return d, pgLogRange(0)
			}
			return d.Ln()
		})
		dec("bop_dec_trim", func(d types.Decimal) (types.Decimal, error) { return d.TrimZeros(), nil })
		dec("bop_dec_sign", func(d types.Decimal) (types.Decimal, error) {
			if d.IsNaN() {
				return d, nil
			}
			return types.DecimalFromInt(int64(d.Sign())), nil
		})
		dec2("bop_dec_log", func(d, base types.Decimal) (types.Decimal, error) {
			if d.IsZero() || base.IsZero() {
				return d, pgLogRange(0)
			}
			return d.Log(base)
		})
		dec2("bop_dec_quo", func(a, b types.Decimal) (types.Decimal, error) { return a.QuoTrunc(b, 0) })
		dec2("bop_dec_gcd", pgDecimalGCD)
		dec2("bop_dec_lcm", func(a, b types.Decimal) (types.Decimal, error) {
			if a.IsZero() || b.IsZero() {
				return a.Sub(a).Add(b.Sub(b)), nil
			}
			g, err := pgDecimalGCD(a, b)
			if err != nil {
				return g, err
			}
			q, err := a.QuoTrunc(g, 0)
			return q.Mul(b).Abs().Round(max(a.Scale(), b.Scale())), err
		})
		for name, f := range map[string]func(types.Decimal, int32) types.Decimal{"bop_dec_round": types.Decimal.Round, "bop_dec_trunc": types.Decimal.Trunc} {
			pure(name, 2, func(a []types.Value) (types.Value, error) {
				d, err := pgDecimal(a[0])
				if err != nil {
					return types.Value{}, err
				}
				// Digits before the point are rounded too; the result has no negative scale.
				scale := int32(min(max(a[1].I, -2000), 2000))
				d = f(d, scale)
				if scale < 0 {
					d = d.Round(0)
				}
				return types.DecimalValue(d), nil
			})
		}
		pure("bop_dec_scale", 1, func(a []types.Value) (types.Value, error) {
			d, err := pgDecimal(a[0])
			if err != nil || d.IsNaN() || d.IsInf() {
				return types.Value{}, err
			}
			return types.IntValue(int64(d.Scale())), nil
		})
		pure("bop_abs", 1, func(a []types.Value) (types.Value, error) {
			if a[0].I == math.MinInt64 {
				return types.Value{}, errRange("bigint")
			}
			return types.IntValue(max(a[0].I, -a[0].I)), nil
		})
		pure("bop_gcd", 2, func(a []types.Value) (types.Value, error) {
			g := pgGCD(a[0].I, a[1].I)
			if g < 0 {
				return types.Value{}, errRange("bigint")
			}
			return types.IntValue(g), nil
		})
		pure("bop_lcm", 2, func(a []types.Value) (types.Value, error) {
			x, y := a[0].I, a[1].I
			if x == 0 || y == 0 {
				return types.IntValue(0), nil
			}
			q := x / pgGCD(x, y)
			l := q * y
			if l/y != q || l == math.MinInt64 {
				return types.Value{}, errRange("bigint")
			}
			return types.IntValue(max(l, -l)), nil
		})
		pure("bop_factorial", 1, func(a []types.Value) (types.Value, error) {
			if a[0].I < 0 {
				return types.Value{}, sqlerr.New("22003", "factorial of a negative number is undefined")
			}
			if a[0].I > 32177 {
				return types.Value{}, sqlerr.New("22003", "value overflows numeric format")
			}
			d := types.DecimalFromInt(1)
			for i := int64(2); i <= a[0].I; i++ {
				d = d.Mul(types.DecimalFromInt(i))
			}
			return types.DecimalValue(d), nil
		})
		pure("bop_width_bucket", 4, pgWidthBucket)
		pure("bop_width_bucket_array", 2, func(a []types.Value) (types.Value, error) {
			x, err := pgParseArray(a[1])
			if err != nil {
				return types.Value{}, err
			}
			low, high := 0, len(x.Elems)
			for low < high {
				mid := (low + high) / 2
				if x.Elems[mid].IsNull() {
					return types.Value{}, sqlerr.New("22004", "thresholds array must not contain NULLs")
				}
				if compareElements(a[0], x.Elems[mid]) < 0 {
					high = mid
				} else {
					low = mid + 1
				}
			}
			return types.IntValue(int64(low)), nil
		})
		r.Impure("bop_random", 0, func(ctx sqlite3.Context, _ Values) {
			if env.Seed == nil {
				ctx.ResultFloat(mathrand.Float64())
				return
			}
			// A generator of one number of state: the same seed gives the same sequence, which is all that is promised.
			g := mathrand.NewPCG(math.Float64bits(*env.Seed), 0x9e3779b97f4a7c15)
			f := mathrand.New(g).Float64()
			*env.Seed = f
			ctx.ResultFloat(f)
		})
		r.Impure("bop_setseed", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			s := floatValue(a[0])
			if !(s >= -1 && s <= 1) {
				return types.Value{}, sqlerr.New("22023", "setseed parameter %v is out of allowed range [-1,1]", s)
			}
			env.Seed = &s
			return pgText(""), nil
		}))
		r.Impure("bop_uuid", 0, func(ctx sqlite3.Context, _ Values) {
			var u [16]byte
			rand.Read(u[:])
			u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
			const digits = "0123456789abcdef"
			b := make([]byte, 0, 36)
			for i, c := range u {
				if i == 4 || i == 6 || i == 8 || i == 10 {
					b = append(b, '-')
				}
				b = append(b, digits[c>>4], digits[c&15])
			}
			ctx.ResultRawText(b)
		})
		r.Pure("bop_num_nulls", -1, func(ctx sqlite3.Context, arg Values) {
			n := 0
			for _, a := range arg[1:] {
				if isNull(a) == (arg[0].Int64() != 0) {
					n++
				}
			}
			ctx.ResultInt(n)
		})
	})
}

// pgDegrees are the functions of angles in degrees; at the angles with exact values they give those.
var pgDegrees = map[string]func(x float64) (float64, error){
	"sind": func(x float64) (float64, error) { return pgSinD(x), nil },
	"cosd": func(x float64) (float64, error) { return pgSinD(x + 90), nil },
	"tand": func(x float64) (float64, error) {
		switch math.Mod(math.Mod(x, 180)+180, 180) {
		case 45:
			return 1, nil
		case 135:
			return -1, nil
		}
		if c := pgSinD(x + 90); c != 0 {
			return pgSinD(x) / c, nil
		}
		return math.Inf(int(math.Copysign(1, pgSinD(x)))), nil
	},
	"asind": func(x float64) (float64, error) { return pgInverse(math.Asin, x) },
	"acosd": func(x float64) (float64, error) { return pgInverse(math.Acos, x) },
	"atand": func(x float64) (float64, error) { return pgInverse(math.Atan, x) },
}

func pgSinD(x float64) float64 {
	x = math.Mod(x, 360)
	if x < 0 {
		x += 360
	}
	switch x {
	case 0, 180:
		return 0
	case 30, 150:
		return 0.5
	case 90:
		return 1
	case 210, 330:
		return -0.5
	case 270:
		return -1
	}
	return math.Sin(x * math.Pi / 180)
}

func pgInverse(f func(float64) float64, x float64) (float64, error) {
	y := f(x) * 180 / math.Pi
	if math.IsNaN(y) {
		return y, sqlerr.New("22003", "input is out of range")
	}
	// The exact angles are whole numbers of degrees.
	if r := math.Round(y); math.Abs(r-y) < 1e-12 {
		return r, nil
	}
	return y, nil
}

func pgLogRange(x float64) error {
	switch {
	case x == 0:
		return sqlerr.New("2201E", "cannot take logarithm of zero")
	case x < 0:
		return sqlerr.New("2201E", "cannot take logarithm of a negative number")
	}
	return nil
}

func pgDecimal(v types.Value) (types.Decimal, error) {
	switch v.Class {
	case types.Int:
		return types.DecimalFromInt(v.I), nil
	case types.Float:
		return types.DecimalFromFloat(v.F, 15), nil
	}
	d, err := types.ParseDecimal(v.B)
	if err != nil {
		return d, sqlerr.New("22P02", "invalid input syntax for type numeric: \"%s\"", clip(v.B))
	}
	return d, nil
}

func pgGCD(a, b int64) int64 {
	for b != 0 {
		if b == -1 {
			return 1
		}
		a, b = b, a%b
	}
	return max(a, -a)
}

func pgDecimalGCD(a, b types.Decimal) (types.Decimal, error) {
	scale := max(a.Scale(), b.Scale())
	for !b.IsZero() {
		m, err := a.Mod(b)
		if err != nil {
			return a, err
		}
		a, b = b, m
	}
	return a.Abs().Round(scale), nil
}

func pgWidthBucket(a []types.Value) (types.Value, error) {
	n := a[3].I
	if n <= 0 {
		return types.Value{}, sqlerr.New("2201G", "count must be greater than zero")
	}
	var d [3]types.Decimal
	for i := range d {
		var err error
		if d[i], err = pgDecimal(a[i]); err != nil {
			return types.Value{}, err
		}
	}
	x, low, high := d[0], d[1], d[2]
	c := low.Cmp(high)
	if c == 0 {
		return types.Value{}, sqlerr.New("2201G", "lower bound cannot equal upper bound")
	}
	if c > 0 {
		x, low, high = x.Neg(), low.Neg(), high.Neg()
	}
	switch {
	case x.Cmp(low) < 0:
		return types.IntValue(0), nil
	case x.Cmp(high) >= 0:
		return types.IntValue(n + 1), nil
	}
	q, err := x.Sub(low).Mul(types.DecimalFromInt(n)).QuoTrunc(high.Sub(low), 0)
	if err != nil {
		return types.Value{}, arithmeticError(err)
	}
	i, _ := q.Int64()
	return types.IntValue(i + 1), nil
}

// pgMathError gives the errors of decimal functions PostgreSQL's words.
func pgMathError(err error) error {
	switch {
	case errors.Is(err, types.ErrLogarithm):
		return sqlerr.New("2201E", "cannot take logarithm of a negative number")
	case errors.Is(err, types.ErrComplexPower):
		return sqlerr.New("2201F", "a negative number raised to a non-integer power yields a complex result")
	}
	return arithmeticError(err)
}
