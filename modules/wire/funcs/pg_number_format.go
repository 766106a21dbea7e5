package funcs

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// to_char and to_number of numbers. The printing follows the steps of PostgreSQL's formatter, whose blanks have no
// simpler description.

func init() {
	const text, num = types.Text, types.Numeric
	define(pg, pgFn("to_number", num, "bop_to_number($1, $2)", text, text))
	for _, k := range []types.Kind{types.Int4, types.Int8, num} {
		define(pg, pgFn("to_char", text, "bop_to_char_num($1, $2)", k, text))
	}
	for _, k := range []types.Kind{types.Float4, types.Float8} {
		define(pg, pgFn("to_char", text, "bop_to_char_float($1, $2)", k, text))
	}
	implement(func(r *Registrar) {
		r.Pure("bop_to_char_num", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			d, err := types.ParseDecimal([]byte(pgStr(a[0])))
			if err != nil {
				return types.Value{}, err
			}
			return pgFormatNumber(pgStr(a[1]), func(f *pgNumberFormat) (string, int32) {
				if f.multi > 0 {
					p, err := types.DecimalFromInt(10).PowInt(int64(f.multi), 0)
					if err == nil {
						d = d.Mul(p)
					}
				}
				return d.Round(int32(f.post)).String(), int32(f.post)
			}, d)
		}))
		r.Pure("bop_to_char_float", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			v := floatValue(a[0])
			return pgFormatNumber(pgStr(a[1]), func(f *pgNumberFormat) (string, int32) {
				if f.multi > 0 {
					v *= math.Pow(10, float64(f.multi))
				}
				switch {
				case math.IsNaN(v):
					return "NaN", 0
				case math.IsInf(v, 0):
					return string(types.AppendFloat(nil, v, 64, 1)), 0
				}
				whole := len(strconv.FormatFloat(math.Abs(v), 'f', 0, 64))
				if whole >= 15 {
					f.post = 0
				} else if whole+f.post > 15 {
					f.post = 15 - whole
				}
				return strconv.FormatFloat(v, 'f', f.post, 64), int32(f.post)
			}, types.DecimalFromFloat(v, 15))
		}))
		r.Pure("bop_to_number", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			return pgToNumber(pgStr(a[0]), pgStr(a[1]))
		}))
	})
}

// pgNumberFormat is a template of numbers.
type pgNumberFormat struct {
	nodes                                                  []pgNode
	pre, post, multi                                       int
	zeroStart, zeroEnd, signAt                             int
	sign                                                   int8 // of S: 1 before, 2 behind
	zero, decimal, fill, bracket, minus, plus, roman, eeee bool
	v                                                      bool
}

func pgReadNumberFormat(template string) (*pgNumberFormat, error) {
	f := &pgNumberFormat{nodes: pgTemplate(template, true)}
	bad := func(format string, args ...any) error { return sqlerr.New("42601", format, args...) }
	for _, n := range f.nodes {
		if n.key == "" {
			continue
		}
		if f.eeee && n.key != "EEEE" {
			return nil, bad("\"EEEE\" must be the last pattern used")
		}
		switch n.key {
		case "9", "0":
			if f.bracket {
				return nil, bad("\"%s\" must be ahead of \"PR\"", n.key)
			}
			if n.key == "9" && f.v {
				f.multi++
				continue
			}
			if n.key == "0" && !f.zero && !f.decimal {
				f.zero, f.zeroStart = true, f.pre+1
			}
			if f.decimal {
				f.post++
			} else {
				f.pre++
			}
			if n.key == "0" {
				f.zeroEnd = f.pre + f.post
			}
		case ".", "D":
			if f.decimal {
				return nil, bad("multiple decimal points")
			}
			if f.v {
				return nil, bad("cannot use \"V\" and decimal point together")
			}
			f.decimal = true
		case "FM":
			f.fill = true
		case "S":
			switch {
			case f.sign != 0:
				return nil, bad("cannot use \"S\" twice")
			case f.plus || f.minus || f.bracket:
				return nil, bad("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together")
			case !f.decimal:
				f.sign, f.signAt = 1, f.pre
			default:
				f.sign = 2
			}
		case "MI", "PL", "SG":
			if f.sign != 0 {
				return nil, bad("cannot use \"S\" and \"%s\" together", n.key)
			}
			f.minus = f.minus || n.key != "PL"
			f.plus = f.plus || n.key != "MI"
		case "PR":
			if f.sign != 0 || f.plus || f.minus {
				return nil, bad("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together")
			}
			f.bracket = true
		case "RN":
			f.roman = true
		case "V":
			if f.decimal {
				return nil, bad("cannot use \"V\" and decimal point together")
			}
			f.v = true
		case "EEEE":
			f.eeee = true
		}
	}
	return f, nil
}

// pgFormatNumber prints a number; digits gives its rounded digits for the template.
func pgFormatNumber(template string, digits func(*pgNumberFormat) (string, int32), d types.Decimal) (types.Value, error) {
	if template == "" {
		return types.Value{}, nil
	}
	f, err := pgReadNumberFormat(template)
	if err != nil {
		return types.Value{}, err
	}
	p := &pgNumberPrinter{pgNumberFormat: f}
	switch {
	case f.roman:
		p.number = pgRomanNumber(d)
	case f.eeee:
		return pgText(pgScientific(d, f.post)), nil
	default:
		s, _ := digits(f)
		f.pre += f.multi
		p.sign = '+'
		if strings.HasPrefix(s, "-") {
			p.sign, s = '-', s[1:]
		}
		whole := strings.IndexByte(s, '.')
		if whole < 0 {
			whole = len(s)
			if f.post > 0 && s[0] >= '0' && s[0] <= '9' {
				s += "." + strings.Repeat("0", f.post)
			}
		}
		switch {
		case whole < f.pre:
			p.spaces = f.pre - whole
		case whole > f.pre:
			s = strings.Repeat("#", f.pre) + "." + strings.Repeat("#", f.post)
		}
		p.number = s
	}
	return pgText(p.print()), nil
}

func pgRomanNumber(d types.Decimal) string {
	i, ok := d.Int64()
	if !ok || i < 1 || i > 3999 {
		return strings.Repeat("#", 15)
	}
	var b strings.Builder
	for _, r := range []struct {
		n int64
		s string
	}{{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"}, {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}} {
		for ; i >= r.n; i -= r.n {
			b.WriteString(r.s)
		}
	}
	return b.String()
}

// pgScientific prints d.ddde+xx with a blank for the sign.
func pgScientific(d types.Decimal, post int) string {
	if d.IsNaN() || d.IsInf() {
		return " #." + strings.Repeat("#", post) + "####"
	}
	s := d.Abs().String()
	whole, frac, _ := strings.Cut(s, ".")
	all := strings.TrimLeft(whole+frac, "0")
	exponent := 0
	if all != "" {
		exponent = len(whole) - 1 - (len(whole+frac) - len(all))
		scale := int32(post) - int32(exponent)
		if r := d.Abs().Round(scale); scale >= 0 || true {
			// Rounding may carry into another digit.
			w, f, _ := strings.Cut(r.String(), ".")
			digits := strings.TrimLeft(w+f, "0")
			if digits != "" {
				exponent = len(w) - 1 - (len(w+f) - len(digits))
				all = digits
			}
		}
	}
	for len(all) < post+1 {
		all += "0"
	}
	sign := " "
	if d.Sign() < 0 {
		sign = "-"
	}
	out := sign + all[:1]
	if post > 0 {
		out += "." + all[1:post+1]
	}
	return out + fmt.Sprintf("e%+03d", exponent)
}

// pgNumberPrinter walks over a template and a number's digits.
type pgNumberPrinter struct {
	*pgNumberFormat
	number string
	sign   byte
	spaces int // blanks before the first digit
	at     int // in number
	curr   int // patterns for digits passed
	count  int
	signed bool // the sign is written
	inside bool // a digit is written
	last   int  // the last digit that FM keeps, -1 for all
	out    []byte
}

func (p *pgNumberPrinter) char() byte {
	if p.at < len(p.number) {
		return p.number[p.at]
	}
	return 0
}

func (p *pgNumberPrinter) print() string {
	zeroStart := p.zeroStart
	if zeroStart > 0 {
		zeroStart--
	}
	p.zeroStart = zeroStart
	p.last = -1
	if p.roman {
		*p.pgNumberFormat = pgNumberFormat{nodes: p.nodes, fill: p.fill, roman: true}
		p.spaces, p.sign = 0, 0
	}
	if p.plus || p.minus {
		p.signed = !p.plus || p.minus
	} else {
		if p.sign != '-' && p.fill {
			p.bracket = false
		}
		p.signed = p.sign == '+' && p.fill && p.pgNumberFormat.sign == 0
		if p.pgNumberFormat.sign == 1 && p.pre == p.signAt {
			p.pgNumberFormat.sign = 2
		}
	}
	p.count = p.post + p.pre - 1
	if p.fill && p.decimal {
		if dot := strings.IndexByte(p.number, '.'); dot >= 0 {
			p.last = dot
			for i := dot + 1; i < len(p.number); i++ {
				if p.number[i] != '0' {
					p.last = i
				}
			}
			if p.zeroEnd > p.spaces {
				p.last = max(p.last, min(len(p.number)-1, p.zeroEnd-p.spaces))
			}
		}
	}
	if !p.signed && p.spaces == 0 {
		p.count++
	}
	for _, n := range p.nodes {
		switch n.key {
		case "":
			p.out = append(p.out, n.text...)
		case "9", "0", ".", "D":
			p.digit(n.key)
		case ",", "G":
			switch {
			case p.inside:
				p.out = append(p.out, ',')
			case !p.fill:
				p.out = append(p.out, ' ')
			}
		case "L":
			p.out = append(p.out, ' ')
		case "RN":
			s := p.number
			if n.written == "rn" {
				s = strings.ToLower(s)
			}
			if !p.fill {
				s = fmt.Sprintf("%15s", s)
			}
			p.out = append(p.out, s...)
		case "TH":
			if !p.roman && p.sign != '-' && !p.decimal && !strings.HasPrefix(p.number, "#") {
				p.out = append(p.out, pgOrdinal(p.number, n.written == "TH")...)
			}
		case "MI":
			if p.sign == '-' {
				p.out = append(p.out, '-')
			} else if !p.fill {
				p.out = append(p.out, ' ')
			}
		case "PL":
			if p.sign == '+' {
				p.out = append(p.out, '+')
			} else if !p.fill {
				p.out = append(p.out, ' ')
			}
		case "SG":
			p.out = append(p.out, p.sign)
		}
	}
	return string(p.out)
}

// blankZero says that the digit is the 0 before the point that 9.9 doesn't show.
func (p *pgNumberPrinter) blankZero() bool {
	return !p.zero && p.at == 0 && p.char() == '0' && p.post != 0
}

func (p *pgNumberPrinter) digit(key string) {
	if p.roman {
		return
	}
	p.inside = false
	lastPoint := p.last >= 0 && p.number[p.last] == '.'
	if !p.signed && (p.curr >= p.spaces || p.zero && p.zeroStart == p.curr) && (!p.blankZero() || lastPoint) {
		switch {
		case p.pgNumberFormat.sign == 1:
			p.out = append(p.out, p.sign)
			p.signed = true
		case p.pgNumberFormat.sign == 2:
		case p.bracket:
			c := byte('<')
			if p.sign == '+' {
				c = ' '
			}
			p.out = append(p.out, c)
			p.signed = true
		case p.sign == '+':
			if !p.fill {
				p.out = append(p.out, ' ')
			}
			p.signed = true
		case p.sign == '-':
			p.out = append(p.out, '-')
			p.signed = true
		}
	}
	switch {
	case p.curr < p.spaces && (p.zeroStart > p.curr || !p.zero):
		if !p.fill {
			p.out = append(p.out, ' ')
		}
	case p.zero && p.curr < p.spaces && p.zeroStart <= p.curr:
		p.out = append(p.out, '0')
		p.inside = true
	default:
		switch {
		case p.char() == '.':
			if !lastPoint || p.fill {
				p.out = append(p.out, '.')
			}
		case p.last >= 0 && p.at > p.last && key != "0":
		case p.blankZero():
			if !p.fill {
				p.out = append(p.out, ' ')
			} else if lastPoint {
				p.out = append(p.out, '0')
			}
		case p.char() != 0:
			p.out = append(p.out, p.char())
			p.inside = true
		}
		if p.at < len(p.number) {
			p.at++
		}
	}
	end := p.count
	if p.spaces > 0 {
		end++
	}
	if p.decimal {
		end++
	}
	if p.last >= 0 && p.last == p.at {
		end = p.curr
	}
	if p.curr+1 == end {
		switch {
		case p.signed && p.bracket:
			c := byte('>')
			if p.sign == '+' {
				c = ' '
			}
			p.out = append(p.out, c)
		case p.pgNumberFormat.sign == 2:
			p.out = append(p.out, p.sign)
		}
	}
	p.curr++
}

// pgToNumber reads the digits that a template's patterns stand for.
func pgToNumber(s, template string) (types.Value, error) {
	f, err := pgReadNumberFormat(template)
	if err != nil {
		return types.Value{}, err
	}
	if f.roman {
		return types.Value{}, sqlerr.New("0A000", "\"RN\" not supported for input")
	}
	if f.eeee {
		return types.Value{}, sqlerr.New("0A000", "\"EEEE\" not supported for input")
	}
	digits := []byte{}
	point, negative := false, false
	whole, frac := 0, 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			if point && frac < f.post {
				frac++
				digits = append(digits, c)
			} else if !point && whole < f.pre+f.multi {
				whole++
				digits = append(digits, c)
			}
		case c == '.' && f.decimal && !point:
			point = true
			digits = append(digits, c)
		case c == '.' && f.v:
		case c == '-', c == '<':
			negative = true
		}
	}
	if len(digits) == 0 || string(digits) == "." {
		return types.Value{}, sqlerr.New("22P02", "invalid input syntax for type numeric: \"%s\"", " ")
	}
	if negative {
		digits = append([]byte{'-'}, digits...)
	}
	d, err := types.ParseDecimal(digits)
	if err != nil {
		return types.Value{}, err
	}
	if f.multi > 0 {
		p, err := types.DecimalFromInt(10).PowInt(int64(f.multi), 0)
		if err != nil {
			return types.Value{}, err
		}
		if d, err = d.Div(p); err != nil {
			return types.Value{}, arithmeticError(err)
		}
	}
	return types.DecimalValue(d), nil
}
