package mysql

import (
	"bytes"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/types"
)

// Convert brings a value of type from into the storage form of type to, if nothing is lost by it: a parameter of a statement
// then means what a constant in its place does. ok is false if something would be lost, or if the two types compare in
// another way than values of type to; the statement has to be planned for a parameter of type from then. in says how the
// session reads values; it is asked to be strict. The Value may share memory with v.
func Convert(v types.Value, from, to types.Type, in *types.Input) (out types.Value, ok bool) {
	text := from.IsString() || from.Kind == types.Bytes
	switch v.Class {
	case types.Null:
		return v, true
	case types.Int:
		switch {
		case from.Kind == types.Bit:
		case to.IsInteger() || to.Kind == types.Bool:
			return v, true
		case to.Kind == types.Float8:
			return types.FloatValue(float64(v.I)), v.I > -1<<53 && v.I < 1<<53
		}
	case types.Float:
		if to.Kind == types.Float8 {
			return v, true
		}
	case types.String, types.Blob:
		switch to.Kind {
		case types.Bytes:
			return types.Value{Class: types.Blob, B: v.B}, text
		case types.Text, types.Varchar, types.Char, types.Enum, types.Set:
			return types.Value{Class: types.String, B: v.B}, text && utf8.Valid(v.B)
		}
	}
	switch {
	case to.Kind == types.Unknown, to.IsString():
		return v, false // numbers compare with strings as numbers
	case from == to:
		return v, true
	}
	return convertText(v, from, to, in)
}

// convertText goes by the value's text.
func convertText(v types.Value, from, to types.Type, in *types.Input) (types.Value, bool) {
	written := from.IsString() || from.Kind == types.Bytes
	b := types.AppendMySQLText(nil, from, v, &types.MyFormat{Location: in.Location})
	switch {
	case to.IsInteger(), to.Kind == types.Bool:
		if !isNumber(b) || bytes.IndexByte(b, '.') >= 0 {
			return v, false
		}
	case to.Kind == types.Float8, to.Kind == types.Float4:
		if !isNumber(b) {
			return v, false
		}
	case to.Kind == types.Numeric:
		if !isNumber(b) || to.Len > 0 && fraction(b) > int(to.Scale) {
			return v, false
		}
	case to.Kind == types.Date:
		if from.Kind == types.Timestamp || written && len(b) != 10 {
			return v, false
		}
	case to.Kind == types.Time:
		if from.Kind != types.Time && !written {
			return v, false
		}
	case to.IsTime():
		if from.Kind != types.Timestamp && from.Kind != types.TimestampTZ && from.Kind != types.Date && !written || fraction(b) > 6 {
			return v, false
		}
	case to.Kind == types.JSON, to.Kind == types.JSONB, to.Kind == types.UUID:
		if !written {
			return v, false
		}
	default:
		return v, false
	}
	lossy := false
	strict := *in
	strict.Strict, strict.Explicit = true, false
	strict.Warn = func(uint16, string) { lossy = true }
	out, err := types.ParseText(to, b, &strict)
	if err != nil || lossy {
		return v, false
	}
	return out, true
}

// isNumber tells whether text is a plain decimal number.
func isNumber(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte{'-'})
	digits, dot := 0, false
	for _, c := range b {
		switch {
		case isDigit(c):
			digits++
		case c == '.' && !dot:
			dot = true
		default:
			return false
		}
	}
	return digits > 0 && digits <= 65
}

// fraction is the number of digits after the point, zeros at the end not counted.
func fraction(b []byte) int {
	_, f, _ := bytes.Cut(b, []byte{'.'})
	return len(bytes.TrimRight(f, "0"))
}
