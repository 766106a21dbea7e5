package pgwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/bop-platform/bop/modules/wire/pgwire/pgcopy"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// copyOptions reads the options of a COPY.
func copyOptions(s *session.Copy, columns []plan.Column) (*pgcopy.Options, error) {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].Name
	}
	return pgcopy.ParseOptions(s.Statement.Format, s.Statement.Options, names)
}

// begin is CopyInResponse ('G') and CopyOutResponse ('H').
func (c *client) beginCopy(kind byte, o *pgcopy.Options) {
	code := 0
	if o.Format == pgcopy.Binary {
		code = 1
	}
	at := c.out.begin(kind)
	c.out.buf = append(c.out.buf, byte(code))
	c.out.int16(len(o.Columns))
	for range o.Columns {
		c.out.int16(code)
	}
	c.out.end(at)
}

// copyOut is COPY TO STDOUT.
func (c *client) copyOut(r *session.Result) error {
	o, err := copyOptions(r.Copy, r.Columns)
	if err != nil {
		r.Close()
		return err
	}
	for _, column := range r.Columns {
		if o.Format == pgcopy.Binary && !column.Type.HasPGBinary() {
			r.Close()
			return sqlerr.New("42883", "no binary output function available for type %s", column.Type.PGName())
		}
	}
	c.beginCopy('H', o)
	f := c.x.PGFormat()
	var scratch []byte
	var row []types.Value
	value := func(dst []byte, i int) ([]byte, bool, error) {
		if row[i].IsNull() {
			return dst, false, nil
		}
		if o.Format == pgcopy.Binary {
			dst, err := types.AppendPGBinary(dst, r.Columns[i].Type, row[i], f)
			return dst, true, err
		}
		return types.AppendPGText(dst, r.Columns[i].Type, row[i], f), true, nil
	}
	data := func(fill func(dst []byte) ([]byte, error)) error {
		start := len(c.out.buf)
		at := c.out.begin('d')
		buf, err := fill(c.out.buf)
		if err != nil || len(buf) == at+4 {
			c.out.buf = c.out.buf[:start]
			return err
		}
		c.out.buf = buf
		c.out.end(at)
		if err := c.out.full(); err != nil {
			return errGone
		}
		return nil
	}
	err = data(func(dst []byte) ([]byte, error) { return o.AppendHeader(dst), nil })
	for err == nil && r.Next() {
		row = r.Row()
		err = data(func(dst []byte) ([]byte, error) { return o.AppendRow(dst, &scratch, value) })
	}
	if err == nil {
		err = r.Err()
	}
	if err == nil {
		err = data(func(dst []byte) ([]byte, error) { return o.AppendTrailer(dst), nil })
	}
	if e := r.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	c.out.bare('c')
	c.out.complete(r)
	return nil
}

// copyIn is COPY FROM STDIN.
func (c *client) copyIn(r *session.Result) error {
	err := c.load(r.Copy)
	if err != nil {
		r.Copy.Abort(err)
	} else {
		err = r.Copy.Done(r)
	}
	if e := r.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	c.out.complete(r)
	return nil
}

// load reads the client's data and stores its rows.
func (c *client) load(s *session.Copy) error {
	o, err := copyOptions(s, s.Columns)
	if err != nil {
		return err
	}
	o.MaxRow = c.s.o.MaxMessage
	c.beginCopy('G', o)
	c.due = true
	reader := pgcopy.NewReader(&copyData{c: c}, o)
	row := make([]types.Value, len(s.Columns))
	var in *types.Input
	for _, column := range s.Columns {
		if needsInput(column.Type) {
			in = c.x.Input()
		}
	}
	for {
		fields, err := reader.Row()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return inCopy(s, reader, -1, nil, err)
		}
		for i, f := range fields {
			switch {
			case f.Null:
				row[i] = types.Value{}
				continue
			case o.Format == pgcopy.Binary:
				row[i], err = types.DecodePGBinary(s.Columns[i].Type, f.B)
			default:
				if err = checkText(f.B); err == nil {
					row[i], err = types.DecodePGText(s.Columns[i].Type, f.B, in)
				}
			}
			if err != nil {
				return inCopy(s, reader, i, f.B, err)
			}
		}
		if err := s.Row(row); err != nil {
			return inCopy(s, reader, -1, nil, err)
		}
	}
}

// inCopy adds to an error where in the data it happened.
func inCopy(s *session.Copy, r *pgcopy.Reader, column int, value []byte, err error) error {
	var e *sqlerr.Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Context = fmt.Sprintf("COPY %s, line %d", s.Statement.Table.Name, r.Line())
	if column >= 0 {
		const most = 100
		if len(value) > most {
			value = append(bytes.Clone(value[:most]), "..."...)
		}
		told.Context += fmt.Sprintf(`, column %s: "%s"`, s.Columns[column].Name, value)
	}
	return &told
}

// copyData is the data of CopyData messages, up to CopyDone.
type copyData struct {
	c    *client
	left []byte // of the present message
	done bool
}

// Read implements io.Reader.
func (d *copyData) Read(b []byte) (int, error) {
	for len(d.left) == 0 {
		if d.done {
			return 0, io.EOF
		}
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, d.left)
	d.left = d.left[n:]
	return n, nil
}

func (d *copyData) next() error {
	kind, body, err := d.c.receive()
	var long *tooLongError
	switch {
	case errors.As(err, &long):
		return sqlerr.New("54000", "a message of COPY data is too long: %d bytes, where %d are allowed", long.size, long.most)
	case errors.Is(err, errFraming):
		return sqlerr.New("08P01", "invalid message length")
	case err != nil:
		d.c.lose(err)
		return err
	}
	switch kind {
	case 'd':
		d.left = body
	case 'c':
		d.done = true
	case 'f':
		why, _, _ := bytes.Cut(body, []byte{0})
		return sqlerr.New("57014", "COPY from stdin failed: %s", why)
	case 'H', 'S':
		// Clients that pipeline send them early; they count when COPY is over.
	case 'X':
		d.c.lose(errGone)
		return errGone
	default:
		return sqlerr.New("08P01", "unexpected message type 0x%02X during COPY from stdin", kind)
	}
	return nil
}
