package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// onConflict prints SQLite's upsert.
func (b *builder) onConflict(ins *insertion, oc *ir.OnConflict, outer *level) string {
	var s strings.Builder
	s.WriteString(" ON CONFLICT")
	t := ins.table
	if !oc.AnyKey {
		if target := b.conflictTarget(ins, oc); target != "" {
			s.WriteString(" " + target)
		}
	}
	if len(oc.Update) == 0 {
		s.WriteString(" DO NOTHING")
		return s.String()
	}
	s.WriteString(" DO UPDATE SET ")
	ex := &item{name: "excluded", named: true, excluded: true, visible: b.pg()}
	if b.my() && oc.RowAlias != "" {
		ex.name = oc.RowAlias
	}
	for _, c := range ins.item.columns {
		k := *c
		k.sql = "excluded." + quote(c.source.Name)
		k.notNull = false
		ex.columns = append(ex.columns, &k)
	}
	sc := &level{outer: outer, items: []*item{ins.item, ex}}
	set, where := b.assignments(oc.Update, ins.item, sc)
	s.WriteString(set)
	if oc.UpdateIf != nil {
		where = b.condition(oc.UpdateIf, sc, inWhere, "WHERE")
	}
	if where != "" {
		s.WriteString(" WHERE " + where)
	}
	for _, a := range oc.Update {
		for _, c := range a.Columns {
			b.touch(t, "UPDATE", c.Name)
		}
	}
	return s.String()
}

// conflictTarget prints the columns that a conflict is about, "" for any.
func (b *builder) conflictTarget(ins *insertion, oc *ir.OnConflict) string {
	t := ins.table
	var parts []string
	if oc.Constraint != "" {
		k := t.Constraint(oc.Constraint)
		if k == nil || k.Kind != 'p' && k.Kind != 'u' {
			b.fail(sqlerr.New("42704", "constraint \"%s\" for table \"%s\" does not exist", oc.Constraint, t.Name))
		}
		for _, num := range k.Columns {
			parts = append(parts, quote(columnByNum(t, num).Name))
		}
		return "(" + strings.Join(parts, ", ") + ")"
	}
	if len(oc.Columns) == 0 {
		return ""
	}
	sc := &level{items: []*item{bareItem(ins.item)}}
	for _, c := range oc.Columns {
		if c.Column != "" {
			parts = append(parts, quote(b.targetColumn(t, c.Column, ins.s.Table.Pos).Name))
			continue
		}
		parts = append(parts, b.settle(b.expr(c.Expr, sc)).arg())
	}
	if oc.Where == nil && !b.hasKey(t, oc.Columns) {
		b.fail(sqlerr.New("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification"))
	}
	target := "(" + strings.Join(parts, ", ") + ")"
	if oc.Where != nil {
		target += " WHERE " + b.condition(oc.Where, sc, inWhere, "WHERE")
	}
	return target
}

// bareItem is an item whose columns are printed without a qualifier, as indexes need.
func bareItem(it *item) *item {
	c := *it
	c.columns = make([]*column, len(it.columns))
	for i, col := range it.columns {
		k := *col
		k.sql = unqualified(col.sql)
		c.columns[i] = &k
	}
	return &c
}

// hasKey reports whether the schema has a unique key of exactly these columns. Expressions are left to SQLite.
func (b *builder) hasKey(t *schema.Table, columns []ir.IndexColumn) bool {
	var nums []int16
	for _, c := range columns {
		if c.Column == "" {
			return true
		}
		nums = append(nums, b.columnNamed(t, c.Column).Num)
	}
	slices.Sort(nums)
	equal := func(cols []int16) bool {
		cols = slices.Clone(cols)
		slices.Sort(cols)
		return slices.Equal(cols, nums)
	}
	if t.Foreign {
		return true
	}
	for _, k := range t.Constraints {
		if (k.Kind == 'p' || k.Kind == 'u') && equal(k.Columns) {
			return true
		}
	}
	if b.env.Schema != nil {
		for _, x := range b.env.Schema.Indices(t) {
			if !x.Unique {
				continue
			}
			var cols []int16
			for _, c := range x.Columns {
				cols = append(cols, c.Column)
			}
			if equal(cols) {
				return true
			}
		}
	}
	return false
}
