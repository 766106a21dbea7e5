package pgwire

import (
	"encoding/binary"
	"math"
	"net"
	"sync/atomic"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// flushAt is how much output is gathered before it is sent.
const flushAt = 32 << 10

// output gathers messages.
type output struct {
	conn    net.Conn
	buf     []byte
	err     error // the client can't be reached
	wrote   func(n int)
	writing atomic.Uint64 // odd while a Write is under way
}

// flush sends what was gathered.
func (o *output) flush() error {
	if o.err != nil || len(o.buf) == 0 {
		return o.err
	}
	o.writing.Add(1)
	n, err := o.conn.Write(o.buf)
	o.writing.Add(1)
	o.wrote(n)
	o.err = err
	o.buf = o.buf[:0]
	if cap(o.buf) > keepBuffer+flushAt {
		o.buf = nil
	}
	return err
}

// full sends what was gathered when it is enough.
func (o *output) full() error {
	if len(o.buf) < flushAt {
		return o.err
	}
	return o.flush()
}

// idle gives back what an idle connection doesn't need.
func (o *output) idle() {
	if len(o.buf) == 0 && cap(o.buf) > 2<<10 {
		o.buf = nil
	}
}

// begin starts a message; end writes its length.
func (o *output) begin(kind byte) int {
	o.buf = append(o.buf, kind, 0, 0, 0, 0)
	return len(o.buf) - 4
}

func (o *output) end(at int) {
	binary.BigEndian.PutUint32(o.buf[at:], uint32(len(o.buf)-at))
}

// bare sends a message without a body.
func (o *output) bare(kind byte) { o.buf = append(o.buf, kind, 0, 0, 0, 4) }

func (o *output) int16(v int)    { o.buf = binary.BigEndian.AppendUint16(o.buf, uint16(v)) }
func (o *output) int32(v uint32) { o.buf = binary.BigEndian.AppendUint32(o.buf, v) }

// text appends a string with its end. A zero byte, which names can't have, would end it early.
func (o *output) text(s string) {
	for i := range len(s) {
		if s[i] == 0 {
			s = s[:i]
			break
		}
	}
	o.buf = append(append(o.buf, s...), 0)
}

// ready is ReadyForQuery.
func (o *output) ready(status byte) { o.buf = append(o.buf, 'Z', 0, 0, 0, 5, status) }

// complete is CommandComplete of a result.
func (o *output) complete(r *session.Result) {
	at := o.begin('C')
	o.buf = append(r.AppendTag(o.buf), 0)
	o.end(at)
}

// parameter is ParameterStatus.
func (o *output) parameter(name, value string) {
	at := o.begin('S')
	o.text(name)
	o.text(value)
	o.end(at)
}

// problem is ErrorResponse ('E') and NoticeResponse ('N').
func (o *output) problem(kind byte, e *sqlerr.Error) {
	severity := e.Severity
	if severity == "" {
		severity = map[byte]string{'E': "ERROR", 'N': "NOTICE"}[kind]
	}
	at := o.begin(kind)
	field := func(code byte, value string) {
		if value != "" {
			o.buf = append(o.buf, code)
			o.text(valid(value))
		}
	}
	field('S', severity)
	field('V', severity)
	field('C', e.State)
	field('M', e.Message)
	field('D', e.Detail)
	field('H', e.Hint)
	if e.Position > 0 {
		o.buf = append(o.buf, 'P')
		o.buf = appendInt(o.buf, int64(e.Position))
		o.buf = append(o.buf, 0)
	}
	field('W', e.Context)
	field('s', schemaOf(e))
	field('t', e.Table)
	field('c', e.Column)
	field('n', e.Constraint)
	o.buf = append(o.buf, 0)
	o.end(at)
}

// schemaOf is the namespace of the table that an error names.
func schemaOf(e *sqlerr.Error) string {
	if e.Schema == "" && e.Table != "" {
		return "public"
	}
	return e.Schema
}

// valid makes sure that a message is text.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// field is how a column of a result goes out.
type field struct {
	t      types.Type
	binary bool
}

// describe is RowDescription. formats nil: all text.
func (o *output) describe(columns []plan.Column, formats []int16) {
	at := o.begin('T')
	o.int16(len(columns))
	for i := range columns {
		c := &columns[i]
		o.text(c.Name)
		var table uint32
		var number int
		if c.Table != nil && c.Source != nil {
			table, number = c.Table.OID, int(c.Source.Num)
		}
		o.int32(table)
		o.int16(number)
		o.int32(c.Type.PGOID())
		o.int16(int(c.Type.TypLen()))
		o.int32(uint32(c.Type.Typmod()))
		o.int16(int(formatOf(formats, i)))
	}
	o.end(at)
}

// formatOf is the format code of value i: no codes stand for text, one for all.
func formatOf(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	return formats[i]
}

// row is DataRow. After an error nothing of it is left in the output.
func (o *output) row(row []types.Value, fields []field, f *types.PGFormat) error {
	start := len(o.buf)
	at := o.begin('D')
	o.int16(len(fields))
	for i := range fields {
		v := &row[i]
		if v.Class == types.Null {
			o.buf = append(o.buf, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		length := len(o.buf)
		o.buf = append(o.buf, 0, 0, 0, 0)
		if fields[i].binary {
			var err error
			if o.buf, err = types.AppendPGBinary(o.buf, fields[i].t, *v, f); err != nil {
				o.buf = o.buf[:start]
				return err
			}
		} else {
			o.buf = types.AppendPGText(o.buf, fields[i].t, *v, f)
		}
		binary.BigEndian.PutUint32(o.buf[length:], uint32(len(o.buf)-length-4))
	}
	if len(o.buf)-start > math.MaxInt32 {
		o.buf = o.buf[:start]
		return sqlerr.New("54000", "a row is longer than a message can be")
	}
	o.end(at)
	return nil
}
