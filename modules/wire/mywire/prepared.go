package mywire

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// prepared is a prepared statement of a connection.
type prepared struct {
	id   uint32
	text string
	base *session.Prepared // with the types that its parameters have by themselves
	// variants are for parameters of types that can't be brought into those of base without loss.
	variants []variant
	sent     []paramType // as the client last told
	long     map[int][]byte
	longSize int
	tooLong  bool
	cursor   *session.Result
	values   []types.Value
	args     []types.Value
	hints    []types.Type
}

// variant is the statement with parameters of given types.
type variant struct {
	hints []types.Type
	p     *session.Prepared
}

const maxVariants = 8

// paramType is the type of a parameter as the client sends it.
type paramType struct {
	code     byte
	unsigned bool
}

// prepare is COM_STMT_PREPARE.
func (c *client) prepare(ctx context.Context, text string) {
	if len(c.prepared) >= c.s.o.MaxPrepared {
		c.problem(sqlerr.New("53400", "too many prepared statements").
			My(1461, "Can't create more than max_prepared_stmt_count statements (current value: %d)", c.s.o.MaxPrepared))
		return
	}
	if strings.Trim(text, " \t\r\n;") == "" {
		c.problem(sqlerr.New("42601", "the query is empty").My(1065, "Query was empty"))
		return
	}
	p, err := c.x.Prepare(ctx, text, nil)
	if err != nil {
		c.problem(err)
		return
	}
	if len(p.Params) > 0xffff {
		c.problem(sqlerr.New("54000", "too many parameters").My(1390, "Prepared statement contains too many placeholders"))
		return
	}
	if c.prepared == nil {
		c.prepared = map[uint32]*prepared{}
	}
	for c.lastID++; c.lastID == 0 || c.prepared[c.lastID] != nil; c.lastID++ {
	}
	st := &prepared{id: c.lastID, text: text, base: p}
	c.prepared[st.id] = st

	o := &c.out
	at := o.begin()
	o.byte(0)
	o.int32(st.id)
	o.int16(uint16(len(p.Columns)))
	o.int16(uint16(len(p.Params)))
	o.byte(0)
	o.int16(uint16(min(len(c.x.Warnings()), 0xffff)))
	o.end(at)
	if len(p.Params) > 0 {
		mark := column{MySQLColumn: types.MySQLColumn{Type: types.MyVarString, Charset: types.BinaryCollation, Flags: types.MyBinaryFlag}, name: "?"}
		for range p.Params {
			c.define(mark, false)
		}
		if c.caps&capDeprecateEOF == 0 {
			c.eof(0)
		}
	}
	if len(p.Columns) > 0 {
		for _, d := range c.columns(p.Columns) {
			c.define(d, false)
		}
		if c.caps&capDeprecateEOF == 0 {
			c.eof(0)
		}
	}
}

// find returns a prepared statement, or tells that there is none.
func (c *client) find(id uint32, command string) *prepared {
	if st := c.prepared[id]; st != nil {
		return st
	}
	c.problem(sqlerr.New("26000", "prepared statement %d does not exist", id).
		My(1243, "Unknown prepared statement handler (%d) given to %s", id, command))
	return nil
}

// execute is COM_STMT_EXECUTE.
func (c *client) execute(ctx context.Context, body []byte) error {
	r := reader{b: body}
	id := r.int32()
	flags := r.byte()
	r.int32() // iterations, always 1
	if r.bad {
		c.problem(errMalformed)
		return c.out.err
	}
	st := c.find(id, "mysqld_stmt_execute")
	if st == nil {
		return c.out.err
	}
	st.closeCursor()
	p, args, err := c.arguments(ctx, st, &r)
	st.forgetLong()
	if err != nil {
		c.problem(err)
		return c.out.err
	}
	const readOnlyCursor = 1
	cursor := flags&readOnlyCursor != 0 && p.Columns != nil
	res, err := c.x.Execute(ctx, p, args, session.ExecuteOptions{Last: true, Portal: cursor})
	if err == nil {
		err = c.executed(st, res, cursor)
	}
	switch {
	case errors.Is(err, errGone):
		return errGone
	case err != nil && c.out.err == nil:
		c.problem(err)
	}
	return c.out.err
}

// executed sends the result of a prepared statement.
func (c *client) executed(st *prepared, r *session.Result, cursor bool) error {
	switch {
	case r.Load != nil:
		return c.load(r)
	case r.Columns == nil:
		if err := r.Close(); err != nil {
			return err
		}
		if settles(st.text) {
			c.settle()
		}
		c.ok(uint64(max(r.Affected(), 0)), r.InsertID(), len(c.x.Warnings()), "")
		return nil
	case cursor:
		c.head(r.Columns, true)
		st.cursor = r
		return nil
	}
	defs := c.head(r.Columns, false)
	if _, err := c.rows(r, defs, true, -1); err != nil {
		return errors.Join(err, r.Close())
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.endRows(0)
	return nil
}

// fetch is COM_STMT_FETCH: rows of a cursor.
func (c *client) fetch(body []byte) error {
	r := reader{b: body}
	id, n := r.int32(), r.int32()
	if r.bad {
		c.problem(errMalformed)
		return c.out.err
	}
	st := c.find(id, "mysqld_stmt_fetch")
	if st == nil {
		return c.out.err
	}
	if st.cursor == nil {
		c.problem(sqlerr.New("24000", "the statement %d has no open cursor", id).My(1421, "The statement (%d) has no open cursor.", id))
		return c.out.err
	}
	more, err := c.rows(st.cursor, c.columns(st.cursor.Columns), true, int64(n))
	if err == nil && !more {
		cursor := st.cursor
		st.cursor = nil
		if err = cursor.Close(); err == nil {
			c.endRows(statusCursorExists | statusLastRowSent)
			return c.out.err
		}
	}
	switch {
	case errors.Is(err, errGone):
		return errGone
	case err != nil:
		st.closeCursor()
		c.problem(err)
	default:
		c.endRows(statusCursorExists)
	}
	return c.out.err
}

// longData is COM_STMT_SEND_LONG_DATA, which has no answer: what is wrong with it is told when the statement is executed.
func (c *client) longData(body []byte) {
	r := reader{b: body}
	id, n := r.int32(), int(r.int16())
	st := c.prepared[id]
	if r.bad || st == nil {
		return
	}
	if n >= len(st.base.Params) || st.longSize+len(r.b) > c.s.o.MaxPacket {
		st.tooLong = true
		return
	}
	if st.long == nil {
		st.long = map[int][]byte{}
	}
	st.long[n] = append(st.long[n], r.b...)
	if st.long[n] == nil {
		st.long[n] = []byte{}
	}
	st.longSize += len(r.b)
}

func (st *prepared) forgetLong() { st.long, st.longSize, st.tooLong = nil, 0, false }

func (st *prepared) closeCursor() {
	if st.cursor != nil {
		st.cursor.Close()
		st.cursor = nil
	}
}

// resetStatement is COM_STMT_RESET.
func (c *client) resetStatement(body []byte) {
	r := reader{b: body}
	id := r.int32()
	if r.bad {
		c.problem(errMalformed)
		return
	}
	if st := c.find(id, "mysqld_stmt_reset"); st != nil {
		st.closeCursor()
		st.forgetLong()
		c.ok(0, 0, 0, "")
	}
}

// closeStatement is COM_STMT_CLOSE, which has no answer.
func (c *client) closeStatement(id uint32) {
	if st := c.prepared[id]; st != nil {
		st.closeCursor()
		delete(c.prepared, id)
	}
}

// closeAll forgets the prepared statements.
func (c *client) closeAll() {
	for _, st := range c.prepared {
		st.closeCursor()
	}
	c.prepared = nil
}

// arguments reads the parameters of an execution, and returns the statement that takes them as they are.
func (c *client) arguments(ctx context.Context, st *prepared, r *reader) (*session.Prepared, []types.Value, error) {
	params := st.base.Params
	if len(params) == 0 {
		return st.base, nil, nil
	}
	if st.tooLong {
		return nil, nil, sqlerr.New("54000", "the data of a parameter is too long").
			My(1153, "Parameter of prepared statement which is set through mysql_send_long_data() is longer than 'max_allowed_packet' bytes")
	}
	nulls := r.take((len(params) + 7) / 8)
	if r.byte() == 1 {
		sent := st.sent[:0]
		for range params {
			code, flags := r.byte(), r.byte()
			sent = append(sent, paramType{code, flags&0x80 != 0})
		}
		st.sent = sent
		if r.bad {
			st.sent = nil
		}
	}
	if r.bad || len(st.sent) != len(params) {
		return nil, nil, sqlerr.New("08P01", "the types of the parameters were not told").My(1210, "Incorrect arguments to mysqld_stmt_execute")
	}
	st.values, st.args = slices.Grow(st.values[:0], len(params)), slices.Grow(st.args[:0], len(params))
	var in *types.Input
	hinted := false
	st.hints = append(st.hints[:0], make([]types.Type, len(params))...)
	for i, want := range params {
		v, t, err := st.value(i, nulls, r)
		if err != nil {
			return nil, nil, err
		}
		st.values = append(st.values, v)
		arg, ok := v, v.Class == types.Null
		if !ok {
			if in == nil {
				in = c.x.Input()
			}
			arg, ok = mysql.Convert(v, t, want, in)
		}
		if !ok {
			st.hints[i], hinted = t, true
			arg = v
		}
		st.args = append(st.args, arg)
	}
	if !hinted {
		return st.base, st.args, nil
	}
	p, err := c.variant(ctx, st)
	return p, st.args, err
}

// value reads parameter i as the client sent it.
func (st *prepared) value(i int, nulls []byte, r *reader) (types.Value, types.Type, error) {
	sent := st.sent[i]
	if b, ok := st.long[i]; ok {
		t := types.T(types.Varchar)
		if sent.code >= types.MyTinyBlob && sent.code <= types.MyBlob {
			t.Kind = types.Bytes
		}
		return types.Value{Class: types.String, B: b}, t, nil
	}
	if nulls[i/8]>>(i%8)&1 == 1 || sent.code == types.MyNull {
		return types.Value{}, types.Type{}, nil
	}
	v, t, n, err := types.DecodeMySQLBinary(sent.code, sent.unsigned, r.b)
	if err != nil {
		return v, t, err
	}
	r.take(n)
	return v, t, nil
}

// variant returns the statement prepared for parameters of the types in st.hints.
func (c *client) variant(ctx context.Context, st *prepared) (*session.Prepared, error) {
	for i := range st.variants {
		if slices.Equal(st.variants[i].hints, st.hints) {
			return st.variants[i].p, nil
		}
	}
	p, err := c.x.Prepare(ctx, st.text, st.hints)
	if err != nil {
		return nil, err
	}
	if len(st.variants) == maxVariants {
		st.variants = slices.Delete(st.variants, 0, 1)
	}
	st.variants = append(st.variants, variant{slices.Clone(st.hints), p})
	return p, nil
}
