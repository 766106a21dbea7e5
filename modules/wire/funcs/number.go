package funcs

import (
	"math"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

var (
	pg      = []ir.Dialect{ir.Postgres}
	my      = []ir.Dialect{ir.MySQL}
	bothDia = []ir.Dialect{ir.Postgres, ir.MySQL}
)

// infix is the signature of an operator of two operands.
func infix(op string, l, r, res types.Kind, sql string) *Signature {
	return &Signature{Name: op, Args: []types.Kind{l, r}, Result: res, SQL: sql}
}

// prefix is the signature of an operator of one operand.
func prefix(op string, x, res types.Kind, sql string) *Signature {
	return &Signature{Name: op, Args: []types.Kind{x}, Result: res, SQL: sql}
}

func init() {
	ints := []types.Kind{types.Int2, types.Int4, types.Int8}
	for _, l := range ints {
		for _, r := range ints {
			k := max(l, r)
			check := "bop_int" + strconv.Itoa(kindWidth(k)) + "("
			defineOp(pg,
				infix("+", l, r, k, check+"$1 + $2)"),
				infix("-", l, r, k, check+"$1 - $2)"),
				infix("*", l, r, k, check+"$1 * $2)"),
				infix("/", l, r, k, check+"bop_div($1, $2))"),
			)
			for _, c := range comparisons {
				defineOp(pg, infix(c, l, r, types.Bool, "$1 "+c+" $2"))
			}
		}
		width := strconv.Itoa(8 * kindWidth(l))
		check := "bop_int" + strconv.Itoa(kindWidth(l)) + "("
		defineOp(pg,
			infix("%", l, l, l, "bop_mod($1, $2)"),
			infix("&", l, l, l, "$1 & $2"),
			infix("|", l, l, l, "$1 | $2"),
			infix("#", l, l, l, "bop_xor($1, $2)"),
			infix("<<", l, types.Int4, l, "bop_shift($1, $2, "+width+")"),
			infix(">>", l, types.Int4, l, "bop_shift($1, -$2, "+width+")"),
			prefix("-", l, l, check+"-$1)"),
			prefix("+", l, l, "$1"),
			prefix("~", l, l, "~$1"),
			prefix("@", l, l, check+"bop_abs($1))"),
		)
	}
	for _, l := range []types.Kind{types.Float4, types.Float8} {
		for _, r := range []types.Kind{types.Float4, types.Float8} {
			open, end := "", ""
			if l == types.Float4 && r == types.Float4 {
				open, end = "bop_float4(", ")"
			}
			k := max(l, r)
			defineOp(pg,
				infix("+", l, r, k, open+"$1 + $2"+end),
				infix("-", l, r, k, open+"$1 - $2"+end),
				infix("*", l, r, k, open+"$1 * $2"+end),
				infix("/", l, r, k, open+"bop_fdiv($1, $2)"+end),
			)
			for _, c := range comparisons {
				defineOp(pg, infix(c, l, r, types.Bool, "$1 "+c+" $2"))
			}
		}
		defineOp(pg,
			prefix("-", l, l, "-$1"),
			prefix("+", l, l, "$1"),
			prefix("@", l, l, "abs($1)"),
		)
	}
	defineOp(pg,
		infix("^", types.Float8, types.Float8, types.Float8, "bop_power($1, $2)"),
		prefix("|/", types.Float8, types.Float8, "bop_sqrt($1)"),
		prefix("||/", types.Float8, types.Float8, "bop_cbrt($1)"),

		infix("+", types.Numeric, types.Numeric, types.Numeric, "bop_dec_add($1, $2)"),
		infix("-", types.Numeric, types.Numeric, types.Numeric, "bop_dec_sub($1, $2)"),
		infix("*", types.Numeric, types.Numeric, types.Numeric, "bop_dec_mul($1, $2)"),
		infix("/", types.Numeric, types.Numeric, types.Numeric, "bop_dec_div($1, $2)"),
		infix("%", types.Numeric, types.Numeric, types.Numeric, "bop_dec_mod($1, $2)"),
		infix("^", types.Numeric, types.Numeric, types.Numeric, "bop_dec_power($1, $2)"),
		prefix("-", types.Numeric, types.Numeric, "bop_dec_neg($1)"),
		prefix("+", types.Numeric, types.Numeric, "$1"),
		prefix("@", types.Numeric, types.Numeric, "bop_dec_abs($1)"),

		infix("+", types.Money, types.Money, types.Money, "bop_int8($1 + $2)"),
		infix("-", types.Money, types.Money, types.Money, "bop_int8($1 - $2)"),
		infix("*", types.Money, types.Int8, types.Money, "bop_int8($1 * $2)"),
		infix("*", types.Int8, types.Money, types.Money, "bop_int8($1 * $2)"),
		infix("*", types.Money, types.Float8, types.Money, "bop_cents($1 * $2)"),
		infix("*", types.Float8, types.Money, types.Money, "bop_cents($1 * $2)"),
		infix("/", types.Money, types.Int8, types.Money, "bop_cents(bop_fdiv($1, $2))"),
		infix("/", types.Money, types.Float8, types.Money, "bop_cents(bop_fdiv($1, $2))"),
		infix("/", types.Money, types.Money, types.Float8, "bop_fdiv($1, $2)"),
	)
	for _, c := range comparisons {
		defineOp(pg, infix(c, types.Numeric, types.Numeric, types.Bool, "$1 COLLATE bop_decimal "+c+" $2"))
		for _, k := range []types.Kind{
			types.Text, types.Varchar, types.Char, types.Name, types.InternalChar, types.Bytes, types.Bool, types.Date, types.Time, types.Timestamp,
			types.TimestampTZ, types.UUID, types.Macaddr, types.Money, types.Oid, types.Bit,
		} {
			defineOp(pg, infix(c, k, k, types.Bool, "$1 "+c+" $2"))
		}
	}

	implement(func(r *Registrar) {
		r.Pure("bop_div", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			a, b := arg[0].Int64(), arg[1].Int64()
			switch {
			case b == 0:
				fail(ctx, errDivisionByZero())
			case b == -1 && a == math.MinInt64:
				fail(ctx, errRange("bigint"))
			default:
				ctx.ResultInt64(a / b)
			}
		})
		r.Pure("bop_mod", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			switch a, b := arg[0].Int64(), arg[1].Int64(); b {
			case 0:
				fail(ctx, errDivisionByZero())
			case -1:
				ctx.ResultInt64(0)
			default:
				ctx.ResultInt64(a % b)
			}
		})
		r.Pure("bop_abs", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			if i := arg[0].Int64(); i == math.MinInt64 {
				ctx.ResultFloat(-float64(i)) // beyond every integer type
			} else {
				ctx.ResultInt64(max(i, -i))
			}
		})
		r.Pure("bop_xor", 2, func(ctx sqlite3.Context, arg Values) {
			if !anyNull(arg) {
				ctx.ResultInt64(arg[0].Int64() ^ arg[1].Int64())
			}
		})
		r.Pure("bop_shift", 3, func(ctx sqlite3.Context, arg Values) {
			if !anyNull(arg) {
				ctx.ResultInt64(shift(arg[0].Int64(), arg[1].Int64(), uint(arg[2].Int64())))
			}
		})
		r.Pure("bop_fdiv", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			a, b := arg[0].Float(), arg[1].Float()
			if b == 0 {
				fail(ctx, errDivisionByZero())
				return
			}
			resultFloat(ctx, a/b, math.IsInf(a, 0))
		})
		r.Pure("bop_power", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			a, b := arg[0].Float(), arg[1].Float()
			switch {
			case a == 0 && b < 0:
				fail(ctx, sqlerr.New("2201F", "zero raised to a negative power is undefined"))
			case a < 0 && b != math.Trunc(b):
				fail(ctx, sqlerr.New("2201F", "a negative number raised to a non-integer power yields a complex result"))
			default:
				resultFloat(ctx, math.Pow(a, b), math.IsInf(a, 0) || math.IsInf(b, 0))
			}
		})
		r.Pure("bop_sqrt", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			if f := arg[0].Float(); f < 0 {
				fail(ctx, sqlerr.New("2201F", "cannot take square root of a negative number"))
			} else {
				ctx.ResultFloat(math.Sqrt(f))
			}
		})
		r.Pure("bop_cbrt", 1, func(ctx sqlite3.Context, arg Values) {
			if !anyNull(arg) {
				ctx.ResultFloat(math.Cbrt(arg[0].Float()))
			}
		})
		r.Pure("bop_cents", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			i, ok := roundEven(arg[0].Float())
			if !ok {
				fail(ctx, errRange("money"))
				return
			}
			ctx.ResultInt64(i)
		})

		decimal2 := func(name string, f func(a, b types.Decimal) (types.Decimal, error)) {
			r.Pure(name, 2, func(ctx sqlite3.Context, arg Values) {
				if anyNull(arg) {
					return
				}
				a, err := decimalArg(arg[0])
				if err != nil {
					fail(ctx, err)
					return
				}
				b, err := decimalArg(arg[1])
				if err != nil {
					fail(ctx, err)
					return
				}
				d, err := f(a, b)
				if err == nil && d.IntegerDigits() > types.MaxDecimalDigits {
					err = types.ErrDecimalOverflow
				}
				if err != nil {
					fail(ctx, arithmeticError(err))
					return
				}
				resultDecimal(ctx, d)
			})
		}
		decimal2("bop_dec_add", func(a, b types.Decimal) (types.Decimal, error) { return a.Add(b), nil })
		decimal2("bop_dec_sub", func(a, b types.Decimal) (types.Decimal, error) { return a.Sub(b), nil })
		decimal2("bop_dec_mul", func(a, b types.Decimal) (types.Decimal, error) { return a.Mul(b), nil })
		decimal2("bop_dec_div", types.Decimal.Div)
		decimal2("bop_dec_mod", types.Decimal.Mod)
		decimal2("bop_dec_power", types.Decimal.Power)
		r.Pure("bop_dec_neg", 1, decimal1(types.Decimal.Neg))
		r.Pure("bop_dec_abs", 1, decimal1(types.Decimal.Abs))
	})
}

var comparisons = []string{"=", "<>", "<", "<=", ">", ">="}

func decimal1(f func(types.Decimal) types.Decimal) func(ctx sqlite3.Context, arg Values) {
	return func(ctx sqlite3.Context, arg Values) {
		if anyNull(arg) {
			return
		}
		d, err := decimalArg(arg[0])
		if err != nil {
			fail(ctx, err)
			return
		}
		resultDecimal(ctx, f(d))
	}
}

// resultFloat makes f the result; an infinity that no operand had is an overflow, and NaN can't be stored.
func resultFloat(ctx sqlite3.Context, f float64, infinite bool) {
	if math.IsInf(f, 0) && !infinite {
		fail(ctx, sqlerr.New("22003", "value out of range: overflow").My(1690, "DOUBLE value is out of range"))
		return
	}
	ctx.ResultFloat(f)
}

// shift moves the bits of a whole number of 16, 32 or 64 bits left, or right by a negative count, as C does.
func shift(a, n int64, width uint) int64 {
	by := uint(n) & (width - 1)
	if n < 0 {
		return a >> (uint(-n) & (width - 1))
	}
	switch width {
	case 16:
		return int64(int16(a << by))
	case 32:
		return int64(int32(a << by))
	}
	return a << by
}
