package funcs

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// valueOf returns an argument as a Value. Its bytes are SQLite's and valid during the call.
func valueOf(v sqlite3.Value) types.Value {
	switch v.Type() {
	case sqlite3.INTEGER:
		return types.IntValue(v.Int64())
	case sqlite3.FLOAT:
		return types.FloatValue(v.Float())
	case sqlite3.TEXT:
		return types.Value{Class: types.String, B: v.RawText()}
	case sqlite3.BLOB:
		return types.Value{Class: types.Blob, B: v.RawBlob()}
	}
	return types.Value{}
}

// result makes v the result of the call.
func result(ctx sqlite3.Context, v types.Value) {
	switch v.Class {
	case types.Int:
		ctx.ResultInt64(v.I)
	case types.Float:
		ctx.ResultFloat(v.F)
	case types.String:
		resultText(ctx, v.B)
	case types.Blob:
		if len(v.B) == 0 {
			ctx.ResultZeroBlob(0)
			return
		}
		ctx.ResultBlob(v.B)
	}
}

// resultText makes a string the result; unlike ResultRawText an empty nil slice is an empty string.
func resultText(ctx sqlite3.Context, b []byte) {
	if b == nil {
		ctx.ResultText("")
		return
	}
	ctx.ResultRawText(b)
}

// anyNull reports whether an argument is NULL; the result is NULL when a function sets none.
func anyNull(arg Values) bool {
	for _, a := range arg {
		if a.Type() == sqlite3.NULL {
			return true
		}
	}
	return false
}

func isNull(v sqlite3.Value) bool { return v.Type() == sqlite3.NULL }

// decimalArg reads an argument of any class as a number.
func decimalArg(v sqlite3.Value) (types.Decimal, error) {
	switch v.Type() {
	case sqlite3.INTEGER:
		return types.DecimalFromInt(v.Int64()), nil
	case sqlite3.FLOAT:
		return types.DecimalFromFloat(v.Float(), 15), nil
	}
	b := v.RawText()
	d, err := types.ParseDecimal(b)
	if err != nil {
		return d, sqlerr.New("22P02", "invalid input syntax for type numeric: \"%s\"", clip(b))
	}
	return d, nil
}

// resultDecimal makes d the result, in the storage form of numeric.
func resultDecimal(ctx sqlite3.Context, d types.Decimal) {
	var buf [48]byte
	ctx.ResultRawText(d.AppendText(buf[:0]))
}

// clip shortens a text for an error message.
func clip(b []byte) string {
	if len(b) > 200 {
		return string(b[:200]) + "…"
	}
	return string(b)
}

// arithmeticError gives the errors of package types their SQLSTATE.
func arithmeticError(err error) error {
	switch {
	case errors.Is(err, types.ErrDivisionByZero):
		return errDivisionByZero()
	case errors.Is(err, types.ErrZeroPower), errors.Is(err, types.ErrComplexPower):
		return sqlerr.New("2201F", "%s", err)
	case errors.Is(err, types.ErrLogarithm):
		return sqlerr.New("2201E", "%s", err)
	case errors.Is(err, types.ErrDecimalOverflow):
		return sqlerr.New("22003", "value overflows numeric format").My(1690, "DECIMAL value is out of range")
	}
	return err
}

func errDivisionByZero() error {
	return sqlerr.New("22012", "division by zero").My(1365, "Division by 0")
}

func errRange(name string) error {
	return sqlerr.New("22003", "%s out of range", name).My(1690, "%s value is out of range", strings.ToUpper(name))
}

// location returns the session's time zone.
func (e *Env) location() *time.Location {
	if e.Location == nil {
		return time.UTC
	}
	return e.Location
}

// now is the time that now() gives: of the transaction, or of the statement where that isn't set.
func (e *Env) now() time.Time {
	switch {
	case !e.TxTime.IsZero():
		return e.TxTime
	case !e.StatementTime.IsZero():
		return e.StatementTime
	}
	return time.Now()
}

// statementNow is the time that MySQL's NOW() gives.
func (e *Env) statementNow() time.Time {
	if !e.StatementTime.IsZero() {
		return e.StatementTime
	}
	return e.now()
}

func (e *Env) setting(name string) string {
	if e.Setting == nil {
		return ""
	}
	v, _ := e.Setting(name)
	return v
}

// warn collects a MySQL warning, if someone listens.
func (e *Env) warn(number uint16, message string) {
	if e.Warn != nil {
		e.Warn(number, message)
	}
}

// DateStyleOf reads PostgreSQL's DateStyle: "ISO, MDY".
func DateStyleOf(text string) (types.DateStyle, types.DateOrder) {
	style, order := types.ISO, types.MDY
	for f := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch strings.ToLower(f) {
		case "sql":
			style = types.SQLStyle
		case "german":
			style, order = types.GermanStyle, types.DMY
		case "postgres":
			style = types.PostgresStyle
		case "dmy", "euro", "european":
			order = types.DMY
		case "ymd":
			order = types.YMD
		case "mdy", "us", "noneuro", "noneuropean":
			order = types.MDY
		}
	}
	return style, order
}

// IntervalStyleOf reads PostgreSQL's IntervalStyle.
func IntervalStyleOf(text string) types.IntervalStyle {
	switch strings.ToLower(text) {
	case "postgres_verbose":
		return types.IntervalVerbose
	case "sql_standard":
		return types.IntervalSQL
	case "iso_8601":
		return types.IntervalISO
	}
	return types.IntervalPostgres
}

// names is what Env.Catalog also is when it knows objects by name: ::regclass and its like.
type names interface {
	OIDOf(k types.Kind, name string) (uint32, error)
	NameOf(k types.Kind, oid uint32) string
}

// format returns how values are printed in this session.
func (e *Env) format() *types.PGFormat {
	f := &types.PGFormat{Location: e.location(), ExtraFloatDigits: 1}
	if e.Setting != nil {
		f.DateStyle, f.DateOrder = DateStyleOf(e.setting("datestyle"))
		f.IntervalStyle = IntervalStyleOf(e.setting("intervalstyle"))
		f.ByteaEscape = e.setting("bytea_output") == "escape"
		switch s := e.setting("extra_float_digits"); {
		case s == "0":
			f.ExtraFloatDigits = 0
		case strings.HasPrefix(s, "-"):
			n := 0
			for _, c := range s[1:] {
				if c >= '0' && c <= '9' {
					n = n*10 + int(c-'0')
				}
			}
			f.ExtraFloatDigits = -min(n, 15)
		}
	}
	if c, ok := e.Catalog.(names); ok {
		f.Name = c.NameOf
	}
	return f
}

// input returns how text is read in this session.
func (e *Env) input() *types.Input {
	in := &types.Input{Location: e.location(), Now: e.now()}
	if e.Setting != nil {
		_, in.DateOrder = DateStyleOf(e.setting("datestyle"))
		in.IntervalStyle = IntervalStyleOf(e.setting("intervalstyle"))
	}
	if c, ok := e.Catalog.(names); ok {
		in.Name = c.OIDOf
	}
	return in
}

// myInput returns how MySQL reads text in this session. assign: into a column, where strict mode makes bad values errors.
func (e *Env) myInput(assign bool) *types.Input {
	return &types.Input{
		MySQL: true, Strict: assign && e.Strict, ZeroDates: e.ZeroDates || !assign, Explicit: !assign,
		Location: e.location(), Now: e.statementNow(), Warn: e.Warn,
	}
}

// roundEven rounds a float to a whole number as PostgreSQL's casts do; ok is false outside of int64.
func roundEven(f float64) (int64, bool) {
	r := math.RoundToEven(f)
	if math.IsNaN(r) || r < -9.2233720368547758e18 || r >= 9.2233720368547758e18 {
		return 0, false
	}
	return int64(r), true
}
