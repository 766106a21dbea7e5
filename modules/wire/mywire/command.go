package mywire

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// command runs one command. An error ends the connection; those of statements are told and that is it.
func (c *client) command(ctx context.Context, p []byte) error {
	if len(p) == 0 {
		c.unknown()
		return c.out.err
	}
	body := p[1:]
	switch p[0] {
	case comQuit:
		return errGone
	case comInitDB:
		c.done(c.x.UseDatabase(ctx, string(body)))
	case comQuery:
		return c.query(ctx, body)
	case comFieldList:
		c.fieldList(ctx, body)
	case comRefresh, comPing:
		c.ok(0, 0, 0, "")
	case comDebug:
		c.eof(0)
	case comStatistics:
		at := c.out.begin()
		c.out.buf = c.statistics(c.out.buf)
		c.out.end(at)
	case comProcessInfo:
		return c.statement(ctx, "SHOW FULL PROCESSLIST", 1)
	case comProcessKill:
		r := reader{b: body}
		if id := r.int32(); !r.bad {
			return c.statement(ctx, "KILL "+strconv.FormatUint(uint64(id), 10), 1)
		}
		c.problem(errMalformed)
	case comChangeUser:
		return c.changeUser(ctx, body)
	case comResetConnection:
		c.closeAll()
		err := c.x.Reset(ctx)
		c.settle()
		c.done(err)
	case comSetOption:
		c.setOption(body)
	case comStmtPrepare:
		c.prepare(ctx, string(body))
	case comStmtExecute:
		return c.execute(ctx, body)
	case comStmtLongData:
		c.longData(body)
	case comStmtClose:
		r := reader{b: body}
		c.closeStatement(r.int32())
	case comStmtReset:
		c.resetStatement(body)
	case comStmtFetch:
		return c.fetch(body)
	default:
		c.unknown()
	}
	return c.out.err
}

func (c *client) unknown() {
	c.problem(sqlerr.New("08P01", "unknown command").My(1047, "Unknown command"))
}

// done answers a command that gives nothing.
func (c *client) done(err error) {
	if err != nil {
		c.problem(err)
		return
	}
	c.ok(0, 0, len(c.x.Warnings()), "")
}

// setOption is COM_SET_OPTION: several statements in a text, or not.
func (c *client) setOption(body []byte) {
	r := reader{b: body}
	switch on := r.int16(); {
	case r.bad || on > 1:
		c.unknown()
		return
	case on == 0:
		c.caps |= capMultiStatements
	default:
		c.caps &^= capMultiStatements
	}
	c.eof(0)
}

// statistics is the line of COM_STATISTICS.
func (c *client) statistics(b []byte) []byte {
	up := int64(time.Since(c.s.started).Seconds())
	asked := c.s.metrics.commands.Load()
	b = append(b, "Uptime: "...)
	b = strconv.AppendInt(b, up, 10)
	b = append(b, "  Threads: "...)
	b = strconv.AppendInt(b, int64(c.s.count()), 10)
	b = append(b, "  Questions: "...)
	b = strconv.AppendInt(b, asked, 10)
	b = append(b, "  Slow queries: 0  Opens: 0  Flush tables: 1  Open tables: 0  Queries per second avg: "...)
	return strconv.AppendFloat(b, float64(asked)/float64(max(up, 1)), 'f', 3, 64)
}

// fieldList is COM_FIELD_LIST: the columns of a table.
func (c *client) fieldList(ctx context.Context, body []byte) {
	name, _, ok := bytes.Cut(body, []byte{0})
	if !ok {
		c.problem(errMalformed)
		return
	}
	text := "SELECT * FROM `" + strings.ReplaceAll(string(name), "`", "``") + "` LIMIT 0"
	err := c.x.Query(ctx, text, func(r *session.Result) error {
		for i := range r.Columns {
			c.define(c.column(&r.Columns[i]), true)
		}
		return r.Close()
	})
	if err != nil {
		c.problem(err)
		return
	}
	c.eof(0)
}

// changeUser is COM_CHANGE_USER: another session on the same connection.
func (c *client) changeUser(ctx context.Context, body []byte) error {
	r := reader{b: body}
	l := login{caps: c.caps, user: r.zero()}
	if c.caps&capSecure != 0 {
		l.answer = given(r.take(int(r.byte())))
	} else {
		l.answer = []byte(r.zero())
	}
	l.database = r.last()
	l.collation = c.login.collation
	if len(r.b) >= 2 {
		l.collation = byte(r.int16())
	}
	if c.caps&capPluginAuth != 0 && len(r.b) > 0 {
		l.plugin = r.last()
	}
	if c.caps&capConnectAttrs != 0 && len(r.b) > 0 {
		l.attrs = parseAttrs(&r)
	}
	if r.bad {
		return errMalformed
	}
	waits := len(l.answer) > 0 && l.plugin == pluginCaching // for the outcome of the quick check
	// The nonce of the greeting is used up: an answer to it may have been heard by others.
	l.plugin, l.answer = asked(l.plugin), nil
	switch {
	case c.s.o.Auth != nil:
		if err := c.reauthenticate(&l); err != nil {
			return err
		}
	case waits:
		c.moreData(3)
	}
	c.closeAll()
	c.x.Close()
	c.x = nil
	if err := c.begin(ctx, &l); err != nil {
		return err
	}
	c.ok(0, 0, 0, "")
	return nil
}

// asked is the method that a client is asked to use for another user.
func asked(plugin string) string {
	if plugin == pluginNative {
		return pluginNative
	}
	return pluginCaching
}

// reauthenticate asks for the answer to a fresh nonce.
func (c *client) reauthenticate(l *login) error {
	if l.caps&capPluginAuth == 0 {
		return sqlerr.New("08P01", "the client can't change its user").
			My(1251, "Client does not support authentication protocol requested by server; consider upgrading MySQL client")
	}
	var err error
	if l.answer, err = c.switchTo(l.plugin); err != nil {
		return err
	}
	return c.authenticate(l)
}
