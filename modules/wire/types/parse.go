package types

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// ParseText turns a client's text for a value of type t into its storage form. nil in: a new PostgreSQL session in UTC.
// The errors are *sqlerr.Error: 22P02, 22003, 22007, 22008, 22001, 22021 and the like. The Value may share text's memory.
func ParseText(t Type, text []byte, in *Input) (Value, error) {
	if in == nil {
		in = &defaultInput
	}
	if in.MySQL {
		return parseMySQL(t, text, in)
	}
	switch t.Kind {
	case Bool:
		b, ok := parseBool(trimSpace(text))
		if !ok {
			return Value{}, errSyntax("22P02", "boolean", text)
		}
		return BoolValue(b), nil
	case Int1, Int2, Int3, Int4, Int8, Year:
		return parseInteger(t, text)
	case Oid, Xid:
		return parseOID(t, text)
	case Float4, Float8:
		return parseFloat(t, text)
	case Numeric:
		d, err := ParseDecimal(text)
		if err != nil {
			if errors.Is(err, ErrDecimalOverflow) {
				return Value{}, sqlerr.New("22003", "value overflows numeric format")
			}
			return Value{}, errSyntax("22P02", "numeric", text)
		}
		if d, err = d.Fit(t); err != nil {
			return Value{}, err
		}
		return DecimalValue(d), nil
	case Other:
		if t.OID == varbitOID {
			return parseBit(t, trimSpace(text), in.Explicit)
		}
		return parseString(t, text, in)
	case Text, Varchar, Char, Name, Unknown, Set, XML, PgNodeTree, AclItem, TSVector, Record, InternalChar, Enum:
		return parseString(t, text, in)
	case Bytes:
		b, err := parseBytea(text)
		if err != nil {
			return Value{}, err
		}
		return BlobValue(b), nil
	case Date:
		d, err := ParseDate(text, in)
		if err != nil {
			return Value{}, err
		}
		return DateValue(d), nil
	case Time:
		us, err := ParseTime(text, in)
		if err != nil {
			return Value{}, err
		}
		return TimeValue(RoundMicros(us, t.fraction())), nil
	case TimeTZ:
		us, off, err := ParseTimeTZ(text, in)
		if err != nil {
			return Value{}, err
		}
		return Value{Class: String, B: AppendTimeTZ(nil, RoundMicros(us, t.fraction()), off)}, nil
	case Timestamp, TimestampTZ:
		ts, err := ParseTimestamp(text, t.Kind == TimestampTZ, in)
		if err != nil {
			return Value{}, err
		}
		return TimestampValue(RoundMicros(ts, t.fraction())), nil
	case Interval:
		v, err := ParseInterval(text, in)
		if err != nil {
			return Value{}, err
		}
		v.Micros = RoundMicros(v.Micros, t.fraction())
		return SpanValue(v), nil
	case Bit:
		return parseBit(t, trimSpace(text), in.Explicit)
	case JSON:
		if err := validJSON(text); err != nil {
			return Value{}, err
		}
		return Value{Class: String, B: text}, nil
	case JSONB:
		b, err := NormalizeJSON(nil, text)
		if err != nil {
			return Value{}, err
		}
		return Value{Class: String, B: b}, nil
	case UUID:
		u, ok := parseUUID(text)
		if !ok {
			return Value{}, errSyntax("22P02", "uuid", text)
		}
		return Value{Class: String, B: appendUUID(nil, u)}, nil
	case Array:
		return parseArrayText(t, text, in)
	case Inet, Cidr:
		return parseInet(text, t.Kind == Cidr)
	case Macaddr:
		m, ok := parseMac(trimSpace(text))
		if !ok {
			return Value{}, errSyntax("22P02", "macaddr", text)
		}
		return Value{Class: String, B: appendMac(nil, m)}, nil
	case Money:
		return parseMoney(text)
	case Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole:
		return parseReg(t, text, in)
	case Int2Vector, OidVector:
		return parseVector(t, text)
	case Point:
		return parsePoint(text)
	case Void:
		return StringValue(""), nil
	}
	return Value{Class: String, B: text}, nil
}

// fraction returns the digits of a second that a time type keeps.
func (t Type) fraction() int {
	if t.Len > 0 {
		return int(t.Len) - 1
	}
	return 6
}

// DecimalValue, DateValue, TimeValue, TimestampValue and SpanValue return the storage form of a value.
func DecimalValue(d Decimal) Value {
	return Value{Class: String, B: d.AppendText(make([]byte, 0, 24))}
}

// DateValue returns the storage form of a date.
func DateValue(days int32) Value {
	return Value{Class: String, B: AppendDate(make([]byte, 0, 10), days)}
}

// TimeValue returns the storage form of a time of day.
func TimeValue(micros int64) Value {
	return Value{Class: String, B: AppendTimeOfDay(make([]byte, 0, 16), micros)}
}

// TimestampValue returns the storage form of a timestamp.
func TimestampValue(ts int64) Value {
	return Value{Class: String, B: AppendTimestamp(make([]byte, 0, 26), ts)}
}

// SpanValue returns the storage form of an interval.
func SpanValue(v Span) Value { return Value{Class: String, B: v.AppendText(make([]byte, 0, 24))} }

// Fit rounds d to the precision and scale of the numeric type t; 22003 when it doesn't fit.
func (d Decimal) Fit(t Type) (Decimal, error) {
	if t.Len <= 0 || d.class == notANumber {
		return d, nil
	}
	overflow := func() error {
		e := sqlerr.New("22003", "numeric field overflow").My(1264, "Out of range value for column")
		if d.IsInf() {
			e.Detail = "A field with precision " + strconv.Itoa(int(t.Len)) + ", scale " + strconv.Itoa(int(t.Scale)) +
				" cannot hold an infinite value."
			return e
		}
		limit := "1"
		if n := t.Len - t.Scale; n != 0 {
			limit = "10^" + strconv.Itoa(int(n))
		}
		e.Detail = "A field with precision " + strconv.Itoa(int(t.Len)) + ", scale " + strconv.Itoa(int(t.Scale)) +
			" must round to an absolute value less than " + limit + "."
		return e
	}
	if d.IsInf() {
		return d, overflow()
	}
	r := d.Round(t.Scale)
	if t.Scale > 0 && r.scale < t.Scale {
		r = r.Round(t.Scale)
	}
	if !r.IsZero() && r.Digits()-int(r.scale) > int(t.Len-t.Scale) {
		return d, overflow()
	}
	return r, nil
}

func parseBool(b []byte) (v, ok bool) {
	if len(b) == 0 {
		return false, false
	}
	word := func(w string, least int) bool {
		return len(b) >= least && len(b) <= len(w) && hasFold([]byte(w), lowerString(b))
	}
	switch lower(b[0]) {
	case 't':
		return true, word("true", 1)
	case 'f':
		return false, word("false", 1)
	case 'y':
		return true, word("yes", 1)
	case 'n':
		return false, word("no", 1)
	case 'o':
		if word("on", 2) {
			return true, true
		}
		return false, word("off", 2)
	case '1':
		return true, len(b) == 1
	case '0':
		return false, len(b) == 1
	}
	return false, false
}

func lowerString(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = lower(c)
	}
	return string(out)
}

// IntRange returns the least and the largest value of an integer type.
func (t Type) IntRange() (low, high int64) {
	switch t.Kind {
	case Int1:
		low, high = math.MinInt8, math.MaxInt8
	case Int2:
		low, high = math.MinInt16, math.MaxInt16
	case Int3:
		low, high = -1<<23, 1<<23-1
	case Int4, Regclass:
		low, high = math.MinInt32, math.MaxInt32
	case Oid, Xid:
		return 0, math.MaxUint32
	case Year:
		return 0, 2155
	default:
		low, high = math.MinInt64, math.MaxInt64
	}
	if t.Unsigned {
		if t.Kind == Int8 {
			return 0, math.MaxInt64
		}
		return 0, high - low
	}
	return low, high
}

func parseInteger(t Type, text []byte) (Value, error) {
	i, syntax, fits := parseInt(trimSpace(text))
	if !syntax {
		return Value{}, errSyntax("22P02", t.PGName(), text)
	}
	if low, high := t.IntRange(); !fits || i < low || i > high {
		return Value{}, sqlerr.New("22003", "value \"%s\" is out of range for type %s", printable(text), t.PGName())
	}
	return IntValue(i), nil
}

func parseOID(t Type, text []byte) (Value, error) {
	i, syntax, fits := parseInt(trimSpace(text))
	if !syntax {
		return Value{}, errSyntax("22P02", t.PGName(), text)
	}
	if i < 0 && i >= math.MinInt32 {
		i = int64(uint32(i))
	}
	if !fits || i < 0 || i > math.MaxUint32 {
		return Value{}, sqlerr.New("22003", "value \"%s\" is out of range for type %s", printable(text), t.PGName())
	}
	return IntValue(i), nil
}

// errNaN is the one value of PostgreSQL's floating types that SQLite can't store.
func errNaN(t Type) error {
	return sqlerr.Unsupported("NaN in type " + t.PGName())
}

func parseFloat(t Type, text []byte) (Value, error) {
	b := trimSpace(text)
	size := 64
	if t.Kind == Float4 {
		size = 32
	}
	if len(b) == 0 || len(b) > 1100 {
		return Value{}, errSyntax("22P02", t.PGName(), text)
	}
	sign, word := 1, b
	if b[0] == '+' || b[0] == '-' {
		if b[0] == '-' {
			sign = -1
		}
		word = b[1:]
	}
	switch {
	case equalFold(word, "nan"):
		return Value{}, errNaN(t)
	case equalFold(word, "inf"), equalFold(word, "infinity"):
		return FloatValue(math.Inf(sign)), nil
	}
	for _, c := range b {
		if !isDigit(c) && c != '.' && c != '-' && c != '+' && c|0x20 != 'e' {
			return Value{}, errSyntax("22P02", t.PGName(), text)
		}
	}
	f, err := strconv.ParseFloat(string(b), size)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return Value{}, errSyntax("22P02", t.PGName(), text)
	}
	if err != nil || f == 0 && nonzeroDigits(b) {
		return Value{}, sqlerr.New("22003", "\"%s\" is out of range for type %s", printable(text), t.PGName())
	}
	return FloatValue(f), nil
}

func nonzeroDigits(b []byte) bool {
	for _, c := range b {
		if c|0x20 == 'e' {
			return false
		}
		if c >= '1' && c <= '9' {
			return true
		}
	}
	return false
}

// CheckText refuses what a PostgreSQL character string can't hold: NUL bytes and invalid UTF-8.
func CheckText(b []byte) error {
	if bytes.IndexByte(b, 0) >= 0 {
		return sqlerr.New("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")
	}
	if utf8.Valid(b) {
		return nil
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return sqlerr.New("22021", "invalid byte sequence for encoding \"UTF8\": 0x%02x", b[i])
		}
		i += n
	}
	return nil
}

func parseString(t Type, text []byte, in *Input) (Value, error) {
	if err := CheckText(text); err != nil {
		return Value{}, err
	}
	switch t.Kind {
	case Varchar, Char:
		b, err := fitString(t, text, in.Explicit)
		if err != nil {
			return Value{}, err
		}
		text = b
	case Name:
		text = cutBytes(text, 63)
	case InternalChar:
		text = cutBytes(text, 1)
	case Enum:
		if in.Labels == nil {
			break
		}
		name, labels := in.Labels(t)
		for _, l := range labels {
			if l == string(text) {
				return Value{Class: String, B: text}, nil
			}
		}
		return Value{}, sqlerr.New("22P02", "invalid input value for enum %s: \"%s\"", name, printable(text)).
			My(1265, "Data truncated")
	}
	return Value{Class: String, B: text}, nil
}

// cutBytes cuts b to at most n bytes without splitting a character.
func cutBytes(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && n < len(b) && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// fitString applies the length of varchar(n) and char(n). Blanks at the end of char(n) aren't stored.
func fitString(t Type, b []byte, cut bool) ([]byte, error) {
	if t.Kind == Char {
		b = bytes.TrimRight(b, " ")
	}
	if t.Len <= 0 || len(b) <= int(t.Len) || utf8.RuneCount(b) <= int(t.Len) {
		return b, nil
	}
	end := 0
	for range t.Len {
		_, n := utf8.DecodeRune(b[end:])
		end += n
	}
	if !cut && len(bytes.TrimRight(b[end:], " ")) > 0 {
		return nil, sqlerr.New("22001", "value too long for type %s", t.PGName()).My(1406, "Data too long for column")
	}
	b = b[:end]
	if t.Kind == Char {
		b = bytes.TrimRight(b, " ")
	}
	return b, nil
}

func parseReg(t Type, text []byte, in *Input) (Value, error) {
	b := trimSpace(text)
	if len(b) == 1 && b[0] == '-' {
		return IntValue(0), nil
	}
	if i, syntax, fits := parseInt(b); syntax && fits && i >= 0 && i <= math.MaxUint32 {
		return IntValue(i), nil
	}
	if in.Name == nil {
		return Value{}, errSyntax("22P02", t.PGName(), text)
	}
	oid, err := in.Name(t.Kind, string(b))
	if err != nil {
		return Value{}, err
	}
	return IntValue(int64(oid)), nil
}

func parseVector(t Type, text []byte) (Value, error) {
	out := make([]byte, 0, len(text))
	for _, f := range bytes.Fields(text) {
		i, syntax, fits := parseInt(f)
		if !syntax {
			return Value{}, errSyntax("22P02", t.PGName(), text)
		}
		if !fits || t.Kind == Int2Vector && (i < math.MinInt16 || i > math.MaxInt16) || i > math.MaxUint32 || i < math.MinInt32 {
			return Value{}, sqlerr.New("22003", "value \"%s\" is out of range for type %s", printable(f), t.PGName())
		}
		if t.Kind == OidVector {
			i = int64(uint32(i))
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = strconv.AppendInt(out, i, 10)
	}
	return Value{Class: String, B: out}, nil
}

func parsePoint(text []byte) (Value, error) {
	x, y, ok := pointOf(text)
	if !ok {
		return Value{}, errSyntax("22P02", "point", text)
	}
	return Value{Class: String, B: appendPoint(nil, x, y, 1)}, nil
}

// pointOf reads (x,y) or x,y.
func pointOf(text []byte) (x, y float64, ok bool) {
	b := trimSpace(text)
	if len(b) > 1 && b[0] == '(' && b[len(b)-1] == ')' {
		b = b[1 : len(b)-1]
	}
	i := bytes.IndexByte(b, ',')
	if i < 0 {
		return 0, 0, false
	}
	vx, err1 := parseFloat(T(Float8), b[:i])
	vy, err2 := parseFloat(T(Float8), b[i+1:])
	return vx.F, vy.F, err1 == nil && err2 == nil
}

func appendPoint(dst []byte, x, y float64, extra int) []byte {
	dst = AppendFloat(append(dst, '('), x, 64, extra)
	return append(AppendFloat(append(dst, ','), y, 64, extra), ')')
}
