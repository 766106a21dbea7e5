package plan

import (
	"slices"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// changingCTE plans WITH x AS (INSERT, UPDATE or DELETE … RETURNING …) SELECT … FROM x, where the query does nothing but
// show the returned rows: it becomes the change itself, returning what the query selects. nil for any other query; other
// uses of a change in WITH are refused where WITH is resolved.
func (b *builder) changingCTE(q *ir.Query) *Plan {
	if q.With == nil || len(q.With.CTEs) == 0 || b.my() {
		return nil
	}
	last := q.With.CTEs[len(q.With.CTEs)-1]
	if _, plain := last.Stmt.(*ir.Query); plain {
		return nil
	}
	s, ok := q.Body.(*ir.Select)
	if !ok || s.Distinct || s.DistinctOn != nil || s.Where != nil || s.GroupBy != nil || s.Having != nil || len(s.From) != 1 ||
		q.OrderBy != nil || q.Limit != nil || q.Offset != nil {
		return nil
	}
	from, ok := s.From[0].(*ir.Table)
	if !ok || from.Name.Schema != "" || from.Name.Name != last.Name || len(from.Columns) > 0 {
		return nil
	}
	for _, it := range s.Items {
		if b.hasAggregate(it.Expr) {
			return nil
		}
	}
	name := from.Alias
	if name == "" {
		name = last.Name
	}
	b.through = &throughCTE{name: name, columns: last.Columns, items: s.Items}
	defer func() { b.through = nil }()
	rest := slices.Clone(q.With.CTEs[:len(q.With.CTEs)-1])
	add := func(w *ir.With) *ir.With {
		if len(rest) == 0 {
			return w
		}
		out := &ir.With{Recursive: q.With.Recursive, CTEs: rest}
		if w != nil {
			out.CTEs = append(out.CTEs, w.CTEs...)
		}
		return out
	}
	var p *Plan
	switch st := last.Stmt.(type) {
	case *ir.Insert:
		if len(st.Returning) == 0 {
			return nil
		}
		c := *st
		c.With = add(st.With)
		p = b.insertPlan(&c)
	case *ir.Update:
		if len(st.Returning) == 0 {
			return nil
		}
		c := *st
		c.With = add(st.With)
		p = b.updatePlan(&c)
	case *ir.Delete:
		if len(st.Returning) == 0 {
			return nil
		}
		c := *st
		c.With = add(st.With)
		p = b.deletePlan(&c)
	default:
		return nil
	}
	p.Verb = "SELECT"
	return p
}

// throughCTE is a query over the rows that a change returns.
type throughCTE struct {
	name    string
	columns []string
	items   []ir.Item
}

// apply resolves the query's list over the returned columns.
func (t *throughCTE) apply(b *builder, rel *relation) {
	rel.settle(b)
	it := &item{name: t.name, visible: true, named: true}
	for _, o := range rel.outputs() {
		c := &column{name: o.name, alias: t.name, sql: o.node.text(), typ: o.node.typ, notNull: o.node.notNull, coll: o.node.coll, bare: o.node.bare, span: o.node.span}
		if o.node.column != nil {
			c.source, c.table = o.node.column.source, o.node.column.table
		} else if !o.node.atom {
			c.sql = "(" + c.sql + ")"
		}
		it.columns = append(it.columns, c)
	}
	b.renameColumns(it, t.columns)
	sc := &level{items: []*item{it}, clause: inReturning}
	rel.core.outputs = nil
	for _, x := range t.items {
		rel.core.outputs = append(rel.core.outputs, b.item(x, sc)...)
	}
	rel.settle(b)
}
