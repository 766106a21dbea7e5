package mywire

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// load is LOAD DATA LOCAL INFILE: the client is asked for the file, and sends it in packets up to an empty one.
func (c *client) load(r *session.Result) error {
	l := r.Load
	if c.caps&capLocalFiles == 0 {
		err := sqlerr.New("42501", "the client doesn't send local files").
			My(3948, "Loading local data is disabled; this must be enabled on both the client and server sides")
		l.Abort(err)
		return err
	}
	if l.Statement.FieldsTerminated == "" || l.Statement.LinesTerminated == "" {
		err := sqlerr.Unsupported("LOAD DATA without terminators of fields and lines")
		l.Abort(err)
		return err
	}
	o := &c.out
	at := o.begin()
	o.byte(0xfb)
	o.buf = append(o.buf, l.Statement.File...)
	o.end(at)
	if o.flush() != nil {
		l.Abort(errGone)
		return errGone
	}
	lines := newLines(l.Statement)
	var failed error
	for done := false; !done; {
		// The file is read to its end even if nothing of it is wanted any more.
		p, err := c.in.next(&o.seq, c.s.o.MaxPacket, false)
		switch {
		case errors.As(err, new(*tooLongError)):
			failed = errors.Join(failed, sqlerr.New("54000", "a packet of the file is too long").My(1153, "Got a packet bigger than 'max_allowed_packet' bytes"))
			continue
		case err != nil:
			l.Abort(err)
			c.lost = err
			return errGone
		}
		done = len(p) == 0
		if failed == nil {
			failed = lines.feed(p, done, func(fields []cell) error { return c.loadRow(l, fields) })
		}
	}
	if failed != nil {
		l.Abort(failed)
		return failed
	}
	if err := l.Done(r); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	warnings := len(c.x.Warnings())
	stored := max(r.Affected(), 0)
	c.ok(uint64(stored), 0, warnings,
		fmt.Sprintf("Records: %d  Deleted: 0  Skipped: %d  Warnings: %d", lines.records, max(lines.records-stored, 0), warnings))
	return nil
}

// cell is a field of a line.
type cell struct {
	b    []byte
	null bool
}

// loadRow stores one line. Values that don't fit become the nearest that do, with a warning, as LOCAL has it.
func (c *client) loadRow(l *session.Load, fields []cell) error {
	in := *c.x.Input()
	in.Strict, in.Explicit = false, true
	args := make([]types.Value, len(l.Columns))
	for i := range args {
		if i >= len(fields) || fields[i].null {
			continue
		}
		t := l.Columns[i].Type
		switch b := fields[i].b; {
		case t.Kind == types.Bytes:
			args[i] = types.Value{Class: types.Blob, B: b}
		case !utf8.Valid(b):
			return sqlerr.New("22021", "a field of the file isn't UTF-8").My(1300, "Invalid utf8mb4 character string: '%.6X'", b)
		case t.IsString() && t.Kind != types.Enum && t.Kind != types.Set || t.Kind == types.Unknown:
			args[i] = types.Value{Class: types.String, B: b}
		default:
			v, err := types.ParseText(t, b, &in)
			if err != nil {
				return err
			}
			args[i] = v
		}
	}
	return l.Row(args)
}

// maxLine bounds a line of a file.
const maxLine = 64 << 20

// lines cuts a file into lines and fields.
type lines struct {
	s             *ir.LoadData
	term, end     []byte // of fields and lines
	escape, quote int    // -1: none
	look          int    // how far a decision looks ahead
	rest          []byte // a line that isn't all there
	skip          int    // lines to be left out
	records       int64
	fields        []cell
}

func newLines(s *ir.LoadData) *lines {
	l := &lines{s: s, term: []byte(s.FieldsTerminated), end: []byte(s.LinesTerminated), escape: -1, quote: -1, skip: s.IgnoreLines}
	if s.FieldsEscaped != "" {
		l.escape = int(s.FieldsEscaped[0])
	}
	if s.FieldsEnclosed != "" {
		l.quote = int(s.FieldsEnclosed[0])
	}
	l.look = max(len(l.term), len(l.end)) + 1
	return l
}

// feed takes the next part of the file; last says that there is no other.
func (l *lines) feed(p []byte, last bool, row func([]cell) error) error {
	b := p
	if len(l.rest) > 0 {
		l.rest = append(l.rest, p...)
		b = l.rest
	}
	for len(b) > 0 {
		n, whole, wanted := l.line(b, last)
		if !whole {
			break
		}
		b = b[n:]
		if !wanted {
			continue
		}
		l.records++
		if err := row(l.fields); err != nil {
			return err
		}
	}
	if len(b) > maxLine {
		return sqlerr.New("54000", "a line of the file is too long").My(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
	}
	l.rest = append(l.rest[:0], b...)
	return nil
}

// line reads the line at the beginning of b into l.fields and returns its length. whole: all of it is there; wanted: it is
// a record.
func (l *lines) line(b []byte, last bool) (n int, whole, wanted bool) {
	if l.skip > 0 {
		i := bytes.Index(b, l.end)
		if i < 0 {
			return len(b), last, false
		}
		l.skip--
		return i + len(l.end), true, false
	}
	at := 0
	if start := []byte(l.s.LinesStarting); len(start) > 0 {
		i := bytes.Index(b, start)
		if i < 0 {
			return len(b), last, false
		}
		at = i + len(start)
	}
	l.fields = l.fields[:0]
	for {
		f, next, how := l.field(b, at, last)
		switch how {
		case partly:
			return 0, false, false
		case field:
			l.fields, at = append(l.fields, f), next
		case line:
			l.fields = append(l.fields, f)
			return next, true, true
		}
	}
}

// ending is how a field ends.
type ending uint8

const (
	partly ending = iota // it isn't all there
	field                // another one follows
	line                 // with the line
)

// field reads the field at b[at:] and returns where the next one, or the next line, begins.
func (l *lines) field(b []byte, at int, last bool) (f cell, next int, how ending) {
	from := at
	if l.quote >= 0 && len(b)-at < l.look && !last {
		return f, 0, partly
	}
	quoted := l.quote >= 0 && at < len(b) && int(b[at]) == l.quote
	enclosed := quoted
	if quoted {
		at++
	}
	f.b = []byte{}
	end := func(to int) {
		raw := string(b[from:to])
		f.null = !enclosed && (l.escape >= 0 && raw == string(rune(l.escape))+"N" || (l.quote >= 0 || l.escape < 0) && raw == "NULL")
	}
	for {
		if len(b)-at < l.look && !last {
			return f, 0, partly
		}
		if at >= len(b) {
			end(at)
			return f, at, line
		}
		rest := b[at:]
		switch ch := int(rest[0]); {
		case quoted && ch == l.quote:
			after := rest[1:]
			if len(after) > 0 && int(after[0]) == l.quote {
				f.b = append(f.b, rest[0])
				at += 2
				continue
			}
			if len(after) == 0 || bytes.HasPrefix(after, l.term) || bytes.HasPrefix(after, l.end) {
				quoted = false
				at++
				continue
			}
		case ch == l.escape && len(rest) > 1:
			f.b = append(f.b, unescape(rest[1]))
			at += 2
			continue
		case !quoted && bytes.HasPrefix(rest, l.term):
			end(at)
			return f, at + len(l.term), field
		case !quoted && bytes.HasPrefix(rest, l.end):
			end(at)
			return f, at + len(l.end), line
		}
		f.b = append(f.b, rest[0])
		at++
	}
}

// unescape is what a character after the escape character stands for.
func unescape(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	}
	return c
}
