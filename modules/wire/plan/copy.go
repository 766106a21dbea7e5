package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func constantInt(i int64) string { return strconv.FormatInt(i, 10) }

// copyPlan plans what COPY runs on the database. TO: the query whose rows go out. FROM: an INSERT of one row with a
// parameter for each field of the input, in the storage form of Params (with the columns' lengths and precisions);
// Columns then are the columns that the fields go into.
func (b *builder) copyPlan(s *ir.Copy) *Plan {
	if s.Query != nil {
		p := b.statement(s.Query)
		p.Verb = "COPY"
		return p
	}
	t := b.table(*s.Table)
	columns := b.copyColumns(t, s.Columns, s.From, s.Table.Pos)
	if !s.From {
		b.touch(t, "SELECT", "")
		p := &Plan{Verb: "COPY", Table: t}
		names := make([]string, len(columns))
		for i, c := range columns {
			b.touch(t, "SELECT", c.Name)
			names[i] = quote(c.Name)
			p.Columns = append(p.Columns, Column{Name: c.Name, Type: c.Type, Table: t, Source: c, NotNull: c.NotNull})
		}
		p.SQL = "SELECT " + strings.Join(names, ", ") + " FROM " + quote(t.SQLName)
		if len(names) == 0 {
			p.SQL = "SELECT NULL FROM " + quote(t.SQLName)
		}
		if t.View {
			b.fail(sqlerr.New("42809", "cannot copy from view \"%s\"", t.Name).WithHint("Try the COPY (SELECT ...) TO variant."))
		}
		return b.finish(p)
	}
	b.writable(*s.Table, "copy to")
	p := b.loadRow(t, columns, "COPY")
	if s.Where != nil {
		b.unsupported("COPY FROM … WHERE")
	}
	return p
}

// copyColumns are the columns that COPY names, or all that aren't generated.
func (b *builder) copyColumns(t *schema.Table, names []string, write bool, pos int) []*schema.Column {
	var out []*schema.Column
	if len(names) == 0 {
		for _, c := range t.Columns {
			if !generated(c) {
				out = append(out, c)
			}
		}
		return out
	}
	for _, name := range names {
		c := b.targetColumn(t, name, pos)
		if generated(c) {
			err := sqlerr.New("42P10", "column \"%s\" is a generated column", name)
			err.Detail = "Generated columns cannot be used in COPY."
			b.fail(err)
		}
		out = append(out, c)
	}
	return out
}

// loadRow is the INSERT of one row of parameters.
func (b *builder) loadRow(t *schema.Table, columns []*schema.Column, verb string) *Plan {
	p := &Plan{Verb: verb, Class: Write, Table: t, AutoColumn: autoColumn(t)}
	s := &ir.Insert{}
	ins := &insertion{table: t, s: s, item: b.dmlItem(t, "")}
	for _, c := range columns {
		s.Columns = append(s.Columns, c.Name)
		b.touch(t, "INSERT", c.Name)
	}
	b.touch(t, "INSERT", "")
	b.params = make([]types.Type, len(columns))
	b.insertColumns(ins)
	names := make([]string, len(ins.columns))
	values := make([]string, len(ins.columns))
	for i, c := range ins.columns {
		names[i] = quote(c.Name)
		if i >= ins.given {
			values[i] = b.defaultNode(c, t).text()
			continue
		}
		b.params[i] = c.Type
		p.Columns = append(p.Columns, Column{Name: c.Name, Type: c.Type, Table: t, Source: c, NotNull: c.NotNull})
		n := &node{sql: "?" + strconv.Itoa(i+1), typ: c.Type, atom: true}
		values[i] = b.guardRowID(c, n, t).text()
	}
	p.SQL = "INSERT INTO " + quote(t.SQLName) + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(values, ", ") + ")"
	if len(names) == 0 {
		p.SQL = "INSERT INTO " + quote(t.SQLName) + " DEFAULT VALUES"
	}
	return b.finish(p)
}

// loadPlan plans the INSERT that LOAD DATA runs for each line: a parameter for each field. Fields that go into @variables
// and SET are not there yet.
func (b *builder) loadPlan(s *ir.LoadData) *Plan {
	t := b.writable(s.Table, "load data into")
	if len(s.Set) > 0 {
		b.unsupported("LOAD DATA … SET")
	}
	for _, name := range s.Columns {
		if strings.HasPrefix(name, "@") {
			b.unsupported("LOAD DATA into variables")
		}
	}
	p := b.loadRow(t, b.copyColumns(t, s.Columns, true, s.Table.Pos), "LOAD")
	switch {
	case s.Replace:
		p.SQL = "REPLACE" + strings.TrimPrefix(p.SQL, "INSERT")
	case s.Ignore || s.Local:
		p.SQL = "INSERT OR IGNORE" + strings.TrimPrefix(p.SQL, "INSERT")
	}
	return p
}
