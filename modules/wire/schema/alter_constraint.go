package schema

import (
	"slices"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// addConstraint is ADD CONSTRAINT, and the constraints of an added column.
func (a *alteration) addConstraint(n *ir.Constraint) error {
	w, t := a.w, a.t
	if t.Foreign {
		return sqlerr.Unsupported("a constraint on a table that another program created")
	}
	wasNull := map[int16]bool{}
	for _, c := range t.Columns {
		wasNull[c.Num] = !c.NotNull
	}
	k, x, err := w.newConstraint(t, n)
	if err != nil {
		return err
	}
	if n.UsingIndex != "" {
		if err := w.put(x); err != nil {
			return err
		}
		x = nil
	}
	if x != nil {
		a.plan(x)
	}
	if k == nil {
		return nil
	}
	if k.Kind == PrimaryKey {
		for _, num := range k.Columns {
			if c := t.ColumnByNum(num); wasNull[num] && t.RowID != c && a.old.ColumnByNum(num) != nil {
				a.validate = append(a.validate, func() error { return w.validateNotNull(t, c) })
			}
		}
	}
	if !n.NotValid {
		a.validateLater(k)
	}
	if k.Kind == ForeignKey && w.mysql {
		more, err := w.foreignKeyIndexes(t, w.s.Indices(t))
		if err != nil {
			return err
		}
		for _, x := range more {
			a.plan(x)
		}
	}
	return nil
}

func (a *alteration) dropConstraintAction(act *ir.AlterAction) error {
	w, t := a.w, a.t
	a.cascade.cascade = act.Cascade
	var k *Constraint
	switch act.Kind {
	case ir.DropPrimaryKey:
		if k = t.PrimaryKey(); k == nil {
			return sqlerr.New("42704", "relation \"%s\" has no primary key", t.Name).My(1091, "Can't DROP 'PRIMARY'; check that column/key exists")
		}
	default:
		k = t.Constraint(act.Name)
		if k != nil && act.Kind == ir.DropForeignKey && k.Kind != ForeignKey {
			k = nil
		}
	}
	if k == nil {
		if act.IfExists {
			w.notice(sqlerr.New("00000", "constraint \"%s\" of relation \"%s\" does not exist, skipping", act.Name, t.Name))
			return nil
		}
		e := sqlerr.New("42704", "constraint \"%s\" of relation \"%s\" does not exist", act.Name, t.Name)
		if act.Kind == ir.DropForeignKey {
			return e.My(1091, "Can't DROP '%s'; check that column/key exists", act.Name)
		}
		return e.My(3940, "Constraint '%s' does not exist.", act.Name)
	}
	return a.dropConstraint(k)
}

// dropConstraint takes a constraint away, with the foreign keys that need it under CASCADE.
func (a *alteration) dropConstraint(k *Constraint) error {
	w, t := a.w, a.t
	if k.Kind == PrimaryKey || k.Kind == Unique {
		for _, r := range w.s.Referencing(a.old) {
			if !sameSet(r.Constraint.RefColumns, k.Columns) || w.otherKey(t, k) {
				continue
			}
			if r.Table.OID == t.OID {
				if own := t.Constraint(r.Constraint.Name); own != nil {
					t.Constraints = slices.DeleteFunc(t.Constraints, func(c *Constraint) bool { return c.OID == own.OID })
				}
				continue
			}
			if w.mysql {
				if w.env.NoForeignKeyChecks {
					continue
				}
				return sqlerr.New("2BP01", "index \"%s\" is needed in a foreign key constraint", k.Name).
					My(1553, "Cannot drop index '%s': needed in a foreign key constraint", mysqlKeyName(k))
			}
			what := "constraint " + quoteIdent(r.Constraint.Name) + " on " + describe(r.Table)
			if a.cascade.depends(what, "constraint "+quoteIdent(k.Name)+" on "+describe(t)) {
				if err := w.dropConstraint(r.Table, r.Constraint); err != nil {
					return err
				}
			}
		}
		if len(a.cascade.blocked) > 0 {
			return a.cascade.report()
		}
		if k.Kind == PrimaryKey && t.RowID != nil && len(k.Columns) == 1 && t.RowID.Num == k.Columns[0] {
			if t.RowID.AutoIncrement {
				return wrongAutoKey()
			}
			t.RowID = nil
		}
		if x, ok := w.s.ByOID[k.Index].(*Index); ok {
			if err := a.dropIndex(x); err != nil {
				return err
			}
		}
	}
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c *Constraint) bool { return c.OID == k.OID })
	return nil
}

func mysqlKeyName(k *Constraint) string {
	if k.Kind == PrimaryKey {
		return "PRIMARY"
	}
	return k.Name
}

// otherKey tells whether a table has another key over the same columns.
func (w *work) otherKey(t *Table, k *Constraint) bool {
	return slices.ContainsFunc(t.Constraints, func(o *Constraint) bool {
		return o.OID != k.OID && (o.Kind == PrimaryKey || o.Kind == Unique) && sameSet(o.Columns, k.Columns)
	})
}

func sameSet(a, b []int16) bool {
	if len(a) != len(b) {
		return false
	}
	for _, n := range a {
		if !slices.Contains(b, n) {
			return false
		}
	}
	return true
}

// dropIndex takes an index away at once: nothing of ALTER TABLE needs it any more.
func (a *alteration) dropIndex(x *Index) error {
	if i := slices.Index(a.create, x); i >= 0 {
		a.create = slices.Delete(a.create, i, i+1)
		a.w.forget(x)
		return nil
	}
	return a.w.dropIndex(x)
}

// dropConstraint drops a constraint of any table at once.
func (w *work) dropConstraint(t *Table, k *Constraint) error {
	cur, ok := w.s.ByOID[t.OID].(*Table)
	if !ok {
		cur = t
	}
	a := w.alter(cur)
	a.cascade.cascade = true
	if err := a.dropConstraint(k); err != nil {
		return err
	}
	return a.finish()
}

func (a *alteration) renameConstraint(act *ir.AlterAction) error {
	w, t := a.w, a.t
	name := act.Name
	if name == "" {
		name = act.Column
	}
	k := t.Constraint(name)
	if k == nil {
		return sqlerr.New("42704", "constraint \"%s\" for table \"%s\" does not exist", name, t.Name)
	}
	if hidden(act.NewName) || t.Constraint(act.NewName) != nil {
		return sqlerr.New("42710", "constraint \"%s\" for relation \"%s\" already exists", act.NewName, t.Name)
	}
	if x, ok := w.s.ByOID[k.Index].(*Index); ok && k.Index != 0 {
		return a.renameIndex(x, act.NewName)
	}
	k.Name = act.NewName
	return nil
}

// renameIndex renames an index and the constraint that it is. Its name in SQLite stays.
func (a *alteration) renameIndex(x *Index, name string) error {
	w, t := a.w, a.t
	if hidden(name) {
		return sqlerr.New("42939", "the name \"%s\" is reserved", name)
	}
	n := x.clone()
	n.Name, n.Relation = name, ""
	if w.s.relationTaken(x.Namespace, name) {
		if !w.mysql {
			return relationExists(name)
		}
		if w.tableIndex(t, name) != nil {
			return sqlerr.New("42P07", "relation \"%s\" already exists", name).My(1061, "Duplicate key name '%s'", name)
		}
		n.Relation = freeName(t.Name, name, "idx", func(s string) bool { return w.s.relationTaken(x.Namespace, s) })
	}
	for _, k := range t.Constraints {
		if k.OID == x.Constraint && x.Constraint != 0 {
			k.Name = name
		}
	}
	w.forget(x)
	return w.put(n)
}
