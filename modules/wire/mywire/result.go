package mywire

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// status are the bits of the session's state.
func (c *client) status() uint16 {
	var s uint16
	if c.x == nil {
		return statusAutocommit
	}
	if c.x.InTransaction() {
		s |= statusInTransaction
	}
	if c.x.Autocommit() {
		s |= statusAutocommit
	}
	if c.noBackslash {
		s |= statusNoBackslashEscapes
	}
	if c.more {
		s |= statusMoreResults
	}
	return s
}

// ok is the OK packet.
func (c *client) ok(affected, insertID uint64, warnings int, info string) {
	o := &c.out
	at := o.begin()
	o.byte(0)
	o.lenenc(affected)
	o.lenenc(insertID)
	o.int16(c.status())
	o.int16(uint16(min(warnings, 0xffff)))
	o.buf = append(o.buf, info...)
	o.end(at)
}

// eof is the EOF packet, also where clients want OK packets in its place.
func (c *client) eof(extra uint16) {
	o := &c.out
	at := o.begin()
	o.byte(0xfe)
	o.int16(uint16(min(len(c.x.Warnings()), 0xffff)))
	o.int16(c.status() | extra)
	o.end(at)
}

// endRows ends the rows of a result: EOF, or an OK packet that begins like it.
func (c *client) endRows(extra uint16) {
	if c.caps&capDeprecateEOF == 0 {
		c.eof(extra)
		return
	}
	o := &c.out
	at := o.begin()
	o.byte(0xfe)
	o.lenenc(0)
	o.lenenc(0)
	o.int16(c.status() | extra)
	o.int16(uint16(min(len(c.x.Warnings()), 0xffff)))
	o.end(at)
}

// problem is the ERR packet.
func (c *client) problem(err error) {
	e := sqlerr.FromSQLite(err)
	n := number(e)
	o := &c.out
	at := o.begin()
	o.byte(0xff)
	o.int16(n)
	if c.caps&capProtocol41 != 0 {
		o.byte('#')
		o.buf = append(o.buf, stateOf(e, n)...)
	}
	o.buf = append(o.buf, words(e)...)
	o.end(at)
}

// column is what a client is told of a column, and how its values go out.
type column struct {
	types.MySQLColumn
	t                                    types.Type
	schema, table, origTable, name, orig string
	width                                int // zeros before a number; 0: none
}

// column describes a column of a result.
func (c *client) column(p *plan.Column) column {
	d := column{MySQLColumn: p.Type.MySQL(), t: p.Type, name: p.Name, table: p.TableName}
	if d.Charset != types.BinaryCollation && d.Charset != types.UTF8MB4Bin {
		d.Charset = c.text
	}
	if p.NotNull {
		d.Flags |= types.MyNotNullFlag
	}
	if p.Table == nil || p.Source == nil {
		return d
	}
	d.schema, d.origTable, d.orig = p.Table.Namespace, p.Table.Name, p.Source.Name
	if d.schema == "public" || d.schema == schema.TempNamespace || d.schema == "" {
		d.schema = c.x.Database()
	}
	if d.table == "" {
		d.table = p.Table.Name
	}
	c.flags(&d, p.Table, p.Source)
	return d
}

// flags adds what the schema says.
func (c *client) flags(d *column, t *schema.Table, col *schema.Column) {
	if col.NotNull || t.RowID == col {
		d.Flags |= types.MyNotNullFlag
	}
	if col.AutoIncrement {
		d.Flags |= types.MyAutoIncrementFlag
	}
	if col.OnUpdateNow {
		d.Flags |= types.MyOnUpdateNowFlag
	}
	for _, k := range t.Constraints {
		for i, n := range k.Columns {
			if n != col.Num {
				continue
			}
			switch {
			case k.Kind == schema.PrimaryKey:
				d.Flags |= types.MyPrimaryKeyFlag
			case k.Kind == schema.Unique && len(k.Columns) == 1:
				d.Flags |= types.MyUniqueKeyFlag
			case k.Kind == schema.Unique && i == 0:
				d.Flags |= types.MyMultipleKeyFlag
			}
		}
	}
	if d.Flags&types.MyNotNullFlag != 0 && col.Default == "" && col.DefaultSQL == "" && !col.AutoIncrement {
		d.Flags |= types.MyNoDefaultFlag
	}
	// Display widths: tinyint(1) is what clients take for a truth value.
	_, rest, ok := strings.Cut(col.Declared, "(")
	if !ok || !col.Type.IsInteger() {
		rest = ""
	}
	digits, _, _ := strings.Cut(rest, ")")
	width, err := strconv.Atoi(digits)
	if err != nil || width < 1 || width > 255 {
		width = 0
	}
	if width > 0 {
		d.Length = uint32(width)
	}
	if strings.HasSuffix(col.Declared, "zerofill") {
		d.Flags |= types.MyZerofillFlag
		if d.width = width; width == 0 {
			d.width = int(d.Length)
		}
		d.Length = uint32(d.width)
	}
}

// define sends the definition of a column. listed: for COM_FIELD_LIST, with a default (there is none told).
func (c *client) define(d column, listed bool) {
	o := &c.out
	at := o.begin()
	o.text("def")
	o.text(d.schema)
	o.text(d.table)
	o.text(d.origTable)
	o.text(d.name)
	o.text(d.orig)
	o.byte(0x0c)
	o.int16(d.Charset)
	o.int32(d.Length)
	o.byte(d.Type)
	o.int16(d.Flags)
	o.byte(d.Decimals)
	o.int16(0)
	if listed {
		o.byte(0xfb)
	}
	o.end(at)
}

// head sends the definitions of a result's columns. extra are bits of the status after them; cursor results have no rows
// until they are fetched.
func (c *client) head(columns []plan.Column, cursor bool) []column {
	o := &c.out
	at := o.begin()
	o.lenenc(uint64(len(columns)))
	o.end(at)
	defs := c.columns(columns)
	for i := range defs {
		c.define(defs[i], false)
	}
	switch {
	case cursor:
		c.endRows(statusCursorExists)
	case c.caps&capDeprecateEOF == 0:
		c.eof(0)
	}
	return defs
}

func (c *client) columns(columns []plan.Column) []column {
	defs := c.defs[:0]
	for i := range columns {
		defs = append(defs, c.column(&columns[i]))
	}
	c.defs = defs
	return defs
}

// formatFor is the session's format if a column needs it.
func (c *client) formatFor(defs []column) *types.MyFormat {
	for i := range defs {
		if defs[i].t.Kind == types.TimestampTZ {
			return c.x.MyFormat()
		}
	}
	return nil
}

// rows sends up to most rows, all if most is negative. more: there may be others.
func (c *client) rows(r *session.Result, defs []column, binary bool, most int64) (more bool, err error) {
	f := c.formatFor(defs)
	for n := int64(0); most < 0 || n < most; n++ {
		if !r.Next() {
			return false, r.Err()
		}
		if binary {
			err = c.binaryRow(r.Row(), defs, f)
		} else {
			c.textRow(r.Row(), defs, f)
		}
		if err != nil {
			return false, err
		}
		if c.out.full() != nil {
			return false, errGone
		}
	}
	return true, nil
}

func (c *client) textRow(row []types.Value, defs []column, f *types.MyFormat) {
	o := &c.out
	at := o.begin()
	for i := range defs {
		if d := &defs[i]; d.width > 0 && row[i].Class == types.Int {
			o.buf = appendZerofill(o.buf, row[i].I, d.width)
			continue
		}
		o.buf = types.AppendMySQLTextCell(o.buf, defs[i].t, row[i], f)
	}
	o.end(at)
}

// appendZerofill appends a number as a cell with zeros before it.
func appendZerofill(b []byte, i int64, width int) []byte {
	var digits [20]byte
	s := strconv.AppendInt(digits[:0], i, 10)
	n := max(width, len(s))
	b = types.AppendLengthEncoded(b, uint64(n))
	for range n - len(s) {
		b = append(b, '0')
	}
	return append(b, s...)
}

// binaryRow is a row of a prepared statement. After an error nothing of it is left in the output.
func (c *client) binaryRow(row []types.Value, defs []column, f *types.MyFormat) error {
	o := &c.out
	at := o.begin()
	o.byte(0)
	nulls := len(o.buf)
	for range (len(defs) + 9) / 8 {
		o.byte(0)
	}
	for i := range defs {
		if row[i].Class == types.Null {
			o.buf[nulls+(i+2)/8] |= 1 << ((i + 2) % 8)
			continue
		}
		var err error
		if o.buf, err = types.AppendMySQLBinary(o.buf, defs[i].t, row[i], f); err != nil {
			o.buf = o.buf[:at-4]
			return err
		}
	}
	o.end(at)
	return nil
}
