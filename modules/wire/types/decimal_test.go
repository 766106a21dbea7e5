package types

import (
	"math/big"
	"strings"
	"testing"
)

func decimal(t testing.TB, s string) Decimal {
	t.Helper()
	d, err := ParseDecimal([]byte(s))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return d
}

func TestDecimalKeepsItsDigits(t *testing.T) {
	for _, s := range []string{
		"0", "0.00", "1.10", "-1.10", "999999999999999999", "9999999999999999999", "18446744073709551615", "18446744073709551616",
		"123456789012345678901234567890.000000000000000000001", "-0.000000000000000000000000000001",
	} {
		if got := decimal(t, s).String(); got != s {
			t.Errorf("%s came back as %s", s, got)
		}
	}
	for in, want := range map[string]string{"-0": "0", "-0.00": "0.00", "1e3": "1000", "1.5e1": "15", "1.25e1": "12.5", ".5": "0.5", "5.": "5", "1e-3": "0.001"} {
		if got := decimal(t, in).String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestDecimalRoundsHalfAwayFromZero(t *testing.T) {
	for _, c := range []struct {
		in    string
		scale int32
		want  string
	}{
		{"2.5", 0, "3"}, {"-2.5", 0, "-3"}, {"2.4", 0, "2"}, {"0.5", 0, "1"}, {"0.05", 1, "0.1"}, {"0.04", 0, "0"},
		{"1.005", 2, "1.01"}, {"15", -1, "20"}, {"14", -1, "10"}, {"5", -1, "10"}, {"4", -2, "0"}, {"50", -2, "100"}, {"1", 3, "1.000"},
		{"99999999999999999999.5", 0, "100000000000000000000"}, {"123456789012345678901234567890", -20, "123456789000000000000000000000"[:10] + "00000000000000000000"},
		{"0.00000000000000000000000000005", 28, "0.0000000000000000000000000001"},
	} {
		if got := decimal(t, c.in).Round(c.scale).String(); got != c.want {
			t.Errorf("round(%s, %d) = %s, want %s", c.in, c.scale, got, c.want)
		}
	}
	for _, c := range [][3]string{{"1.5", "1", "2"}, {"-1.5", "-2", "-1"}, {"-0.5", "-1", "0"}, {"3", "3", "3"}, {"0.00000000000000000000001", "0", "1"}} {
		d := decimal(t, c[0])
		if d.Floor().String() != c[1] || d.Ceil().String() != c[2] {
			t.Errorf("%s: floor %s, ceil %s, want %s and %s", c[0], d.Floor(), d.Ceil(), c[1], c[2])
		}
	}
}

// rat is a decimal's exact value.
func rat(d Decimal) *big.Rat {
	r, _ := new(big.Rat).SetString(d.String())
	return r
}

// plain reports whether s is a number that big.Rat reads in reasonable time.
func plain(s string) bool {
	return len(s) < 60 && s != "" && strings.IndexFunc(s, func(r rune) bool { return r != '-' && r != '.' && (r < '0' || r > '9') }) < 0
}

func FuzzDecimalArithmetic(f *testing.F) {
	for _, p := range [][2]string{
		{"1.10", "2.205"}, {"-99999999999999999999", "0.1"}, {"18446744073709551615", "1"}, {"-18446744073709551616", "18446744073709551615"},
		{"0", "5"}, {"0.0000000000000000001", "-3"}, {"123456789.123456789", "987654321987654321.1"},
	} {
		f.Add(p[0], p[1])
	}
	f.Fuzz(func(t *testing.T, s1, s2 string) {
		if !plain(s1) || !plain(s2) {
			return
		}
		a, err1 := ParseDecimal([]byte(s1))
		b, err2 := ParseDecimal([]byte(s2))
		if err1 != nil || err2 != nil {
			return
		}
		ra, rb := rat(a), rat(b)
		if a.Add(b).Cmp(b.Add(a)) != 0 || rat(a.Add(b)).Cmp(new(big.Rat).Add(ra, rb)) != 0 {
			t.Fatalf("%s + %s = %s", a, b, a.Add(b))
		}
		if rat(a.Sub(b)).Cmp(new(big.Rat).Sub(ra, rb)) != 0 {
			t.Fatalf("%s - %s = %s", a, b, a.Sub(b))
		}
		if rat(a.Mul(b)).Cmp(new(big.Rat).Mul(ra, rb)) != 0 {
			t.Fatalf("%s * %s = %s", a, b, a.Mul(b))
		}
		if a.Cmp(b) != ra.Cmp(rb) {
			t.Fatalf("%s <=> %s = %d", a, b, a.Cmp(b))
		}
		if b.IsZero() {
			if _, err := a.Div(b); err != ErrDivisionByZero {
				t.Fatalf("%s / %s: %v", a, b, err)
			}
			return
		}
		q, err := a.Div(b)
		if err != nil {
			t.Fatal(err)
		}
		// The quotient is off by at most half of its last digit.
		off := new(big.Rat).Sub(new(big.Rat).Quo(ra, rb), rat(q))
		half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), bigPow10(q.Scale())))
		if off.Abs(off).Cmp(half) > 0 {
			t.Fatalf("%s / %s = %s", a, b, q)
		}
		r, err := a.Mod(b)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := a.QuoTrunc(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if whole.Mul(b).Add(r).Cmp(a) != 0 {
			t.Fatalf("%s %% %s = %s", a, b, r)
		}
	})
}

func BenchmarkDecimalAdd(b *testing.B) {
	x, y := decimal(b, "12345.67"), decimal(b, "0.335")
	b.ReportAllocs()
	for b.Loop() {
		x.Add(y)
	}
}
