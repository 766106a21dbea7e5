package types

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"time"
)

// everyKind are types of all kinds that PostgreSQL clients see.
func everyKind() []Type {
	var ts []Type
	for k := Unknown; k <= Other; k++ {
		if k == Array {
			continue
		}
		ts = append(ts, T(k))
		switch k {
		case Void, Record, PgNodeTree, AclItem:
		default:
			ts = append(ts, ArrayOf(k))
		}
	}
	return append(ts, Type{Kind: Numeric, Len: 6, Scale: 2}, Type{Kind: Varchar, Len: 4}, Type{Kind: Char, Len: 4}, Type{Kind: Bit, Len: 5},
		Type{Kind: Bit, Len: 70}, Type{Kind: Timestamp, Len: 1}, Type{Kind: Other, OID: 1562})
}

var seeds = []string{
	"", "t", "0", "-1", "1.50", "1e10", "NaN", "infinity", "2024-02-29", "2024-02-29 10:11:12.5+02", "0044-03-15 BC", "10:11:12", "P1Y2M3DT4H",
	"1 day -02:03", "{1,2,NULL}", `{"a b","c\"d",{}}`, `{"a":[1,2,{"b":null}]}`, `\x00ff`, `a\\b\001`, "10.0.0.1/8", "::1", "08:00:2b:01:02:03",
	"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "$1,234.56", "0101", "(1,2)", "99999999999999999999999999", "12345-06-07 08:09:10", "J2451187",
}

// What was read prints to text that reads back as the same stored value, and so does the binary form.
func FuzzTextRoundTrip(f *testing.F) {
	for i := range everyKind() {
		for _, s := range seeds {
			f.Add(i, []byte(s))
		}
	}
	ts := everyKind()
	zone := time.FixedZone("test", 2*3600)
	f.Fuzz(func(t *testing.T, i int, text []byte) {
		if i < 0 || i >= len(ts) || len(text) > 1000 {
			return
		}
		typ := ts[i]
		in := &Input{Location: zone}
		format := NewPGFormat()
		format.Location = zone
		v, err := ParseText(typ, text, in)
		if err != nil {
			return
		}
		printed := AppendPGText(nil, typ, v, format)
		back, err := ParseText(typ, printed, in)
		if err != nil {
			t.Fatalf("%s: %q printed as %q: %v", typ.PGName(), text, printed, err)
		}
		if !sameValue(v, back) {
			t.Fatalf("%s: %q was %s, printed as %q, came back as %s", typ.PGName(), text, show(v), printed, show(back))
		}
		b, err := AppendPGBinary(nil, typ, v, format)
		if err != nil {
			if typ.HasPGBinary() {
				t.Fatalf("%s: %q: %v", typ.PGName(), text, err)
			}
			return
		}
		if back, err = DecodePGBinary(typ, b); err != nil {
			t.Fatalf("%s: %q to binary %x and back: %v", typ.PGName(), text, b, err)
		}
		if !sameValue(v, back) {
			t.Fatalf("%s: %q was %s, came back from binary as %s", typ.PGName(), text, show(v), show(back))
		}
	})
}

func sameValue(a, b Value) bool {
	return a.Class == b.Class && a.I == b.I && (a.F == b.F || math.IsNaN(a.F) && math.IsNaN(b.F)) && bytes.Equal(a.B, b.B)
}

func show(v Value) string { return string(AppendPGText(nil, T(Unknown), v, nil)) }

// Bad bytes are errors, and what is accepted prints.
func FuzzPGBinary(f *testing.F) {
	for i := range everyKind() {
		f.Add(i, []byte{})
		f.Add(i, []byte{1})
		f.Add(i, make([]byte, 8))
		f.Add(i, []byte("\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x17\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x07\xff\xff\xff\xff"))
		f.Add(i, []byte("\x00\x02\x00\x00\x40\x00\x00\x03\x04\xd2\x16\x2e"))
	}
	ts := everyKind()
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		if i < 0 || i >= len(ts) {
			return
		}
		v, err := DecodePGBinary(ts[i], b)
		if err != nil {
			return
		}
		AppendPGText(nil, ts[i], v, nil)
		AppendMySQLText(nil, ts[i], v, nil)
		if again, err := AppendPGBinary(nil, ts[i], v, nil); err == nil {
			back, err := DecodePGBinary(ts[i], again)
			if err != nil || !sameValue(back, v) {
				t.Fatalf("%s: %x became %s, then %x", ts[i].PGName(), b, show(v), again)
			}
		}
	})
}

func FuzzMySQLText(f *testing.F) {
	for i := range everyKind() {
		for _, s := range seeds {
			f.Add(i, []byte(s), true)
		}
	}
	ts := everyKind()
	f.Fuzz(func(t *testing.T, i int, text []byte, strict bool) {
		if i < 0 || i >= len(ts) || len(text) > 1000 {
			return
		}
		v, err := ParseText(ts[i], text, &Input{MySQL: true, Strict: strict, ZeroDates: !strict})
		if err != nil {
			return
		}
		AppendMySQLText(nil, ts[i], v, nil)
		if _, err := AppendMySQLBinary(nil, ts[i], v, nil); err != nil {
			t.Fatalf("%s: %q: %v", ts[i].MySQLName(), text, err)
		}
	})
}

func FuzzMySQLBinary(f *testing.F) {
	for code := range 256 {
		f.Add(byte(code), false, []byte{4, 0xe8, 7, 2, 29})
		f.Add(byte(code), true, []byte{12, 1, 0, 0, 0, 0, 10, 11, 12, 1, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, code byte, unsigned bool, b []byte) {
		v, typ, n, err := DecodeMySQLBinary(code, unsigned, b)
		if err != nil {
			return
		}
		if n > len(b) {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		for _, to := range []Type{T(Int8), T(Float8), T(Numeric), T(Text), T(Date), T(Timestamp), T(Time), T(Bytes), T(JSONB), {Kind: Bit, Len: 70}} {
			Convert(to, typ, v, &Input{MySQL: true})
		}
	})
}

func TestMySQLBinaryRoundTrips(t *testing.T) {
	for _, c := range []struct {
		t    Type
		text string
		hex  string
	}{
		{T(Int1), "-5", "fb"}, {T(Int2), "-5", "fbff"}, {T(Int3), "-5", "fbffffff"}, {T(Int4), "-5", "fbffffff"}, {T(Int8), "-5", "fbffffffffffffff"},
		{T(Year), "2024", "e807"}, {T(Float8), "1.5", "000000000000f83f"}, {T(Float4), "1.5", "0000c03f"},
		{Type{Kind: Numeric, Len: 5, Scale: 2}, "1.50", "04312e3530"}, {T(Varchar), "ab", "026162"},
		{T(Date), "2024-02-29", "04e807021d"}, {Type{Kind: Timestamp, Len: 7}, "2024-02-29 10:11:12.5", "0be807021d0a0b0c20a10700"},
		{Type{Kind: Timestamp, Len: 1}, "2024-02-29 10:11:12", "07e807021d0a0b0c"}, {Type{Kind: Timestamp, Len: 1}, "2024-02-29", "04e807021d"},
		{Type{Kind: Time, Len: 1}, "-34:11:12", "0801010000000a0b0c"}, {Type{Kind: Time, Len: 7}, "00:00:00.5", "0c0000000000000000" + "20a10700"},
		{Type{Kind: Bit, Len: 9}, "\x01\x02", "020102"},
	} {
		t.Run(c.t.MySQLName()+" "+c.text, func(t *testing.T) {
			v, err := ParseText(c.t, []byte(c.text), &Input{MySQL: true, Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			b, err := AppendMySQLBinary(nil, c.t, v, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(b); got != c.hex {
				t.Fatalf("got %s, want %s", got, c.hex)
			}
			back, from, n, err := DecodeMySQLBinary(c.t.MySQL().Type, false, b)
			if err != nil || n != len(b) {
				t.Fatalf("took %d of %d: %v", n, len(b), err)
			}
			if back, err = Convert(c.t, from, back, nil); err != nil || !sameValue(back, v) {
				t.Fatalf("came back as %s: %v", show(back), err)
			}
		})
	}
}

func TestCellsHaveTheirLength(t *testing.T) {
	for _, n := range []int{0, 1, 250, 251, 300, 65535, 65536, 1 << 17} {
		v := Value{Class: String, B: bytes.Repeat([]byte{'x'}, n)}
		b := AppendMySQLTextCell([]byte("head"), T(Text), v, nil)
		size, k := lengthEncoded(b[4:])
		if int(size) != n || !bytes.Equal(b[4+k:], v.B) {
			t.Errorf("%d bytes came out as %d in %d", n, size, len(b))
		}
	}
	if b := AppendMySQLTextCell(nil, T(Text), Value{}, nil); !bytes.Equal(b, []byte{0xfb}) {
		t.Errorf("NULL is %x", b)
	}
}

func TestDatesSortAsTheyAreStored(t *testing.T) {
	var last []byte
	for _, s := range []string{
		"-infinity", "4713-01-01 BC", "0044-03-15 BC", "0001-12-31 BC", "0001-01-01", "0999-01-01", "2024-02-29", "9999-12-31", "10000-01-01", "294276-12-31", "infinity",
	} {
		for _, k := range []Kind{Timestamp} {
			v, err := ParseText(T(k), []byte(s), nil)
			if err != nil {
				t.Fatal(s, err)
			}
			if bytes.Compare(last, v.B) >= 0 {
				t.Errorf("%s (%s) sorts before %s", s, v.B, last)
			}
			last = v.B
		}
	}
}

func TestDaysAndDatesAgree(t *testing.T) {
	for days := minDays; days < 3_000_000; days += 97 {
		y, m, d := CivilFromDays(days)
		if back := DaysFromCivil(y, m, d); back != days {
			t.Fatalf("day %d is %d-%d-%d, which is day %d", days, y, m, d, back)
		}
	}
	if d := DaysFromCivil(1970, 1, 1); d != -unixEpochDays {
		t.Errorf("1970-01-01 is day %d", d)
	}
	if w := Weekday(0); w != 6 {
		t.Errorf("2000-01-01 was a Saturday, not %d", w)
	}
}

func TestTypesComeBackFromTheirOIDs(t *testing.T) {
	for _, typ := range []Type{
		T(Bool), T(Int2), T(Int8), {Kind: Varchar, Len: 20}, {Kind: Numeric, Len: 10, Scale: 2}, {Kind: Numeric, Len: 3, Scale: -2}, {Kind: Timestamp, Len: 4},
		{Kind: Char, Len: 3}, {Kind: Bit, Len: 8}, {Kind: Interval, Len: 3}, ArrayOf(Text), {Kind: Array, Elem: Varchar, Len: 5}, T(UUID), T(Regclass),
	} {
		back, ok := FromOID(typ.PGOID(), typ.Typmod())
		if !ok || back != typ {
			t.Errorf("%s came back as %+v", typ.PGName(), back)
		}
		if c := FromCode(typ.Code()); c != typ {
			t.Errorf("%s came back from its code as %+v", typ.PGName(), c)
		}
	}
	for name, want := range map[string]string{
		"int4": "integer", "varchar": "character varying", "_int4": "integer[]", "text[]": "text[]", "double precision": "double precision",
		"timestamptz": "timestamp with time zone", "bool": "boolean", "int": "integer", "decimal": "numeric",
	} {
		typ, ok := PGTypeByName(name)
		if !ok || typ.PGName() != want {
			t.Errorf("%s is %s", name, typ.PGName())
		}
	}
	for _, c := range []struct {
		t    Type
		want string
	}{
		{Type{Kind: Numeric, Len: 10, Scale: 2}, "numeric(10,2)"}, {Type{Kind: Timestamp, Len: 4}, "timestamp(3) without time zone"},
		{Type{Kind: Varchar, Len: 9}, "character varying(9)"}, {Type{Kind: Interval, Len: 4}, "interval(3)"}, {Type{Kind: Bit, Len: 3}, "bit(3)"},
	} {
		if got := c.t.PGName(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestZonesAreFoundInAnyCase(t *testing.T) {
	for _, name := range []string{"utc", "Europe/Berlin", "europe/berlin", "America/Port_of_Spain", "america/port_of_spain", "EST", "pst", "+02:00", "-7", "UTC+3", "<+03>-03"} {
		if _, ok := LoadZone(name); !ok {
			t.Errorf("%s wasn't found", name)
		}
	}
	for _, name := range []string{"", "Nowhere", "../etc/passwd", "local", "+99"} {
		if _, ok := LoadZone(name); ok {
			t.Errorf("%q was found", name)
		}
	}
	if loc, _ := LoadZone("UTC+3"); time.Unix(0, 0).In(loc).Hour() != 21 {
		t.Error("POSIX zones count west of Greenwich")
	}
}

func BenchmarkAppendPGText(b *testing.B) {
	format := NewPGFormat()
	for _, c := range []struct{ name, text string }{{"int4", "123456"}, {"timestamptz", "2024-02-29 10:11:12.5+00"}, {"numeric", "1234.50"}, {"text", "hello"}, {"float8", "0.1"}} {
		typ := typeOf(b, c.name)
		v, err := ParseText(typ, []byte(c.text), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendPGText(buf[:0], typ, v, format)
			}
		})
		b.Run(c.name+" binary", func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = AppendPGBinary(buf[:0], typ, v, format)
			}
		})
		b.Run(c.name+" parsed", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParseText(typ, []byte(c.text), nil)
			}
		})
	}
}
