package funcs

import (
	"bytes"
	"math"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/types"
)

// castMySQL prints a conversion of MySQL, which has one between any two types. At Assignment bad values follow the
// session's strictness; elsewhere they give a warning and the nearest value, or NULL for dates.
func castMySQL(from, to types.Type, level Level) string {
	if from == to {
		return "$1"
	}
	assign := level == Assignment
	full := func() string {
		name := "bop_my_cast"
		if assign {
			name = "bop_my_assign"
		}
		return name + "($1, " + code(from) + ", " + code(to) + ")"
	}
	whole := from.IsInteger() || from.Kind == types.Bool || from.Kind == types.Bit && from.Len <= 63
	switch to.Kind {
	case types.Unknown, types.Void:
		return "$1"
	case types.Bool:
		switch {
		case whole && assign:
			return full()
		case whole:
			return "($1 <> 0)"
		case from.Kind == types.Float4 || from.Kind == types.Float8:
			if !assign {
				return "($1 <> 0)"
			}
		case !assign && (from.Kind == types.Numeric || isText(from.Kind) || from.Kind == types.Unknown):
			return "(bop_my_float($1) <> 0)"
		}
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8:
		if whole && from.Kind != types.Bit {
			fl, fh := from.IntRange()
			tl, th := to.IntRange()
			if from.Kind == types.Bool {
				fl, fh = -128, 127
			}
			if fl >= tl && fh <= th || !assign && level == Implicit {
				return "$1"
			}
		}
		if from.Kind == types.Bit && from.Len <= 63 && to.Kind == types.Int8 {
			return "$1"
		}
	case types.Float8:
		switch {
		case whole:
			return "CAST($1 AS REAL)"
		case from.Kind == types.Float4:
			return "$1"
		case !assign && (from.Kind == types.Numeric || isText(from.Kind) || from.Kind == types.Unknown):
			return "bop_my_float($1)"
		}
	case types.Numeric:
		switch {
		case whole && to.Len <= 0:
			return "CAST($1 AS TEXT)"
		case from.Kind == types.Numeric && (to.Len <= 0 || to.Len == from.Len && to.Scale == from.Scale):
			return "$1"
		}
	case types.Text, types.Varchar, types.Char, types.Name:
		text := ""
		switch {
		case isText(from.Kind) || from.Kind == types.Enum || from.Kind == types.Unknown || from.Kind == types.Numeric ||
			from.Kind == types.JSON || from.Kind == types.JSONB || from.Kind == types.UUID:
			text = "$1"
		case whole && from.Kind != types.Year && from.Kind != types.Bit:
			text = "CAST($1 AS TEXT)"
		case from.Kind == types.Bytes:
			text = "CAST($1 AS TEXT)"
		}
		if text == "" {
			break
		}
		if to.Len <= 0 || to.Kind == types.Text || (from.Kind == types.Varchar || from.Kind == types.Char) && from.Len > 0 && from.Len <= to.Len {
			if to.Kind == types.Char && from.Kind != types.Char {
				return "rtrim(" + text + ")"
			}
			return text
		}
		if !assign {
			return "substr(" + text + ", 1, " + strconv.Itoa(int(to.Len)) + ")"
		}
	case types.Bytes:
		switch {
		case from.Kind == types.Bytes && to.Len <= 0:
			return "$1"
		case isText(from.Kind) && to.Len <= 0:
			return "CAST($1 AS BLOB)"
		}
	case types.Timestamp:
		if from.Kind == types.Timestamp && (to.Len == 0 || from.Len > 0 && from.Len <= to.Len) {
			return "$1"
		}
	case types.TimestampTZ:
		if from.Kind == types.TimestampTZ && (to.Len == 0 || from.Len > 0 && from.Len <= to.Len) {
			return "$1"
		}
	case types.Date:
		if from.Kind == types.Date {
			return "$1"
		}
	case types.Time:
		if from.Kind == types.Time && (to.Len == 0 || from.Len > 0 && from.Len <= to.Len) {
			return "$1"
		}
	case types.Enum, types.Set:
		if isText(from.Kind) || from.Kind == types.Enum || from.Kind == types.Set {
			return "$1"
		}
	case types.JSON, types.JSONB:
		if from.Kind == types.JSON || from.Kind == types.JSONB {
			return "$1"
		}
	case types.UUID, types.XML, types.Other:
		if isText(from.Kind) && !assign {
			return "$1"
		}
	}
	return full()
}

func init() {
	implement(func(r *Registrar) {
		env := r.Env
		cast := func(assign bool) func(ctx sqlite3.Context, arg Values) {
			return func(ctx sqlite3.Context, arg Values) {
				if isNull(arg[0]) {
					return
				}
				from, to := types.FromCode(arg[1].Int64()), types.FromCode(arg[2].Int64())
				v, err := myConvert(valueOf(arg[0]), from, to, assign, env)
				if err != nil {
					fail(ctx, err)
					return
				}
				result(ctx, v)
			}
		}
		r.Impure("bop_my_cast", 3, cast(false))
		r.Impure("bop_my_assign", 3, cast(true))
		r.Impure("bop_my_float", 1, func(ctx sqlite3.Context, arg Values) {
			switch arg[0].Type() {
			case sqlite3.NULL:
			case sqlite3.INTEGER, sqlite3.FLOAT:
				ctx.ResultFloat(arg[0].Float())
			default:
				b := arg[0].RawText()
				f, exact := types.MySQLFloat(b)
				if !exact {
					env.warn(1292, "Truncated incorrect DOUBLE value: '"+clip(b)+"'")
				}
				ctx.ResultFloat(f)
			}
		})
	})
}

// myConvert turns v from one type into another as MySQL does.
func myConvert(v types.Value, from, to types.Type, assign bool, env *Env) (types.Value, error) {
	in := env.myInput(assign)
	if assign {
		return types.Convert(to, from, v, in)
	}
	switch to.Kind {
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8:
		if v.Class == types.String && (isText(from.Kind) || from.Kind == types.Unknown || from.Kind == types.Enum) {
			return types.IntValue(myIntPrefix(v.B, to.Unsigned, env)), nil
		}
		if v.Class == types.Int && !to.Unsigned {
			return v, nil
		}
	case types.Date, types.Timestamp, types.TimestampTZ:
		switch {
		case v.Class == types.Int || v.Class == types.Float || from.Kind == types.Numeric:
			b := types.AppendMySQLText(nil, from, v, nil)
			return myDateOrNull(b, to, in, env)
		case v.Class == types.String && !from.IsTime():
			return myDateOrNull(v.B, to, in, env)
		case from.Kind == types.Time:
			us, ok := types.ParseStoredTime(v.B)
			if !ok {
				return types.Value{}, nil
			}
			local, _, _ := types.LocalTimestamp(types.TimestampOf(env.statementNow()), env.location())
			days, _ := types.SplitTimestamp(local)
			ts := int64(days)*types.MicrosPerDay + us
			if to.Kind == types.Date {
				d, _ := types.SplitTimestamp(ts)
				return types.DateValue(int32(d)), nil
			}
			if to.Kind == types.TimestampTZ {
				ts = types.InstantOf(ts, env.location())
			}
			return types.TimestampValue(types.RoundMicros(ts, fractionDigits(to))), nil
		case from.Kind == types.TimestampTZ && to.Kind == types.Date:
			if ts, ok := types.ParseStoredTimestamp(v.B); ok && types.TimestampInRange(ts) {
				local, _, _ := types.LocalTimestamp(ts, env.location())
				return types.DateValue(timestampToDate(local)), nil
			}
		}
	case types.Time:
		if v.Class == types.String && !from.IsTime() || v.Class == types.Int || v.Class == types.Float {
			b := types.AppendMySQLText(nil, from, v, nil)
			us, cut, ok := types.ParseMySQLTime(b)
			if !ok || cut {
				env.warn(1292, "Truncated incorrect time value: '"+clip(b)+"'")
			}
			if !ok {
				return types.Value{}, nil
			}
			return types.TimeValue(types.RoundMicros(us, fractionDigits(to))), nil
		}
		if from.Kind == types.Timestamp || from.Kind == types.TimestampTZ {
			if m, ok := myTimeOf(v, from, env); ok {
				return types.TimeValue(types.RoundMicros(m.Micros, fractionDigits(to))), nil
			}
		}
		if from.Kind == types.Date {
			return types.StringValue("00:00:00"), nil
		}
	case types.Float4, types.Float8:
		if v.Class == types.String {
			if from.IsTime() {
				return types.Convert(to, from, v, in)
			}
			f, exact := types.MySQLFloat(v.B)
			if !exact && from.Kind != types.JSON && from.Kind != types.JSONB {
				env.warn(1292, "Truncated incorrect DOUBLE value: '"+clip(v.B)+"'")
			}
			return types.FloatValue(f), nil
		}
		if v.Class == types.Blob && from.Kind != types.Bit {
			f, _ := types.MySQLFloat(v.B)
			return types.FloatValue(f), nil
		}
	case types.Numeric:
		if v.Class == types.String && !from.IsTime() {
			d, exact := types.MySQLDecimal(bytes.Trim(v.B, `"`))
			if !exact {
				env.warn(1292, "Truncated incorrect DECIMAL value: '"+clip(v.B)+"'")
			}
			return types.Convert(to, types.T(types.Numeric), types.DecimalValue(d), in)
		}
	case types.JSON, types.JSONB:
		if isText(from.Kind) || from.Kind == types.Unknown {
			b, err := types.NormalizeJSON(nil, v.B)
			return types.Value{Class: types.String, B: b}, err
		}
		if from.Kind == types.Bool {
			if v.I != 0 {
				return types.StringValue("true"), nil
			}
			return types.StringValue("false"), nil
		}
		if from.IsTime() {
			return types.Value{Class: types.String, B: types.AppendJSONString(nil, types.AppendMySQLText(nil, from, v, &types.MyFormat{Location: env.location()}))}, nil
		}
	}
	return types.Convert(to, from, v, in)
}

// myIntPrefix is CAST('12abc' AS SIGNED): the whole number at the start of the text.
func myIntPrefix(b []byte, unsigned bool, env *Env) int64 {
	t := bytes.TrimLeft(b, " \t\n\v\f\r")
	n := 0
	if n < len(t) && (t[n] == '-' || t[n] == '+') {
		n++
	}
	digits := n
	for n < len(t) && t[n] >= '0' && t[n] <= '9' {
		n++
	}
	if n != len(bytes.TrimRight(t, " ")) || n == digits {
		env.warn(1292, "Truncated incorrect INTEGER value: '"+clip(b)+"'")
	}
	if n == digits {
		return 0
	}
	i, err := strconv.ParseInt(string(t[:n]), 10, 64)
	if err != nil {
		if t[0] == '-' {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	if unsigned && i < 0 {
		env.warn(1292, "Truncated incorrect INTEGER value: '"+clip(b)+"'")
	}
	return i
}

// myDateOrNull reads a date or datetime; what isn't one gives NULL and a warning.
func myDateOrNull(b []byte, to types.Type, in *types.Input, env *Env) (types.Value, error) {
	m, ok := types.ParseMySQLDateTime(b)
	name := "datetime"
	if to.Kind == types.Date {
		name = "date"
	}
	if !ok || !m.Whole() && (m.Month != 0 && m.Day != 0) {
		env.warn(1292, "Incorrect "+name+" value: '"+clip(b)+"'")
		return types.Value{}, nil
	}
	null := func() (types.Value, error) { return types.Value{}, nil }
	return m.Store(to, b, in, null)
}

// myTimeOf takes any argument of MySQL's date functions apart: dates, timestamps, strings and numbers.
func myTimeOf(v types.Value, t types.Type, env *Env) (types.MyTime, bool) {
	if v.IsNull() {
		return types.MyTime{}, false
	}
	if t.Kind == types.TimestampTZ {
		if ts, ok := types.ParseStoredTimestamp(v.B); ok && types.TimestampInRange(ts) {
			local, _, _ := types.LocalTimestamp(ts, env.location())
			return types.MyTimeOf(local), true
		}
	}
	b := v.B
	if v.Class == types.Int || v.Class == types.Float {
		b = types.AppendMySQLText(nil, types.T(types.Unknown), v, nil)
	}
	m, ok := types.ParseMySQLDateTime(b)
	if !ok {
		if ts, stored := types.ParseStoredTimestamp(b); stored && types.TimestampInRange(ts) {
			return types.MyTimeOf(ts), true
		}
	}
	return m, ok
}
