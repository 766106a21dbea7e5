package schema

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// dropping removes objects with what depends on them.
type dropping struct {
	w        *work
	cascade  bool
	gone     map[uint32]bool // being dropped: their dependencies count for nothing
	cascaded []string        // what CASCADE took along, for the notice
	blocked  []string        // what depends on what is dropped, without CASCADE
	what     string          // the first object that was blocked
}

// depends notes that something depends on what is dropped; it tells whether it may go too.
func (d *dropping) depends(dependent, on string) bool {
	if d.cascade {
		if !slices.Contains(d.cascaded, dependent) {
			d.cascaded = append(d.cascaded, dependent)
		}
		return true
	}
	if d.what == "" {
		d.what = on
	}
	line := dependent + " depends on " + on
	if !slices.Contains(d.blocked, line) {
		d.blocked = append(d.blocked, line)
	}
	return false
}

// report ends a drop: an error if something was in the way, else a notice of what CASCADE took.
func (d *dropping) report() error {
	if len(d.blocked) > 0 {
		e := sqlerr.New("2BP01", "cannot drop %s because other objects depend on it", d.what).
			WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
		e.Detail = strings.Join(d.blocked, "\n")
		return e
	}
	if d.w.mysql {
		return nil
	}
	switch n := len(d.cascaded); {
	case n == 1:
		d.w.notice(sqlerr.New("00000", "drop cascades to %s", d.cascaded[0]))
	case n > 1:
		e := sqlerr.New("00000", "drop cascades to %d other objects", n)
		e.Detail = "drop cascades to " + strings.Join(d.cascaded, "\ndrop cascades to ")
		d.w.notice(e)
	}
	return nil
}

// describe names an object as PostgreSQL's messages do.
func describe(o any) string {
	switch o := o.(type) {
	case *Table:
		if o.View {
			return "view " + qualified(o.Namespace, o.Name, Public)
		}
		return "table " + qualified(o.Namespace, o.Name, Public)
	case *Index:
		return "index " + qualified(o.Namespace, o.RelationName(), Public)
	case *Sequence:
		return "sequence " + qualified(o.Namespace, o.Name, Public)
	case *Enum:
		return "type " + qualified(o.Namespace, o.Name, Public)
	case *Domain:
		return "type " + qualified(o.Namespace, o.Name, Public)
	}
	return ""
}

// views drops the views that read a table or, if column isn't "", that column of it.
func (d *dropping) views(t *Table, column string) error {
	for _, v := range d.w.dependentViews(t, column) {
		if d.gone[v.OID] {
			continue
		}
		on := describe(t)
		if column != "" {
			on = "column " + quoteIdent(column) + " of " + on
		}
		// In MySQL a view may outlive its tables; SQLite too lets it stand until it is used.
		if d.w.mysql {
			continue
		}
		if d.depends(describe(v), on) {
			d.gone[v.OID] = true
			if err := d.view(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// dependentViews returns the views that read a table or a column of it, in a stable order.
func (w *work) dependentViews(t *Table, column string) []*Table {
	var out []*Table
	for _, v := range w.s.SortedTables() {
		if v.View && slices.ContainsFunc(v.Uses, func(u Use) bool {
			return u.Table == t.OID && (column == "" || u.Column == "*" || u.Column == column)
		}) {
			out = append(out, v)
		}
	}
	return out
}

func (d *dropping) view(v *Table) error {
	if err := d.views(v, ""); err != nil || len(d.blocked) > 0 {
		return err
	}
	if d.w.s.Tables[v.Key()] == nil {
		return nil
	}
	if err := exec(d.w.c, "DROP VIEW "+dbNames[dbOf(v.Temp)]+"."+quote(v.SQLName)); err != nil {
		return err
	}
	d.w.dirty[dbOf(v.Temp)] = true
	return d.w.remove(v)
}

func (d *dropping) table(t *Table) error {
	w := d.w
	if err := d.views(t, ""); err != nil {
		return err
	}
	for _, r := range w.s.Referencing(t) {
		if r.Table.OID == t.OID || d.gone[r.Table.OID] {
			continue
		}
		if w.mysql {
			if w.env.NoForeignKeyChecks {
				continue
			}
			return sqlerr.New("2BP01", "cannot drop table %s because other objects depend on it", t.Name).
				My(3730, "Cannot drop table '%s' referenced by a foreign key constraint '%s' on table '%s'.", t.Name, r.Constraint.Name, r.Table.Name)
		}
		what := "constraint " + quoteIdent(r.Constraint.Name) + " on " + describe(r.Table)
		if d.depends(what, describe(t)) {
			if err := w.dropConstraint(r.Table, r.Constraint); err != nil {
				return err
			}
		}
	}
	if len(d.blocked) > 0 {
		return nil
	}
	return w.dropTable(t, d)
}

// dropTable removes a table that nothing keeps any more, with its indexes, sequences and types.
func (w *work) dropTable(t *Table, d *dropping) error {
	for _, x := range slices.Clone(w.s.Indices(t)) {
		if err := w.remove(x); err != nil {
			return err
		}
	}
	for _, q := range w.sequencesOf(t, 0) {
		d.gone[q.OID] = true
		if err := d.sequence(q); err != nil {
			return err
		}
	}
	for _, e := range w.s.Enums {
		if e.Table == t.OID {
			if err := w.remove(e); err != nil {
				return err
			}
		}
	}
	// Foreign keys that stay (foreign_key_checks = 0) remember the names.
	for _, r := range w.s.Referencing(t) {
		if r.Table.OID == t.OID {
			continue
		}
		child := r.Table.clone()
		for _, k := range child.Constraints {
			if k.OID == r.Constraint.OID {
				k.RefNames, k.RefColumns = columnNames(t, k.RefColumns), nil
				k.RefTable, k.RefTableName = 0, t.Key()
			}
		}
		if err := w.put(child); err != nil {
			return err
		}
	}
	if err := w.dropSQLTable(t); err != nil {
		return err
	}
	w.dirty[dbOf(t.Temp)] = true
	return w.remove(t)
}

// sequencesOf returns the sequences that a table's columns own, or one column does.
func (w *work) sequencesOf(t *Table, column int16) []*Sequence {
	var out []*Sequence
	for _, q := range w.s.Sequences {
		if q.OwnedTable == t.OID && (column == 0 || q.OwnedColumn == column) {
			out = append(out, q)
		}
	}
	slices.SortFunc(out, func(a, b *Sequence) int { return int(int64(a.OID) - int64(b.OID)) })
	return out
}

func (d *dropping) index(x *Index) error {
	t, _ := d.w.s.ByOID[x.Table].(*Table)
	if x.Constraint != 0 && t != nil {
		for _, k := range t.Constraints {
			if k.OID == x.Constraint {
				e := sqlerr.New("2BP01", "cannot drop index %s because constraint %s on table %s requires it", x.Name, k.Name, t.Name).
					WithHint("You can drop constraint %s on table %s instead.", k.Name, t.Name)
				return e
			}
		}
	}
	return d.w.dropIndex(x)
}

func (d *dropping) sequence(q *Sequence) error {
	w := d.w
	if t, ok := w.s.ByOID[q.OwnedTable].(*Table); ok && q.Identity && !d.gone[t.OID] && !d.gone[q.OID|identityGone] {
		c := t.ColumnByNum(q.OwnedColumn)
		if c != nil {
			return sqlerr.New("2BP01", "cannot drop sequence %s because column %s of table %s requires it", q.Name, c.Name, t.Name).
				WithHint("You can drop column %s of table %s instead.", c.Name, t.Name)
		}
	}
	for _, t := range w.s.SortedTables() {
		if d.gone[t.OID] {
			continue
		}
		var changed *Table
		for _, c := range t.Columns {
			if c.NextVal != q.OID {
				continue
			}
			what := "default value for column " + quoteIdent(c.Name) + " of " + describe(t)
			if !d.depends(what, describe(q)) {
				continue
			}
			if changed == nil {
				changed = t.clone()
			}
			cc := changed.ColumnByNum(c.Num)
			cc.NextVal, cc.Default, cc.DefaultSQL = 0, "", ""
		}
		if changed != nil {
			if err := w.put(changed); err != nil {
				return err
			}
		}
	}
	if len(d.blocked) > 0 {
		return nil
	}
	w.dirty[dbOf(q.Temp)] = true
	return w.remove(q)
}

// identityGone marks, in dropping.gone, the sequence of an identity column that is being dropped itself.
const identityGone = 1 << 31

func (d *dropping) enum(e *Enum) error {
	for _, t := range d.w.s.SortedTables() {
		if t.View || d.gone[t.OID] {
			continue
		}
		for _, c := range t.Columns {
			uses := c.Type.Kind == types.Enum && c.Type.OID == e.OID || c.Type.Kind == types.Array && c.Type.OID == e.ArrayOID
			if uses && d.depends("column "+quoteIdent(c.Name)+" of "+describe(t), describe(e)) {
				if err := d.w.dropColumn(t, c, d); err != nil {
					return err
				}
			}
		}
	}
	if len(d.blocked) > 0 {
		return nil
	}
	d.w.dirty[mainDB] = true
	return d.w.remove(e)
}

func (d *dropping) domain(o *Domain) error {
	for _, t := range d.w.s.SortedTables() {
		if t.View || d.gone[t.OID] {
			continue
		}
		for _, c := range t.Columns {
			if c.Domain == o.OID && d.depends("column "+quoteIdent(c.Name)+" of "+describe(t), describe(o)) {
				if err := d.w.dropColumn(t, c, d); err != nil {
					return err
				}
			}
		}
	}
	if len(d.blocked) > 0 {
		return nil
	}
	d.w.dirty[mainDB] = true
	return d.w.remove(o)
}
