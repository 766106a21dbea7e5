package mywire

import (
	"context"
	"errors"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// query is COM_QUERY.
func (c *client) query(ctx context.Context, body []byte) error {
	text := string(body)
	several := 1
	if strings.IndexByte(text, ';') >= 0 {
		var second int
		if several, second = mysql.Count(text, c.options()); several > 1 && c.caps&capMultiStatements == 0 {
			c.problem(mysql.SyntaxError(text, second))
			return nil
		}
	}
	return c.statement(ctx, text, several)
}

func (c *client) options() mysql.Options {
	return mysql.Options{ANSIQuotes: c.ansiQuotes, NoBackslashEscapes: c.noBackslash}
}

// statement runs a text of so many statements and sends their results.
func (c *client) statement(ctx context.Context, text string, several int) error {
	left := several
	follow := several > 1 || settles(text)
	err := c.x.Query(ctx, text, func(r *session.Result) error {
		left--
		c.more = left > 0
		return c.result(r, text, follow)
	})
	c.more = false
	switch {
	case errors.Is(err, errGone):
		return errGone
	case c.out.err != nil:
		return c.out.err
	case err != nil:
		c.problem(err)
	case left == several:
		c.ok(0, 0, 0, "")
	}
	return nil
}

// settles tells whether a statement may set a variable that the protocol follows.
func settles(text string) bool {
	text = strings.TrimLeft(text, " \t\r\n(")
	return len(text) > 0 && (text[0]|0x20 == 's' && len(text) > 2 && text[1]|0x20 == 'e' && text[2]|0x20 == 't' || text[0] == '/' || text[0] == '-' || text[0] == '#')
}

// result sends one result of a text. follow: it may have set a variable that the protocol follows.
func (c *client) result(r *session.Result, text string, follow bool) error {
	switch {
	case r.Empty():
		if strings.Trim(text, " \t\r\n;") == "" {
			return sqlerr.New("42601", "the query is empty").My(1065, "Query was empty")
		}
		c.ok(0, 0, 0, "")
		return r.Close()
	case r.Load != nil:
		return c.load(r)
	case r.Columns == nil:
		if err := r.Close(); err != nil {
			return err
		}
		if follow {
			c.settle()
		}
		c.ok(uint64(max(r.Affected(), 0)), r.InsertID(), len(c.x.Warnings()), "")
		return nil
	}
	defs := c.head(r.Columns, false)
	if _, err := c.rows(r, defs, false, -1); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.endRows(0)
	return nil
}
