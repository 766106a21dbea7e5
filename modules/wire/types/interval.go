package types

import (
	"math"
	"strconv"
)

// Span is PostgreSQL's interval: months, days and microseconds are kept apart.
type Span struct {
	Months, Days int32
	Micros       int64
}

// Neg returns -v.
func (v Span) Neg() Span { return Span{-v.Months, -v.Days, -v.Micros} }

// Cmp compares with months of 30 days and days of 24 hours, as PostgreSQL does.
func (v Span) Cmp(w Span) int {
	d1, m1 := v.span()
	d2, m2 := w.span()
	switch {
	case d1 < d2, d1 == d2 && m1 < m2:
		return -1
	case d1 == d2 && m1 == m2:
		return 0
	}
	return 1
}

// span returns days and the microseconds within a day.
func (v Span) span() (days, micros int64) {
	days = int64(v.Months)*30 + int64(v.Days)
	d := floorDiv64(v.Micros, MicrosPerDay)
	return days + d, v.Micros - d*MicrosPerDay
}

// AppendText appends the storage form, P14M3DT4.5S: zero parts are left out, and all zero is PT0S.
func (v Span) AppendText(dst []byte) []byte {
	dst = append(dst, 'P')
	if v.Months != 0 {
		dst = append(strconv.AppendInt(dst, int64(v.Months), 10), 'M')
	}
	if v.Days != 0 {
		dst = append(strconv.AppendInt(dst, int64(v.Days), 10), 'D')
	}
	if v.Micros != 0 || v.Months == 0 && v.Days == 0 {
		dst = append(appendSeconds(append(dst, 'T'), v.Micros), 'S')
	}
	return dst
}

func (v Span) String() string { return string(v.AppendText(nil)) }

// appendSeconds appends microseconds as seconds with a fraction.
func appendSeconds(dst []byte, micros int64) []byte {
	u := uint64(micros)
	if micros < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = strconv.AppendUint(dst, u/MicrosPerSecond, 10)
	if us := u % MicrosPerSecond; us != 0 {
		dst = trimFraction(appendWidth(append(dst, '.'), int(us), 6), len(dst))
	}
	return dst
}

// ParseStoredInterval reads the storage form.
func ParseStoredInterval(b []byte) (v Span, ok bool) {
	if len(b) < 2 || b[0] != 'P' {
		return v, false
	}
	b = b[1:]
	inTime := false
	for len(b) > 0 {
		if b[0] == 'T' && !inTime {
			inTime = true
			b = b[1:]
			continue
		}
		i := 0
		if b[0] == '-' {
			i = 1
		}
		start := i
		var n int64
		for ; i < len(b) && isDigit(b[i]); i++ {
			if n > math.MaxInt64/100 {
				return v, false
			}
			n = n*10 + int64(b[i]-'0')
		}
		if i == start || i == len(b) {
			return v, false
		}
		if inTime {
			if n > math.MaxInt64/MicrosPerSecond {
				return v, false
			}
			micros := n * MicrosPerSecond
			if b[i] == '.' {
				us, k := fraction(b[i+1:])
				micros += us
				i += 1 + k
			}
			if i+1 != len(b) || b[i] != 'S' {
				return v, false
			}
			if b[0] == '-' {
				micros = -micros
			}
			v.Micros = micros
			return v, true
		}
		if b[0] == '-' {
			n = -n
		}
		if n < math.MinInt32 || n > math.MaxInt32 {
			return v, false
		}
		switch b[i] {
		case 'M':
			v.Months = int32(n)
		case 'D':
			v.Days = int32(n)
		default:
			return v, false
		}
		b = b[i+1:]
	}
	return v, !inTime
}
