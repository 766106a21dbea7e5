package funcs

import (
	"bytes"
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	implement(func(r *Registrar) {
		env := r.Env
		cast := func(session bool) func(ctx sqlite3.Context, arg Values) {
			return func(ctx sqlite3.Context, arg Values) {
				if isNull(arg[0]) {
					return
				}
				from, to := types.FromCode(arg[1].Int64()), types.FromCode(arg[2].Int64())
				e := env
				if !session {
					e = &Env{}
				}
				v, err := convert(valueOf(arg[0]), from, to, arg[3].Int64() != 0, e)
				if err != nil {
					fail(ctx, err)
					return
				}
				result(ctx, v)
			}
		}
		r.Pure("bop_cast", 4, cast(false))
		r.Impure("bop_cast_session", 4, cast(true))
		r.Pure("bop_int2", 1, checkedInt(math.MinInt16, math.MaxInt16, "smallint"))
		r.Pure("bop_int4", 1, checkedInt(math.MinInt32, math.MaxInt32, "integer"))
		r.Pure("bop_int8", 1, checkedInt(math.MinInt64, math.MaxInt64, "bigint"))
		r.Pure("bop_float4", 1, func(ctx sqlite3.Context, arg Values) {
			if isNull(arg[0]) {
				return
			}
			f, err := toFloat4(arg[0].Float())
			if err != nil {
				fail(ctx, err)
				return
			}
			ctx.ResultFloat(f)
		})
		r.Pure("bop_numeric", 3, func(ctx sqlite3.Context, arg Values) {
			if isNull(arg[0]) {
				return
			}
			d, err := decimalArg(arg[0])
			if err == nil {
				d, err = d.Fit(types.Type{Kind: types.Numeric, Len: int32(arg[1].Int64()), Scale: int32(arg[2].Int64())})
			}
			if err != nil {
				fail(ctx, err)
				return
			}
			resultDecimal(ctx, d)
		})
		r.Pure("bop_fit", 2, fitText(types.Varchar))
		r.Pure("bop_fit_char", 2, fitText(types.Char))
		r.Pure("bop_name", 1, func(ctx sqlite3.Context, arg Values) {
			if isNull(arg[0]) {
				return
			}
			v, err := types.ParseText(types.T(types.Name), arg[0].RawText(), nil)
			if err != nil {
				fail(ctx, err)
				return
			}
			result(ctx, v)
		})
	})
}

// checkedInt passes a whole number on if it is within the range of its type. A sum of two 64-bit numbers that SQLite had
// to turn into a float is out of range as well.
func checkedInt(low, high int64, name string) func(ctx sqlite3.Context, arg Values) {
	return func(ctx sqlite3.Context, arg Values) {
		switch arg[0].Type() {
		case sqlite3.NULL:
			return
		case sqlite3.INTEGER:
			if i := arg[0].Int64(); i >= low && i <= high {
				ctx.ResultInt64(i)
				return
			}
		}
		fail(ctx, errRange(name))
	}
}

// fitText refuses a string that is too long for varchar(n) or char(n); blanks beyond the length are cut.
func fitText(k types.Kind) func(ctx sqlite3.Context, arg Values) {
	return func(ctx sqlite3.Context, arg Values) {
		if isNull(arg[0]) {
			return
		}
		b := arg[0].RawText()
		n := arg[1].Int64()
		if int64(len(b)) <= n && k == types.Varchar {
			ctx.ResultValue(arg[0])
			return
		}
		v, err := types.ParseText(types.Type{Kind: k, Len: int32(n)}, b, nil)
		if err != nil {
			fail(ctx, err)
			return
		}
		result(ctx, v)
	}
}

func toFloat4(f float64) (float64, error) {
	g := float64(float32(f))
	switch {
	case math.IsInf(g, 0) && !math.IsInf(f, 0):
		return 0, sqlerr.New("22003", "value out of range: overflow")
	case g == 0 && f != 0:
		return 0, sqlerr.New("22003", "value out of range: underflow")
	}
	return g, nil
}

// convert turns v from the storage form of one type into that of another, as PostgreSQL's casts do.
func convert(v types.Value, from, to types.Type, explicit bool, env *Env) (types.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	switch {
	case isText(from.Kind) || from.Kind == types.Unknown:
		if v.Class == types.Int || v.Class == types.Float {
			v = types.Value{Class: types.String, B: types.AppendPGText(nil, types.T(types.Unknown), v, nil)}
		}
		in := env.input()
		in.Explicit = explicit
		return types.ParseText(to, v.B, in)
	case isText(to.Kind):
		return convertToText(v, from, to, explicit, env)
	}
	switch to.Kind {
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8, types.Year:
		return convertToInt(v, from, to)
	case types.Float4, types.Float8:
		return convertToFloat(v, from, to)
	case types.Numeric:
		return convertToNumeric(v, from, to)
	case types.Bool:
		if from.Kind == types.JSONB {
			switch string(v.B) {
			case "true":
				return types.BoolValue(true), nil
			case "false":
				return types.BoolValue(false), nil
			}
			return types.Value{}, jsonbCastError(v.B, to)
		}
		return types.BoolValue(v.I != 0), nil
	case types.Money:
		d, err := numberOf(v)
		if err != nil {
			return types.Value{}, err
		}
		cents, ok := d.Mul(types.DecimalFromInt(100)).Int64()
		if !ok {
			return types.Value{}, errRange("bigint")
		}
		return types.IntValue(cents), nil
	case types.Date, types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ, types.Interval:
		return convertTime(v, from, to, env)
	case types.Bit:
		return convertToBit(v, from, to, explicit)
	case types.JSON:
		return v, nil
	case types.JSONB:
		b, err := types.NormalizeJSON(nil, v.B)
		return types.Value{Class: types.String, B: b}, err
	case types.Inet:
		n, ok := types.ParseInet(v.B, from.Kind == types.Cidr)
		if !ok {
			return types.Value{}, sqlerr.New("22P02", "invalid input syntax for type inet: \"%s\"", clip(v.B))
		}
		return types.Value{Class: types.String, B: n.AppendText(nil, false)}, nil
	case types.Cidr:
		n, ok := types.ParseInet(v.B, false)
		if !ok {
			return types.Value{}, sqlerr.New("22P02", "invalid input syntax for type cidr: \"%s\"", clip(v.B))
		}
		if p, err := n.Addr.Prefix(n.Bits); err == nil {
			n.Addr = p.Addr()
		}
		return types.Value{Class: types.String, B: n.AppendText(nil, true)}, nil
	case types.Array:
		return convertArray(v, from, to, explicit, env)
	case types.InternalChar:
		if v.Class == types.Int {
			if v.I < -128 || v.I > 127 {
				return types.Value{}, sqlerr.New("22003", "\"char\" out of range")
			}
			return types.Value{Class: types.String, B: []byte{byte(v.I)}}, nil
		}
		return v, nil
	case types.Oid, types.Xid:
		return types.IntValue(int64(uint32(v.I))), nil
	case types.Other:
		return types.Value{Class: types.String, B: types.AppendPGText(nil, from, v, env.format())}, nil
	}
	if from.Kind == to.Kind {
		return v, nil
	}
	return types.ParseText(to, types.AppendPGText(nil, from, v, env.format()), env.input())
}

func convertToText(v types.Value, from, to types.Type, explicit bool, env *Env) (types.Value, error) {
	var b []byte
	switch from.Kind {
	case types.Bool:
		// The cast says true, the output function t.
		b = []byte("true")
		if v.I == 0 {
			b = []byte("false")
		}
	case types.Char:
		b = bytes.TrimRight(v.B, " ")
	case types.Inet:
		n, ok := types.ParseInet(v.B, false)
		if !ok {
			b = v.B
			break
		}
		b = n.AppendText(nil, true)
	default:
		b = types.AppendPGText(nil, from, v, env.format())
	}
	if to.Kind == types.Text {
		return types.Value{Class: types.String, B: b}, nil
	}
	return types.ParseText(to, b, &types.Input{Explicit: explicit})
}

func numberOf(v types.Value) (types.Decimal, error) {
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

func jsonbCastError(b []byte, to types.Type) error {
	kind := "string"
	if len(b) > 0 {
		switch b[0] {
		case '{':
			kind = "object"
		case '[':
			kind = "array"
		case 't', 'f':
			kind = "boolean"
		case 'n':
			kind = "null"
		case '"':
		default:
			kind = "numeric"
		}
	}
	if kind == "array" || kind == "object" {
		return sqlerr.New("22023", "cannot cast jsonb %s to type %s", kind, to.PGName())
	}
	return sqlerr.New("22023", "cannot cast jsonb %s to type %s", kind, to.PGName())
}

// jsonNumber checks that a jsonb value is a number.
func jsonNumber(v types.Value, from, to types.Type) error {
	if from.Kind != types.JSONB {
		return nil
	}
	if len(v.B) > 0 && (v.B[0] == '-' || v.B[0] >= '0' && v.B[0] <= '9') {
		return nil
	}
	return jsonbCastError(v.B, to)
}

func convertToInt(v types.Value, from, to types.Type) (types.Value, error) {
	if err := jsonNumber(v, from, to); err != nil {
		return types.Value{}, err
	}
	var i int64
	ok := true
	switch {
	case from.Kind == types.Bit:
		for _, c := range types.AppendBits(nil, from, v) {
			i = i<<1 | int64(c-'0')
		}
		if to.Kind != types.Int8 {
			i = int64(int32(i))
		}
	case from.Kind == types.InternalChar:
		if len(v.B) > 0 {
			i = int64(int8(v.B[0]))
		}
	case v.Class == types.Int:
		i = v.I
	case v.Class == types.Float:
		i, ok = roundEven(v.F)
	default:
		d, err := numberOf(v)
		if err != nil {
			return types.Value{}, err
		}
		if d.IsNaN() || d.IsInf() {
			what := "NaN"
			if d.IsInf() {
				what = "infinity"
			}
			return types.Value{}, sqlerr.New("0A000", "cannot convert %s to %s", what, to.PGName())
		}
		i, ok = d.Int64()
	}
	if low, high := to.IntRange(); !ok || i < low || i > high {
		return types.Value{}, errRange(to.PGName())
	}
	return types.IntValue(i), nil
}

func convertToFloat(v types.Value, from, to types.Type) (types.Value, error) {
	if err := jsonNumber(v, from, to); err != nil {
		return types.Value{}, err
	}
	var f float64
	switch v.Class {
	case types.Int:
		f = float64(v.I)
	case types.Float:
		f = v.F
	default:
		d, err := numberOf(v)
		if err != nil {
			return types.Value{}, err
		}
		if d.IsNaN() {
			return types.Value{}, sqlerr.Unsupported("NaN in type " + to.PGName())
		}
		f = d.Float()
		if math.IsInf(f, 0) && !d.IsInf() {
			return types.Value{}, sqlerr.New("22003", "\"%s\" is out of range for type %s", clip(v.B), to.PGName())
		}
	}
	if to.Kind == types.Float4 {
		var err error
		if f, err = toFloat4(f); err != nil {
			return types.Value{}, err
		}
	}
	return types.FloatValue(f), nil
}

func convertToNumeric(v types.Value, from, to types.Type) (types.Value, error) {
	if err := jsonNumber(v, from, to); err != nil {
		return types.Value{}, err
	}
	var d types.Decimal
	switch {
	case from.Kind == types.Money:
		d = types.NewDecimal(v.I, 2)
	case from.Kind == types.Float4 && v.Class == types.Float:
		d = types.DecimalFromFloat(v.F, 6)
	default:
		var err error
		if d, err = numberOf(v); err != nil {
			return types.Value{}, err
		}
	}
	if v.Class == types.Float {
		d = d.TrimZeros()
	}
	d, err := d.Fit(to)
	if err != nil {
		return types.Value{}, err
	}
	return types.DecimalValue(d), nil
}

func convertToBit(v types.Value, from, to types.Type, explicit bool) (types.Value, error) {
	if from.Kind == types.Bit || from.Kind == types.Other {
		return types.BitValue(to, types.AppendBits(nil, from, v), explicit)
	}
	// From a number: the low bits, sign-extended on the left.
	n := int(max(to.Len, 1))
	bits := make([]byte, n)
	for i := range bits {
		bits[i] = '0' + byte(v.I>>min(n-1-i, 63)&1)
	}
	if to.Len <= 0 {
		to.Len = 1
	}
	return types.BitValue(to, bits, explicit)
}

func convertArray(v types.Value, from, to types.Type, explicit bool, env *Env) (types.Value, error) {
	if from.Kind == types.Int2Vector || from.Kind == types.OidVector {
		b := append([]byte{'['}, bytes.ReplaceAll(v.B, []byte{' '}, []byte{','})...)
		return types.Value{Class: types.String, B: append(b, ']')}, nil
	}
	if from.Kind != types.Array {
		return v, nil
	}
	a, ok := types.ParseStoredArray(v.B, from.Elem)
	if !ok {
		return types.Value{}, sqlerr.New("22P02", "malformed array: %s", clip(v.B))
	}
	fe, te := from.ElemType(), to.ElemType()
	for i, e := range a.Elems {
		c, err := convert(e, fe, te, explicit, env)
		if err != nil {
			return types.Value{}, err
		}
		a.Elems[i] = c
	}
	return types.Value{Class: types.String, B: a.AppendStored(nil)}, nil
}

func fractionDigits(t types.Type) int {
	if t.Len > 0 {
		return int(t.Len) - 1
	}
	return 6
}

func badStored(t types.Type, b []byte) error {
	return sqlerr.New("22007", "invalid input syntax for type %s: \"%s\"", t.PGName(), clip(b))
}

// convertTime converts among dates, times and intervals.
func convertTime(v types.Value, from, to types.Type, env *Env) (types.Value, error) {
	digits := fractionDigits(to)
	switch from.Kind {
	case types.Date:
		d, ok := types.ParseStoredDate(v.B)
		if !ok {
			return types.Value{}, badStored(from, v.B)
		}
		ts, err := dateToTimestamp(d)
		if err != nil {
			return types.Value{}, err
		}
		switch to.Kind {
		case types.Date:
			return v, nil
		case types.Timestamp:
			return types.TimestampValue(ts), nil
		case types.TimestampTZ:
			return types.TimestampValue(instantOf(ts, env)), nil
		}
	case types.Timestamp, types.TimestampTZ:
		ts, ok := types.ParseStoredTimestamp(v.B)
		if !ok {
			return types.Value{}, badStored(from, v.B)
		}
		if to.Kind == from.Kind {
			return types.TimestampValue(types.RoundMicros(ts, digits)), nil
		}
		offset := 0
		infinite := ts == types.InfiniteTimestamp || ts == types.MinusInfiniteTimestamp
		if from.Kind == types.TimestampTZ && !infinite {
			ts, offset, _ = types.LocalTimestamp(ts, env.location())
		}
		switch to.Kind {
		case types.Timestamp:
			return types.TimestampValue(types.RoundMicros(ts, digits)), nil
		case types.TimestampTZ:
			return types.TimestampValue(types.RoundMicros(instantOf(ts, env), digits)), nil
		case types.Date:
			return types.DateValue(timestampToDate(ts)), nil
		case types.Time, types.TimeTZ:
			if infinite {
				return types.Value{}, nil
			}
			_, us := types.SplitTimestamp(ts)
			us = types.RoundMicros(us, digits)
			if to.Kind == types.Time {
				return types.TimeValue(us), nil
			}
			return types.Value{Class: types.String, B: types.AppendTimeTZ(nil, us, offset)}, nil
		}
	case types.Time:
		us, ok := types.ParseStoredTime(v.B)
		if !ok {
			return types.Value{}, badStored(from, v.B)
		}
		switch to.Kind {
		case types.Time:
			return types.TimeValue(types.RoundMicros(us, digits)), nil
		case types.Interval:
			return types.SpanValue(types.Span{Micros: us}), nil
		case types.TimeTZ:
			_, offset, _ := types.LocalTimestamp(types.TimestampOf(env.now()), env.location())
			return types.Value{Class: types.String, B: types.AppendTimeTZ(nil, types.RoundMicros(us, digits), offset)}, nil
		}
	case types.TimeTZ:
		us, offset, ok := types.ParseStoredTimeTZ(v.B)
		if !ok {
			return types.Value{}, badStored(from, v.B)
		}
		us = types.RoundMicros(us, digits)
		if to.Kind == types.Time {
			return types.TimeValue(us), nil
		}
		return types.Value{Class: types.String, B: types.AppendTimeTZ(nil, us, offset)}, nil
	case types.Interval:
		s, ok := types.ParseStoredInterval(v.B)
		if !ok {
			return types.Value{}, badStored(from, v.B)
		}
		if to.Kind == types.Time {
			us := s.Micros % types.MicrosPerDay
			if us < 0 {
				us += types.MicrosPerDay
			}
			return types.TimeValue(us), nil
		}
		s.Micros = types.RoundMicros(s.Micros, digits)
		return types.SpanValue(s), nil
	}
	return types.Value{}, sqlerr.New("42846", "cannot cast type %s to %s", from.PGName(), to.PGName())
}

func dateToTimestamp(d int32) (int64, error) {
	switch d {
	case types.InfiniteDate:
		return types.InfiniteTimestamp, nil
	case types.MinusInfiniteDate:
		return types.MinusInfiniteTimestamp, nil
	}
	if int64(d) > math.MaxInt64/types.MicrosPerDay {
		return 0, sqlerr.New("22008", "date out of range for timestamp")
	}
	ts := int64(d) * types.MicrosPerDay
	if !types.TimestampInRange(ts) {
		return 0, sqlerr.New("22008", "date out of range for timestamp")
	}
	return ts, nil
}

func timestampToDate(ts int64) int32 {
	switch ts {
	case types.InfiniteTimestamp:
		return types.InfiniteDate
	case types.MinusInfiniteTimestamp:
		return types.MinusInfiniteDate
	}
	d, _ := types.SplitTimestamp(ts)
	return int32(d)
}

// instantOf reads a timestamp as what a clock in the session's zone shows.
func instantOf(ts int64, env *Env) int64 {
	if ts == types.InfiniteTimestamp || ts == types.MinusInfiniteTimestamp {
		return ts
	}
	return types.InstantOf(ts, env.location())
}
