package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func (b *builder) deletePlan(s *ir.Delete) *Plan {
	p := &Plan{Verb: "DELETE", Class: Write}
	sc := &level{}
	with := ""
	if s.With != nil {
		with = b.with(s.With, sc)
	}
	var out strings.Builder
	out.WriteString(with)
	tab, plain := s.From.(*ir.Table)
	if plain && (len(s.Targets) == 0 || len(s.Targets) == 1) && (len(s.Using) == 0 || b.pg()) {
		b.deleteFrom(s, tab, sc, p, &out)
	} else {
		b.deleteJoin(s, sc, p, &out)
	}
	p.SQL = out.String()
	return b.finish(p)
}

// deleteFrom deletes from one table, with PostgreSQL's USING or MySQL's ORDER BY and LIMIT.
func (b *builder) deleteFrom(s *ir.Delete, tab *ir.Table, sc *level, p *Plan, out *strings.Builder) {
	t := b.writable(tab.Name, "delete from")
	p.Table = t
	b.touch(t, "DELETE", "")
	it := b.dmlItem(t, tab.Alias)
	sc.items = []*item{it}
	using := ""
	if len(s.Using) > 0 {
		fsc := &level{outer: sc.outer, ctes: sc.ctes}
		using = b.from(s.Using, fsc)
		for _, f := range fsc.items {
			b.addItem(f, sc)
		}
	}
	where := ""
	if s.Where != nil {
		where = b.condition(s.Where, sc, inWhere, "WHERE")
	}
	if using != "" {
		id := it.ref + "." + rowid(t)
		sql := "SELECT " + id + " FROM " + quote(t.SQLName) + ", " + using
		if where != "" {
			sql += " WHERE " + where
		}
		where = id + " IN (" + sql + ")"
	}
	where = b.limitRows(s.OrderBy, s.Limit, t, it, where, sc)
	out.WriteString("DELETE FROM " + quote(t.SQLName))
	if where != "" {
		out.WriteString(" WHERE " + where)
	}
	p.Columns = b.returning(s.Returning, it, sc.items[1:], out)
}

// deleteJoin is MySQL's DELETE of the rows of one table that a join finds, under one alias or several.
func (b *builder) deleteJoin(s *ir.Delete, sc *level, p *Plan, out *strings.Builder) {
	list := []ir.TableExpr{s.From}
	if s.From == nil {
		list = nil
	}
	list = append(list, s.Using...)
	from := b.from(list, sc)
	var t *schema.Table
	var refs []string
	for _, name := range s.Targets {
		target, _ := b.findItem(sc, name.Schema, name.Name)
		if target == nil || target.table == nil {
			b.failAt(sqlerr.New("42P01", "relation \"%s\" does not exist", name.Name).
				My(1109, "Unknown table '%s' in MULTI DELETE", name.Name), name.Pos)
		}
		if target.table.View || b.isSystem(target.table) {
			b.fail(sqlerr.New("42809", "cannot delete from \"%s\"", name.Name).My(1288, "The target table %s of the DELETE is not updatable", name.Name))
		}
		if t != nil && t != target.table {
			b.unsupported("DELETE from several tables in one statement")
		}
		t = target.table
		refs = append(refs, target.ref)
	}
	p.Table = t
	b.touch(t, "DELETE", "")
	rest := " FROM " + from
	if s.Where != nil {
		rest += " WHERE " + b.condition(s.Where, sc, inWhere, "WHERE")
	}
	id := rowid(t)
	out.WriteString("DELETE FROM " + quote(t.SQLName) + " WHERE " + id + " IN (")
	for i, ref := range refs {
		if i > 0 {
			out.WriteString(" UNION ")
		}
		out.WriteString("SELECT " + ref + "." + id + rest)
	}
	out.WriteString(")")
}

// truncatePlan empties tables, those that refer to others first.
func (b *builder) truncatePlan(s *ir.Truncate) *Plan {
	p := &Plan{Verb: "TRUNCATE TABLE", Class: Write}
	if b.my() {
		p.Verb = "TRUNCATE"
	}
	var tables []*schema.Table
	for _, name := range s.Tables {
		t := b.writable(name, "truncate")
		if !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	for i := 0; i < len(tables); i++ {
		for _, ref := range b.referencing(tables[i]) {
			if slices.Contains(tables, ref) {
				continue
			}
			if s.Cascade {
				tables = append(tables, ref)
				continue
			}
			err := sqlerr.New("0A000", "cannot truncate a table referenced in a foreign key constraint").
				WithHint("Truncate table \"%s\" at the same time, or use TRUNCATE ... CASCADE.", ref.Name).
				My(1701, "Cannot truncate a table referenced in a foreign key constraint ('%s')", ref.Name)
			err.Detail = "Table \"" + ref.Name + "\" references \"" + tables[i].Name + "\"."
			if b.my() && b.env.NoForeignKeyChecks {
				continue
			}
			b.fail(err)
		}
	}
	ordered, cyclic := b.childrenFirst(tables)
	if cyclic {
		p.Before = append(p.Before, "PRAGMA defer_foreign_keys = 1")
	}
	var sqls []string
	for _, t := range ordered {
		b.touch(t, "TRUNCATE", "")
		if s.RestartIdentity || b.my() {
			sqls = append(sqls, b.restart(t)...)
		}
		sqls = append(sqls, "DELETE FROM "+quote(t.SQLName))
	}
	p.Before = append(p.Before, sqls[:len(sqls)-1]...)
	p.SQL = sqls[len(sqls)-1]
	p.Table = tables[0]
	return b.finish(p)
}

func (b *builder) referencing(t *schema.Table) []*schema.Table {
	var out []*schema.Table
	if b.env.Schema == nil {
		return nil
	}
	for _, r := range b.env.Schema.Referencing(t) {
		if r.Table != t {
			out = append(out, r.Table)
		}
	}
	return out
}

// childrenFirst orders tables so that none is emptied before those that refer to it.
func (b *builder) childrenFirst(tables []*schema.Table) (out []*schema.Table, cyclic bool) {
	state := map[*schema.Table]int{}
	var visit func(t *schema.Table)
	visit = func(t *schema.Table) {
		switch state[t] {
		case 1:
			cyclic = true
			return
		case 2:
			return
		}
		state[t] = 1
		for _, child := range b.referencing(t) {
			if slices.Contains(tables, child) {
				visit(child)
			}
		}
		state[t] = 2
		out = append(out, t)
	}
	for _, t := range tables {
		visit(t)
	}
	return out, cyclic
}

// restart prints what sets a table's generated values back to the first.
func (b *builder) restart(t *schema.Table) []string {
	var out []string
	for _, c := range t.Columns {
		if c.AutoIncrement {
			out = append(out, "DELETE FROM sqlite_sequence WHERE name = "+stringSQL(t.SQLName))
		}
		if c.Sequence == 0 || b.env.Schema == nil {
			continue
		}
		if q, ok := b.env.Schema.ByOID[c.Sequence].(*schema.Sequence); ok {
			oid := constantInt(int64(q.OID))
			prefix := ""
			if t.Temp {
				prefix = "temp."
			}
			out = append(out, "UPDATE "+prefix+"__bop_sequences SET value = "+constantInt(q.Start)+", called = 0 WHERE oid = "+oid)
		}
	}
	return out
}
