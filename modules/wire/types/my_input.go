package types

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// This file turns text into storage forms by MySQL's rules: as much of the text as makes sense is taken; what doesn't is
// an error in strict mode and a warning otherwise.

// NumberPrefix returns the length of the number (sign, digits, point, exponent) at the start of b, blanks before it
// included; 0 if there is none.
func NumberPrefix(b []byte) int {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		i++
	}
	digits := 0
	for i < len(b) && isDigit(b[i]) {
		i++
		digits++
	}
	if i < len(b) && b[i] == '.' {
		j := i + 1
		for j < len(b) && isDigit(b[j]) {
			j++
			digits++
		}
		if digits > 0 {
			i = j
		}
	}
	if digits == 0 {
		return 0
	}
	if i+1 < len(b) && b[i]|0x20 == 'e' {
		j := i + 1
		if b[j] == '+' || b[j] == '-' {
			j++
		}
		if j < len(b) && isDigit(b[j]) {
			for j < len(b) && isDigit(b[j]) {
				j++
			}
			i = j
		}
	}
	return i
}

// MySQLFloat returns the number at the start of b, 0 if there is none; exact says that b was nothing else.
func MySQLFloat(b []byte) (f float64, exact bool) {
	n := NumberPrefix(b)
	if n == 0 {
		return 0, false
	}
	f, _ = strconv.ParseFloat(string(trimSpace(b[:n])), 64)
	if math.IsInf(f, 0) {
		f = math.Copysign(math.MaxFloat64, f)
	}
	return f, len(trimSpace(b[n:])) == 0
}

// MySQLDecimal returns the number at the start of b, 0 if there is none; exact says that b was nothing else.
func MySQLDecimal(b []byte) (d Decimal, exact bool) {
	n := NumberPrefix(b)
	if n == 0 {
		return d, false
	}
	d, err := ParseDecimal(b[:n])
	if err != nil {
		return Decimal{}, false
	}
	return d, len(trimSpace(b[n:])) == 0
}

// bad refuses a value in strict mode, and warns otherwise.
func (in *Input) bad(state string, number uint16, pg, my string) error {
	if in.Strict {
		return sqlerr.New(state, "%s", pg).My(number, "%s", my)
	}
	if in.Warn != nil {
		in.Warn(number, my)
	}
	return nil
}

func (in *Input) outOfRange(t Type) error {
	return in.bad("22003", 1264, t.PGName()+" out of range", "Out of range value for column")
}

func (in *Input) truncated() error {
	return in.bad("22001", 1265, "data truncated", "Data truncated for column")
}

func (in *Input) incorrect(number uint16, name string, text []byte) error {
	msg := "Incorrect " + name + " value: '" + printable(text) + "'"
	return in.bad("22P02", number, strings.ToLower(msg[:1])+msg[1:], msg)
}

func parseMySQL(t Type, text []byte, in *Input) (Value, error) {
	switch t.Kind {
	case Bool, Int1, Int2, Int3, Int4, Int8, Year, Oid, Xid, Money:
		return myInteger(t, text, in)
	case Float4, Float8:
		n := NumberPrefix(text)
		if n == 0 || len(trimSpace(text[n:])) > 0 {
			if err := in.bad("22P02", 1265, "data truncated", "Data truncated for column"); err != nil {
				return Value{}, err
			}
		}
		if n == 0 {
			return FloatValue(0), nil
		}
		f, _ := strconv.ParseFloat(string(trimSpace(text[:n])), 64) // out of range: infinite
		return myFloat(t, f, in)
	case Numeric:
		d, exact := MySQLDecimal(text)
		var err error
		switch {
		case NumberPrefix(text) == 0:
			err = in.incorrect(1366, "decimal", text)
		case !exact:
			err = in.truncated()
		}
		if err != nil {
			return Value{}, err
		}
		return myDecimal(t, d, in)
	case Text, Varchar, Char, Name, Unknown, InternalChar:
		return myString(t, text, in)
	case Bytes:
		if t.Len > 0 && len(text) > int(t.Len) {
			if err := in.bad("22001", 1406, "value too long", "Data too long for column"); err != nil {
				return Value{}, err
			}
			text = text[:t.Len]
		}
		if t.Binary && t.Len > 0 && len(text) < int(t.Len) { // BINARY(n) is filled with zero bytes
			b := make([]byte, t.Len)
			copy(b, text)
			text = b
		}
		return BlobValue(text), nil
	case Date, Timestamp, TimestampTZ:
		return myDateTime(t, text, in)
	case Time:
		us, cut, ok := ParseMySQLTime(text)
		if !ok || cut {
			if err := in.incorrect(1292, "time", text); err != nil {
				return Value{}, err
			}
		}
		return TimeValue(RoundMicros(us, t.fraction())), nil
	case Bit:
		return myBit(t, text, in)
	case JSON, JSONB:
		b, err := NormalizeJSON(nil, text)
		if err != nil {
			return Value{}, err
		}
		return Value{Class: String, B: b}, nil
	case Enum:
		return myEnum(t, text, in)
	case Set:
		return mySet(t, text, in)
	}
	// Kinds that only PostgreSQL has are written as it writes them.
	pg := *in
	pg.MySQL = false
	return ParseText(t, text, &pg)
}

func myInteger(t Type, text []byte, in *Input) (Value, error) {
	if i, syntax, fits := parseInt(trimSpace(text)); syntax && fits && t.Kind != Money {
		if t.Kind == Year && i == 0 && len(trimSpace(text)) < 4 {
			i = 2000 // '0' and '00' are a year of two digits, 0 isn't
		}
		return myFitInt(t, i, in)
	}
	d, exact := MySQLDecimal(text)
	if !exact {
		if NumberPrefix(text) == 0 {
			if err := in.incorrect(1366, "integer", text); err != nil {
				return Value{}, err
			}
		} else if err := in.truncated(); err != nil {
			return Value{}, err
		}
	}
	if t.Kind == Money {
		d = d.Mul(DecimalFromInt(100))
	}
	return myDecimalToInt(t, d, in)
}

func myDecimalToInt(t Type, d Decimal, in *Input) (Value, error) {
	i, ok := d.Int64()
	if !ok {
		if err := in.outOfRange(t); err != nil {
			return Value{}, err
		}
		low, high := t.IntRange()
		if d.Sign() < 0 {
			return IntValue(low), nil
		}
		return IntValue(high), nil
	}
	return myFitInt(t, i, in)
}

func myFitInt(t Type, i int64, in *Input) (Value, error) {
	switch t.Kind {
	case Bool:
		t.Kind = Int1
	case Money:
		return IntValue(i), nil
	case Year:
		switch {
		case i >= 1901 && i <= 2155 || i == 0:
			return IntValue(i), nil
		case i >= 1 && i <= 99:
			return IntValue(int64(twoDigitYear(int(i)))), nil
		}
		if err := in.outOfRange(t); err != nil {
			return Value{}, err
		}
		return IntValue(0), nil
	}
	low, high := t.IntRange()
	if i >= low && i <= high {
		return IntValue(i), nil
	}
	if err := in.outOfRange(t); err != nil {
		return Value{}, err
	}
	return IntValue(min(max(i, low), high)), nil
}

func myFloat(t Type, f float64, in *Input) (Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) || t.Kind == Float4 && math.Abs(f) > math.MaxFloat32 || t.Unsigned && f < 0 {
		if err := in.outOfRange(t); err != nil {
			return Value{}, err
		}
		switch {
		case math.IsNaN(f) || t.Unsigned && f < 0:
			f = 0
		case t.Kind == Float4:
			f = math.Copysign(math.MaxFloat32, f)
		default:
			f = math.Copysign(math.MaxFloat64, f)
		}
	}
	if t.Kind == Float4 {
		f = float64(float32(f))
	}
	return FloatValue(f), nil
}

func myDecimal(t Type, d Decimal, in *Input) (Value, error) {
	if t.Unsigned && d.Sign() < 0 {
		if err := in.outOfRange(t); err != nil {
			return Value{}, err
		}
		d = Decimal{}
	}
	if t.Len <= 0 {
		return DecimalValue(d), nil
	}
	r := d.Round(t.Scale)
	if r.class != finite || !r.IsZero() && r.Digits()-int(r.scale) > int(t.Len-t.Scale) {
		if err := in.outOfRange(t); err != nil {
			return Value{}, err
		}
		limit := make([]byte, t.Len)
		for i := range limit {
			limit[i] = '9'
		}
		nines, _ := ParseDecimal(limit)
		nines.scale = t.Scale
		if r.Sign() < 0 {
			nines = nines.Neg()
		}
		r = nines
	}
	return DecimalValue(r), nil
}

func myString(t Type, text []byte, in *Input) (Value, error) {
	if !utf8.Valid(text) {
		if err := in.incorrect(1366, "string", []byte(strconv.QuoteToASCII(string(cutBytes(text, 64))))); err != nil {
			return Value{}, err
		}
		text = bytes.ToValidUTF8(text, []byte("?"))
	}
	if t.Kind == Varchar || t.Kind == Char {
		b, err := fitString(t, text, false)
		if err != nil {
			if in.Strict && !in.Explicit {
				return Value{}, err
			}
			if in.Warn != nil {
				in.Warn(1265, "Data truncated for column")
			}
			b, _ = fitString(t, text, true)
		}
		text = b
	}
	return Value{Class: String, B: text}, nil
}

func myDateTime(t Type, text []byte, in *Input) (Value, error) {
	name := map[Kind]string{Date: "date", Timestamp: "datetime", TimestampTZ: "datetime"}[t.Kind]
	m, ok := ParseMySQLDateTime(text)
	zero := func() (Value, error) {
		if t.Kind == Date {
			return StringValue("0000-00-00"), nil
		}
		return StringValue("0000-00-00 00:00:00.000000"), nil
	}
	if !ok {
		if err := in.incorrect(1292, name, text); err != nil {
			return Value{}, err
		}
		return zero()
	}
	return m.Store(t, text, in, zero)
}

// Store returns the storage form of m as a value of the date or timestamp type t; text is what it was read from.
func (m MyTime) Store(t Type, text []byte, in *Input, zero func() (Value, error)) (Value, error) {
	name := "datetime"
	if t.Kind == Date {
		name = "date"
	}
	if !m.Whole() {
		if !in.ZeroDates || m.Month != 0 && m.Day != 0 || m.Month == 0 && m.Day == 0 && m.Year != 0 && !in.ZeroDates {
			if err := in.incorrect(1292, name, text); err != nil {
				return Value{}, err
			}
			return zero()
		}
		if t.Kind == TimestampTZ && !m.IsZero() {
			if err := in.incorrect(1292, name, text); err != nil {
				return Value{}, err
			}
			return zero()
		}
		if t.Kind == Date {
			return Value{Class: String, B: m.AppendDate(nil)}, nil
		}
		return Value{Class: String, B: m.AppendTimestamp(nil)}, nil
	}
	if m.Truncated {
		if err := in.incorrect(1292, name, text); err != nil {
			return Value{}, err
		}
	}
	if t.Kind == Date {
		return Value{Class: String, B: m.AppendDate(make([]byte, 0, 10))}, nil
	}
	ts := RoundMicros(m.Timestamp(), t.fraction())
	switch {
	case t.Kind == TimestampTZ && m.Zone != nil:
		ts = InstantOf(ts, m.Zone)
	case t.Kind == TimestampTZ:
		ts = InstantOf(ts, in.Location)
	case m.Zone != nil:
		ts, _, _ = LocalTimestamp(InstantOf(ts, m.Zone), in.Location)
	}
	return TimestampValue(ts), nil
}

func myBit(t Type, text []byte, in *Input) (Value, error) {
	n := max(int(t.Len), 1)
	text = bytes.TrimLeft(text, "\x00")
	width := 0
	if len(text) > 0 {
		width = (len(text)-1)*8 + bitLen(text[0])
	}
	if width > n {
		if err := in.bad("22001", 1406, "bit string too long", "Data too long for column"); err != nil {
			return Value{}, err
		}
		text = bytes.Repeat([]byte{0xff}, (n+7)/8)
		if n%8 != 0 {
			text[0] = 1<<(n%8) - 1
		}
	}
	if n <= 63 {
		var u uint64
		for _, c := range text {
			u = u<<8 | uint64(c)
		}
		return IntValue(int64(u)), nil
	}
	b := make([]byte, (n+7)/8)
	copy(b[len(b)-len(text):], text)
	return BlobValue(b), nil
}

func bitLen(c byte) int {
	n := 0
	for ; c > 0; c >>= 1 {
		n++
	}
	return n
}

func myEnum(t Type, text []byte, in *Input) (Value, error) {
	if in.Labels == nil {
		return Value{Class: String, B: text}, nil
	}
	_, labels := in.Labels(t)
	for _, l := range labels {
		if strings.EqualFold(l, strings.TrimRight(string(text), " ")) {
			return StringValue(l), nil
		}
	}
	if i, syntax, fits := parseInt(text); syntax && fits && i >= 1 && int(i) <= len(labels) {
		return StringValue(labels[i-1]), nil
	}
	if err := in.truncated(); err != nil {
		return Value{}, err
	}
	return StringValue(""), nil
}

func mySet(t Type, text []byte, in *Input) (Value, error) {
	if in.Labels == nil || len(text) == 0 {
		return Value{Class: String, B: text}, nil
	}
	_, labels := in.Labels(t)
	var chosen uint64
	if bits, syntax, fits := parseInt(text); syntax && fits && bits >= 0 && (len(labels) >= 63 || bits < 1<<len(labels)) {
		chosen = uint64(bits)
	} else {
		for part := range strings.SplitSeq(string(text), ",") {
			found := false
			for i, l := range labels {
				if strings.EqualFold(l, strings.TrimRight(part, " ")) && i < 64 {
					chosen |= 1 << i
					found = true
					break
				}
			}
			if !found {
				if err := in.truncated(); err != nil {
					return Value{}, err
				}
			}
		}
	}
	var out []byte
	for i, l := range labels {
		if i < 64 && chosen>>i&1 != 0 {
			if len(out) > 0 {
				out = append(out, ',')
			}
			out = append(out, l...)
		}
	}
	if out == nil {
		out = []byte{}
	}
	return Value{Class: String, B: out}, nil
}

// Convert turns v, a value of type from in storage form, into the storage form of type to, by MySQL's rules for
// assignment. NULL stays NULL.
func Convert(to, from Type, v Value, in *Input) (Value, error) {
	if v.IsNull() || to == from {
		return v, nil
	}
	if in == nil {
		in = &Input{MySQL: true, Strict: true}
	}
	switch to.Kind {
	case Bool, Int1, Int2, Int3, Int4, Int8, Year, Oid, Xid:
		switch {
		case v.Class == Int:
			return myFitInt(to, v.I, in)
		case v.Class == Float:
			return myDecimalToInt(to, DecimalFromFloat(math.RoundToEven(v.F), 17), in)
		case from.Kind == Bytes && v.Class == Blob && from.Len > 0 && len(v.B) <= 8 && from.Binary:
			var b [8]byte
			copy(b[8-len(v.B):], v.B)
			return myFitInt(to, int64(binary.BigEndian.Uint64(b[:])), in)
		case from.IsTime():
			d, _ := MySQLDecimal(appendPackedTime(nil, from, v, in))
			return myDecimalToInt(to, d, in)
		}
	case Float4, Float8:
		switch {
		case v.Class == Int:
			return myFloat(to, float64(v.I), in)
		case v.Class == Float:
			return myFloat(to, v.F, in)
		case from.IsTime():
			f, _ := MySQLFloat(appendPackedTime(nil, from, v, in))
			return myFloat(to, f, in)
		}
	case Numeric:
		switch {
		case v.Class == Int:
			return myDecimal(to, DecimalFromInt(v.I), in)
		case v.Class == Float:
			return myDecimal(to, DecimalFromFloat(v.F, 17), in)
		case from.IsTime():
			d, _ := MySQLDecimal(appendPackedTime(nil, from, v, in))
			return myDecimal(to, d, in)
		}
	case Bit:
		switch v.Class {
		case Int:
			b := binary.BigEndian.AppendUint64(nil, uint64(v.I))
			return myBit(to, b, in)
		}
	case Timestamp:
		if from.Kind == TimestampTZ {
			if ts, ok := ParseStoredTimestamp(v.B); ok {
				local, _, _ := LocalTimestamp(ts, in.Location)
				return TimestampValue(RoundMicros(local, to.fraction())), nil
			}
		}
		if from.Kind == Timestamp && (to.Len == 0 || to.Len >= from.Len && from.Len > 0) {
			return v, nil
		}
	case TimestampTZ:
		if from.Kind == TimestampTZ {
			if ts, ok := ParseStoredTimestamp(v.B); ok {
				return TimestampValue(RoundMicros(ts, to.fraction())), nil
			}
		}
	case Bytes, Text, Varchar, Char, Name:
		if v.Class == Blob || v.Class == String && from.IsString() {
			return parseMySQL(to, v.B, in)
		}
	case JSON, JSONB:
		if from.Kind == JSON || from.Kind == JSONB {
			return v, nil
		}
		if v.Class == Int || v.Class == Float || from.Kind == Numeric {
			return Value{Class: String, B: AppendMySQLText(nil, from, v, &MyFormat{Location: in.Location})}, nil
		}
	case Date:
		if from.Kind == Timestamp && len(v.B) >= 10 {
			return Value{Class: String, B: v.B[:10]}, nil
		}
	case UUID:
		if v.Class == Blob && len(v.B) == 16 {
			return Value{Class: String, B: appendUUID(nil, [16]byte(v.B))}, nil
		}
	}
	return parseMySQL(to, AppendMySQLText(nil, from, v, &MyFormat{Location: in.Location}), in)
}

// appendPackedTime prints a date or time as the number that MySQL takes it for: YYYYMMDD, YYYYMMDDhhmmss, hhmmss.
func appendPackedTime(dst []byte, t Type, v Value, in *Input) []byte {
	text := AppendMySQLText(nil, t, v, &MyFormat{Location: in.Location})
	for _, c := range text {
		if isDigit(c) || c == '.' || c == '-' && t.Kind == Time {
			dst = append(dst, c)
		}
	}
	return dst
}
