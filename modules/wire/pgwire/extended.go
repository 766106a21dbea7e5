package pgwire

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// portal is a statement with its parameters.
type portal struct {
	p       *session.Prepared
	formats []int16
	args    []types.Value
	memory  []byte          // what args point into
	r       *session.Result // nil: not begun, or done
	done    bool
}

// maxPortals bounds the portals of a connection.
const maxPortals = 65_536

func errMessage() error { return sqlerr.New("08P01", "invalid message format") }

// parse is Parse.
func (c *client) parse(ctx context.Context, body []byte) error {
	d := decoder{b: body}
	name, text := d.text(), d.text()
	n := d.int16()
	var given []types.Type
	for i := range n {
		oid := d.int32()
		if d.bad {
			break
		}
		if given == nil {
			given = make([]types.Type, n)
		}
		if oid != 0 {
			given[i], _ = types.FromOID(oid, -1)
		}
	}
	if !d.done() {
		return errMessage()
	}
	if err := checkText(text); err != nil {
		return err
	}
	if len(name) == 0 {
		c.forget(nil)
	} else if c.x.Named(name) != nil {
		return sqlerr.New("42P05", `prepared statement "%s" already exists`, name)
	}
	p, err := c.x.Prepare(ctx, string(text), given)
	if err != nil {
		return err
	}
	if len(name) == 0 {
		c.unnamed = p
	} else if err := c.x.Name(string(name), p); err != nil {
		return err
	}
	c.out.bare('1')
	return nil
}

// named finds a statement.
func (c *client) named(name []byte) (*session.Prepared, error) {
	if len(name) == 0 {
		if c.unnamed == nil {
			return nil, sqlerr.New("26000", "unnamed prepared statement does not exist")
		}
		return c.unnamed, nil
	}
	if p := c.x.Named(name); p != nil {
		return p, nil
	}
	return nil, sqlerr.New("26000", `prepared statement "%s" does not exist`, name)
}

// forget drops a statement and the portals that were bound to it.
func (c *client) forget(name []byte) {
	st, err := c.named(name)
	if err != nil {
		return
	}
	if len(name) == 0 {
		c.unnamed = nil
	} else {
		c.x.Forget(string(name))
	}
	for n, p := range c.portals {
		if p.p == st {
			c.drop(n)
		}
	}
}

// bind is Bind.
func (c *client) bind(body []byte) error {
	d := decoder{b: body}
	portalName, statementName := d.text(), d.text()
	st, err := c.named(statementName)
	if err != nil {
		return err
	}
	p := &c.bound
	if len(portalName) == 0 {
		c.drop("")
	} else {
		if c.portals[string(portalName)] != nil {
			return sqlerr.New("42P03", `portal "%s" already exists`, portalName)
		}
		if len(c.portals) >= maxPortals {
			return sqlerr.New("53400", "too many portals")
		}
		p = &portal{}
	}
	p.p, p.r, p.done = st, nil, false
	if err := c.bindArgs(p, &d, statementName); err != nil {
		return err
	}
	if err := bindFormats(p, &d); err != nil {
		return err
	}
	if !d.done() {
		return errMessage()
	}
	if c.portals == nil {
		c.portals = map[string]*portal{}
	}
	c.portals[string(portalName)] = p
	c.out.bare('2')
	return nil
}

// bindArgs reads the parameters.
func (c *client) bindArgs(p *portal, d *decoder, statement []byte) error {
	var few [32]int16
	codes := few[:0]
	for range d.int16() {
		codes = append(codes, int16(d.int16()))
		if d.bad {
			return errMessage()
		}
	}
	n := d.int16()
	if d.bad {
		return errMessage()
	}
	params := p.p.Params
	if n != len(params) {
		return sqlerr.New("08P01", `bind message supplies %d parameters, but prepared statement "%s" requires %d`, n, statement, len(params))
	}
	if len(codes) > 1 && len(codes) != n {
		return sqlerr.New("08P01", "bind message has %d parameter formats but %d parameters", len(codes), n)
	}
	// The message is gone when the portal runs: what values point to is copied, all at once.
	p.memory = append(p.memory[:0], d.b...)
	if cap(p.memory) > keepBuffer && len(p.memory) < inputBuffer {
		p.memory = bytes.Clone(p.memory)
	}
	copied := decoder{b: p.memory}
	p.args = p.args[:0]
	var in *types.Input
	for i := range n {
		size := int32(copied.int32())
		var v types.Value
		if size >= 0 {
			b := copied.bytes(int(size))
			if copied.bad {
				return errMessage()
			}
			var err error
			switch formatOf(codes, i) {
			case 0:
				if err = checkText(b); err == nil {
					if in == nil && needsInput(params[i]) {
						in = c.x.Input()
					}
					v, err = types.DecodePGText(params[i], b, in)
				}
			case 1:
				v, err = types.DecodePGBinary(params[i], b)
			default:
				err = sqlerr.New("22023", "unsupported format code: %d", formatOf(codes, i))
			}
			if err != nil {
				e := *sqlerr.FromSQLite(err)
				e.Context = "unnamed portal parameter $" + string(appendInt(nil, int64(i+1)))
				return &e
			}
		} else if size != -1 || copied.bad {
			return errMessage()
		}
		p.args = append(p.args, v)
	}
	d.b = d.b[len(d.b)-len(copied.b):]
	return nil
}

// needsInput tells whether the session's settings have to do with how text of a type is read.
func needsInput(t types.Type) bool {
	switch t.Kind {
	case types.Bool, types.Int1, types.Int2, types.Int3, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric,
		types.Text, types.Varchar, types.Char, types.UUID, types.JSON, types.JSONB, types.Bytes, types.Unknown:
		return false
	}
	return true
}

// bindFormats reads the formats of the result's columns.
func bindFormats(p *portal, d *decoder) error {
	p.formats = p.formats[:0]
	for range d.int16() {
		code := int16(d.int16())
		if d.bad {
			return errMessage()
		}
		if code != 0 && code != 1 {
			return sqlerr.New("22023", "unsupported format code: %d", code)
		}
		p.formats = append(p.formats, code)
	}
	if n := len(p.formats); n > 1 && n != len(p.p.Columns) {
		return sqlerr.New("08P01", "bind message has %d result formats but query has %d columns", n, len(p.p.Columns))
	}
	return nil
}

// drop ends a portal.
func (c *client) drop(name string) {
	p := c.portals[name]
	if p == nil {
		return
	}
	delete(c.portals, name)
	if p.r != nil {
		if err := p.r.Close(); err != nil {
			c.s.o.Logger.Debug("a portal ended with an error", "error", err)
		}
		p.r = nil
	}
}

// closePortals ends all portals, as the end of a transaction does.
func (c *client) closePortals() {
	for name := range c.portals {
		c.drop(name)
	}
}

// describe is Describe.
func (c *client) describe(body []byte) error {
	kind, name, err := target(body)
	if err != nil {
		return err
	}
	if kind == 'S' {
		st, err := c.named(name)
		if err != nil {
			return err
		}
		at := c.out.begin('t')
		c.out.int16(len(st.Params))
		for _, t := range st.Params {
			oid := t.PGOID()
			if t.Kind == types.Unknown {
				oid = types.T(types.Text).PGOID()
			}
			c.out.int32(oid)
		}
		c.out.end(at)
		describeOrNoData(&c.out, st.Columns, nil)
		return nil
	}
	p := c.portals[string(name)]
	if p == nil {
		return sqlerr.New("34000", `portal "%s" does not exist`, name)
	}
	describeOrNoData(&c.out, p.p.Columns, p.formats)
	return nil
}

// close is Close. What isn't there needs no closing.
func (c *client) close(body []byte) error {
	kind, name, err := target(body)
	if err != nil {
		return err
	}
	if kind == 'S' {
		c.forget(name)
	} else {
		c.drop(string(name))
	}
	c.out.bare('3')
	return nil
}

// target reads which statement ('S') or portal ('P') a message is about.
func target(body []byte) (kind byte, name []byte, err error) {
	if len(body) < 2 || body[0] != 'S' && body[0] != 'P' {
		return 0, nil, errMessage()
	}
	d := decoder{b: body[1:]}
	name = d.text()
	if !d.done() {
		return 0, nil, errMessage()
	}
	return body[0], name, nil
}

// execute is Execute.
func (c *client) execute(ctx context.Context, body []byte) error {
	d := decoder{b: body}
	name := d.text()
	most := int(int32(d.int32()))
	if !d.done() {
		return errMessage()
	}
	p := c.portals[string(name)]
	if p == nil {
		return sqlerr.New("34000", `portal "%s" does not exist`, name)
	}
	if p.done {
		if p.p.Columns == nil {
			return sqlerr.New("55000", `portal "%s" cannot be run`, name)
		}
		at := c.out.begin('C')
		c.out.text("SELECT 0")
		c.out.end(at)
		return nil
	}
	open := c.x.Status()
	if p.r == nil {
		r, err := c.x.Execute(ctx, p.p, p.args, session.ExecuteOptions{Last: c.in.peek() == 'S', Portal: most > 0})
		if err != nil {
			p.done = true
			return err
		}
		p.r = r
	} else {
		p.r.Resume(ctx)
		p.r.ResetCount()
	}
	if err := c.run1(p, most); err != nil {
		p.done = true
		if p.r != nil {
			r := p.r
			p.r = nil
			r.Close()
		}
		return err
	}
	if open != 'I' && c.x.Status() == 'I' {
		c.closePortals() // its block has ended
	}
	return nil
}

// run1 sends what a portal gives.
func (c *client) run1(p *portal, most int) error {
	r := p.r
	switch {
	case r.Empty():
		c.out.bare('I')
		p.r, p.done = nil, true
		return r.Close()
	case r.Copy != nil && r.Copy.Statement.From:
		p.r, p.done = nil, true
		return c.copyIn(r)
	case r.Copy != nil:
		p.r, p.done = nil, true
		return c.copyOut(r)
	case r.Columns != nil:
		more, err := c.rows(r, p.formats, max(most, 0))
		if err != nil {
			return err
		}
		if more {
			r.Suspend()
			c.out.bare('s')
			return nil
		}
	}
	p.r, p.done = nil, true
	if err := r.Close(); err != nil {
		return err
	}
	c.out.complete(r)
	return nil
}

// decoder reads the parts of a message. bad: it is shorter than it says.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) int16() int {
	if len(d.b) < 2 {
		d.bad = true
		return 0
	}
	v := binary.BigEndian.Uint16(d.b)
	d.b = d.b[2:]
	return int(v)
}

func (d *decoder) int32() uint32 {
	if len(d.b) < 4 {
		d.bad = true
		return 0
	}
	v := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) text() []byte {
	i := bytes.IndexByte(d.b, 0)
	if i < 0 {
		d.bad = true
		return nil
	}
	v := d.b[:i]
	d.b = d.b[i+1:]
	return v
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.bad = true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// done tells whether the message was read whole.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }
