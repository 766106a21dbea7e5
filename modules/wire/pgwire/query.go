package pgwire

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// query is a simple query: one or more statements in a text.
func (c *client) query(ctx context.Context, body []byte) {
	text, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) > 0 {
		c.problem(sqlerr.New("08P01", "invalid string in message"))
		c.sync(ctx)
		return
	}
	c.forget(nil)
	told := false
	err := checkText(text)
	if err == nil {
		err = c.x.Query(ctx, string(text), func(r *session.Result) error {
			told = true
			return c.result(r)
		})
	}
	switch {
	case err != nil:
		c.x.Fail()
		c.problem(err)
	case !told:
		c.out.bare('I')
	}
	c.sync(ctx)
}

// checkText refuses what isn't UTF-8, as every text of a client must be.
func checkText(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n <= 1 {
			return sqlerr.New("22021", `invalid byte sequence for encoding "UTF8": 0x%02x`, text[0])
		}
		text = text[n:]
	}
	return nil
}

// result sends everything of a statement of a simple query.
func (c *client) result(r *session.Result) error {
	switch {
	case r.Empty():
		c.out.bare('I')
		return r.Close()
	case r.Copy != nil && r.Copy.Statement.From:
		return c.copyIn(r)
	case r.Copy != nil:
		return c.copyOut(r)
	case r.Columns != nil:
		c.out.describe(r.Columns, nil)
		if _, err := c.rows(r, nil, 0); err != nil {
			return err
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.out.complete(r)
	return nil
}

// rows sends up to most rows, all if most is 0. more: there may be others.
func (c *client) rows(r *session.Result, formats []int16, most int) (more bool, err error) {
	fields := c.fields[:0]
	var f *types.PGFormat
	for i := range r.Columns {
		t := r.Columns[i].Type
		fields = append(fields, field{t, formatOf(formats, i) == 1})
		if f == nil && needsFormat(t) {
			f = c.x.PGFormat()
		}
	}
	c.fields = fields
	for n := 0; most == 0 || n < most; n++ {
		if !r.Next() {
			return false, r.Err()
		}
		if err := c.out.row(r.Row(), fields, f); err != nil {
			return false, err
		}
		if err := c.out.full(); err != nil {
			return false, errGone
		}
	}
	return true, nil
}

// needsFormat tells whether the session's settings have to do with how values of a type are printed.
func needsFormat(t types.Type) bool {
	switch t.Kind {
	case types.Bool, types.Int1, types.Int2, types.Int3, types.Int4, types.Int8, types.Numeric, types.Text, types.Varchar,
		types.Char, types.Name, types.UUID, types.JSON, types.JSONB, types.Oid:
		return false
	}
	return true
}

// describeOrNoData tells what rows a statement gives.
func describeOrNoData(o *output, columns []plan.Column, formats []int16) {
	if columns == nil {
		o.bare('n')
		return
	}
	o.describe(columns, formats)
}
