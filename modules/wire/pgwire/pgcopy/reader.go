package pgcopy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Field is one value of a row.
type Field struct {
	Null bool
	B    []byte // valid until the next row
}

// Reader reads rows.
type Reader struct {
	o      *Options
	r      *bufio.Reader
	line   int64 // at which the row that was read last begins; rows in binary data
	passed int64 // line ends that were read
	row    []Field
	raw    []byte // the row as it came
	value  []byte // unescaped values, one after the other
	eol    eol
	begun  bool
	ended  bool
}

// eol is how lines end.
type eol uint8

const (
	unknown eol = iota
	newline
	carriage
	both
)

// NewReader returns a reader of the data in r.
func NewReader(r io.Reader, o *Options) *Reader {
	if o.MaxRow <= 0 {
		copied := *o
		copied.MaxRow = 64 << 20
		o = &copied
	}
	return &Reader{o: o, r: bufio.NewReaderSize(r, 32<<10)}
}

// Line is the number of the line at which the last row began, from 1; in binary data that of the row.
func (r *Reader) Line() int64 { return r.line }

// Row returns the next row: as many fields as there are columns, valid until the next call. io.EOF at the end.
func (r *Reader) Row() ([]Field, error) {
	if r.ended {
		return nil, io.EOF
	}
	if !r.begun {
		r.begun = true
		if err := r.begin(); err != nil {
			return nil, err
		}
		if r.ended {
			return nil, io.EOF
		}
	}
	if r.o.Format == Binary {
		return r.binary()
	}
	if err := r.read(); err != nil {
		return nil, err
	}
	if err := r.split(); err != nil {
		return nil, err
	}
	return r.row, r.count()
}

// begin reads what stands before the rows.
func (r *Reader) begin() error {
	if r.o.Format == Binary {
		return r.signature()
	}
	if !r.o.Header {
		return nil
	}
	if err := r.read(); err != nil {
		r.ended = r.ended || err == io.EOF
		return err
	}
	if !r.o.Match {
		return nil
	}
	if err := r.split(); err != nil {
		return err
	}
	if err := r.count(); err != nil {
		return err
	}
	for i, f := range r.row {
		if f.Null || string(f.B) != r.o.Columns[i] {
			return r.bad(`column name mismatch in header line field %d: got "%s", expected "%s"`, i+1, f.B, r.o.Columns[i])
		}
	}
	return nil
}

func (r *Reader) count() error {
	n := len(r.o.Columns)
	switch {
	case len(r.row) > n:
		return r.bad("extra data after last expected column")
	case len(r.row) < n:
		return r.bad(`missing data for column "%s"`, r.o.Columns[len(r.row)])
	}
	return nil
}

// bad is an error of the data's format.
func (r *Reader) bad(format string, args ...any) error {
	e := sqlerr.New("22P04", format, args...)
	e.Context = fmt.Sprintf("line %d", r.line)
	return e
}

// read takes the next line, which in CSV may have several, into raw. Its end is not part of it.
func (r *Reader) read() error {
	r.raw = r.raw[:0]
	r.line = r.passed + 1
	if r.eol == carriage {
		return r.readCarriage()
	}
	for {
		part, err := r.r.ReadSlice('\n')
		r.raw = append(r.raw, part...)
		if len(r.raw) > r.o.MaxRow {
			return r.long()
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			r.ended = true
			if len(r.raw) == 0 {
				return io.EOF
			}
		case err != nil:
			return err
		default:
			r.passed++
		}
		switch {
		case r.o.Format == CSV && r.open():
			if r.ended {
				return r.bad("unterminated CSV quoted field")
			}
		case r.o.Format == Text && !r.ended && escapedEnd(r.raw):
		default:
			return r.finish()
		}
	}
}

func (r *Reader) long() error {
	return sqlerr.New("54000", "a row of COPY data is longer than %d bytes", r.o.MaxRow)
}

// open tells whether raw ends inside of quotes.
func (r *Reader) open() bool {
	in := false
	q, e := r.o.Quote, r.o.Escape
	for i := 0; i < len(r.raw); i++ {
		switch c := r.raw[i]; {
		case in && c == e && e != q && i+1 < len(r.raw) && (r.raw[i+1] == q || r.raw[i+1] == e):
			i++
		case c == q:
			in = !in
		}
	}
	return in
}

// escapedEnd tells whether the newline at the end of a line is escaped, and so part of the data.
func escapedEnd(raw []byte) bool {
	n := len(raw) - 1 // the newline
	if n > 0 && raw[n-1] == '\r' {
		n--
	}
	slashes := 0
	for n > 0 && raw[n-1] == '\\' {
		n--
		slashes++
	}
	return slashes%2 == 1
}

// finish takes the end off the line and finds the mark of the end of data.
func (r *Reader) finish() error {
	line := r.raw
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		kind := newline
		if n > 1 && line[n-2] == '\r' && r.eol != newline {
			line, kind = line[:n-2], both
		}
		if r.eol == unknown {
			if i := bareCarriage(line); i >= 0 && r.o.Format == Text {
				return r.restartCarriage(i)
			}
			r.eol = kind
		} else if r.eol != kind {
			return r.bad("the lines of the data do not all end in the same way")
		}
	} else if r.eol == unknown && r.o.Format == Text {
		if i := bareCarriage(line); i >= 0 {
			return r.restartCarriage(i)
		}
	}
	if r.o.Format == Text && r.eol != carriage && bareCarriage(line) >= 0 {
		return r.bad("literal carriage return found in data")
	}
	return r.marked(line)
}

// marked ends the data at a line with nothing but \. on it.
func (r *Reader) marked(line []byte) error {
	r.raw = line
	if string(line) != `\.` {
		return nil
	}
	r.ended = true
	// What follows is no data; the sender is let finish.
	if _, err := io.Copy(io.Discard, r.r); err != nil {
		return err
	}
	return io.EOF
}

// bareCarriage finds a carriage return that isn't escaped.
func bareCarriage(line []byte) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '\r':
			return i
		}
	}
	return -1
}

// restartCarriage is called at the first line when lines turn out to end in carriage returns: what was read behind the
// first of them is read again.
func (r *Reader) restartCarriage(i int) error {
	r.eol = carriage
	rest := bytes.Clone(r.raw[i+1:])
	r.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), r.r), 32<<10)
	r.ended = false
	return r.marked(r.raw[:i])
}

// readCarriage reads a line that ends in a carriage return.
func (r *Reader) readCarriage() error {
	for {
		c, err := r.r.ReadByte()
		switch {
		case err == io.EOF:
			r.ended = true
			if len(r.raw) == 0 {
				return io.EOF
			}
			return r.marked(r.raw)
		case err != nil:
			return err
		case c == '\r':
			r.passed++
			return r.marked(r.raw)
		case c == '\n':
			return r.bad("literal newline found in data")
		}
		r.raw = append(r.raw, c)
		if c == '\\' {
			if c, err = r.r.ReadByte(); err == nil {
				r.raw = append(r.raw, c)
			}
		}
		if len(r.raw) > r.o.MaxRow {
			return r.long()
		}
	}
}

// split makes the fields of raw.
func (r *Reader) split() error {
	r.row, r.value = r.row[:0], r.value[:0]
	if len(r.o.Columns) == 0 && len(r.raw) == 0 {
		return nil
	}
	if cap(r.value) < len(r.raw) {
		// Fields point into it: it must not move while it grows.
		r.value = make([]byte, 0, len(r.raw)+len(r.raw)/4)
	}
	if r.o.Format == CSV {
		return r.splitCSV()
	}
	raw := r.raw
	for {
		end := 0
		plain := true
		for end < len(raw) && raw[end] != r.o.Delimiter {
			if raw[end] == '\\' {
				plain = false
				end++
			}
			end++
		}
		end = min(end, len(raw))
		field := raw[:end]
		switch {
		case string(field) == r.o.Null:
			r.row = append(r.row, Field{Null: true})
		case plain:
			r.row = append(r.row, Field{B: field})
		default:
			from := len(r.value)
			r.value = unescape(r.value, field)
			r.row = append(r.row, Field{B: r.value[from:len(r.value):len(r.value)]})
		}
		if end == len(raw) {
			return nil
		}
		raw = raw[end+1:]
	}
}

// unescape appends a field of text format. It never gets longer.
func unescape(dst, field []byte) []byte {
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c != '\\' || i+1 == len(field) {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = field[i]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v := int(c - '0')
			for n := 0; n < 2 && i+1 < len(field) && field[i+1] >= '0' && field[i+1] <= '7'; n++ {
				i++
				v = v<<3 | int(field[i]-'0')
			}
			c = byte(v)
		case 'x':
			v, n := 0, 0
			for n < 2 && i+1 < len(field) {
				d := hexDigit(field[i+1])
				if d < 0 {
					break
				}
				i++
				n++
				v = v<<4 | d
			}
			if n > 0 {
				c = byte(v)
			}
		}
		dst = append(dst, c)
	}
	return dst
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// splitCSV makes the fields of a CSV row.
func (r *Reader) splitCSV() error {
	q, e, d := r.o.Quote, r.o.Escape, r.o.Delimiter
	raw := r.raw
	for i := 0; ; {
		from := len(r.value)
		quoted, in := false, false
		for ; i < len(raw); i++ {
			c := raw[i]
			switch {
			case in && c == e && i+1 < len(raw) && (raw[i+1] == q || raw[i+1] == e):
				i++
				r.value = append(r.value, raw[i])
				continue
			case c == q:
				in, quoted = !in, true
				continue
			case !in && c == d:
			default:
				r.value = append(r.value, c)
				continue
			}
			break
		}
		v := r.value[from:len(r.value):len(r.value)]
		n := len(r.row)
		null := string(v) == r.o.Null && (!quoted || is(r.o.ForceNull, n)) && !(is(r.o.ForceNotNull, n) && !quoted)
		r.row = append(r.row, Field{Null: null, B: v})
		if i >= len(raw) {
			return nil
		}
		i++
	}
}

// Marks of the binary format.
var binarySignature = []byte("PGCOPY\n\xff\r\n\x00")

func (r *Reader) signature() error {
	var head [19]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return r.short(err, "COPY file signature not recognized")
	}
	if !bytes.Equal(head[:11], binarySignature) {
		return r.bad("COPY file signature not recognized")
	}
	if flags := binary.BigEndian.Uint32(head[11:]); flags&0xffff0000 != 0 {
		return r.bad("unrecognized critical flags in COPY file header")
	}
	extra := int64(int32(binary.BigEndian.Uint32(head[15:])))
	if extra < 0 {
		return r.bad("invalid COPY file header (missing length)")
	}
	if _, err := io.CopyN(io.Discard, r.r, extra); err != nil {
		return r.short(err, "invalid COPY file header (wrong length)")
	}
	return nil
}

// short words the end of the data where it must not end.
func (r *Reader) short(err error, format string, args ...any) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.bad(format, args...)
	}
	return err
}

func (r *Reader) binary() ([]Field, error) {
	r.line++
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:2]); err == io.EOF {
		r.ended = true // some writers leave the end out
		return nil, io.EOF
	} else if err != nil {
		return nil, r.short(err, "unexpected EOF in COPY data")
	}
	n := int16(binary.BigEndian.Uint16(head[:]))
	if n == -1 {
		r.ended = true
		if c, err := io.Copy(io.Discard, r.r); err != nil {
			return nil, err
		} else if c > 0 {
			return nil, r.bad("received copy data after EOF marker")
		}
		return nil, io.EOF
	}
	if int(n) != len(r.o.Columns) {
		return nil, r.bad("row field count is %d, expected %d", n, len(r.o.Columns))
	}
	r.row, r.value = r.row[:0], r.value[:0]
	total := 0
	for range n {
		if _, err := io.ReadFull(r.r, head[:]); err != nil {
			return nil, r.short(err, "unexpected EOF in COPY data")
		}
		size := int32(binary.BigEndian.Uint32(head[:]))
		if size == -1 {
			r.row = append(r.row, Field{Null: true})
			continue
		}
		if total += int(size); size < 0 {
			return nil, r.bad("invalid field size")
		} else if total > r.o.MaxRow {
			return nil, sqlerr.New("54000", "a row of COPY data is longer than %d bytes", r.o.MaxRow)
		}
		b, err := r.take(int(size))
		if err != nil {
			return nil, r.short(err, "unexpected EOF in COPY data")
		}
		r.row = append(r.row, Field{B: b})
	}
	return r.row, nil
}

// take reads n bytes. Memory grows with what is there, not with what was promised.
func (r *Reader) take(n int) ([]byte, error) {
	if cap(r.value)-len(r.value) < n && n <= 64<<10 {
		r.value = make([]byte, 0, max(2*cap(r.value), n, 1<<10)) // earlier fields keep the old memory
	}
	if cap(r.value)-len(r.value) >= n {
		b := r.value[len(r.value) : len(r.value)+n : len(r.value)+n]
		r.value = r.value[:len(r.value)+n]
		_, err := io.ReadFull(r.r, b)
		return b, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r.r, int64(n)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
