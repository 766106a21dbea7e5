package schema

import (
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// alteration is an ALTER TABLE on its way: actions change t, and at the end the table in SQLite is brought to it in the
// cheapest way that keeps the rows right.
type alteration struct {
	w        *work
	old      *Table           // as it is in SQLite
	t        *Table           // as it shall be
	values   map[int16]string // columns whose values change or are new: SQL over the old columns
	force    bool             // write the table anew
	validate []func() error   // runs on the final table
	create   []*Index         // to be built
	cascade  *dropping
}

func (w *work) alter(t *Table) *alteration {
	return &alteration{w: w, old: t, t: t.clone(), values: map[int16]string{}, cascade: &dropping{w: w, gone: map[uint32]bool{}}}
}

func (w *work) alterTable(n *ir.AlterTable) error {
	w.res.Tag = "ALTER " + n.Kind
	if n.Kind == "" {
		w.res.Tag = "ALTER TABLE"
	}
	switch n.Kind {
	case "TYPE", "DOMAIN":
		return w.alterType(n)
	case "SCHEMA":
		return w.alterNamespace(n)
	}
	o, err := w.find(n.Name)
	if err != nil {
		return err
	}
	if o == nil {
		if n.IfExists {
			w.notice(sqlerr.New("00000", "relation \"%s\" does not exist, skipping", n.Name.Name))
			return nil
		}
		return w.noTable(n.Name)
	}
	switch o := o.(type) {
	case *Index:
		return w.alterIndex(o, n)
	case *Sequence:
		return w.alterSequenceObject(o, n)
	case *Table:
		if o.View {
			return w.alterView(o, n)
		}
		return w.alterActions(o, n)
	}
	return nil
}

// alterActions runs the actions of ALTER TABLE. Actions that SQLite does by itself (renames) end what was gathered
// before them.
func (w *work) alterActions(t *Table, n *ir.AlterTable) error {
	a := w.alter(t)
	flush := func() error {
		if err := a.finish(); err != nil {
			return err
		}
		a = w.alter(w.s.ByOID[t.OID].(*Table))
		return nil
	}
	for i := range n.Actions {
		act := &n.Actions[i]
		var err error
		switch act.Kind {
		case ir.RenameTable, ir.RenameColumn, ir.SetSchema:
			if err = flush(); err == nil {
				err = w.renameAction(a.t, act)
				if err == nil {
					a = w.alter(w.s.ByOID[t.OID].(*Table))
				}
			}
		case ir.ModifyColumn:
			if act.Def != nil && act.Column != "" && act.Def.Name != act.Column {
				if err = flush(); err != nil {
					return err
				}
				if err = w.renameColumn(a.t, act.Column, act.Def.Name); err != nil {
					return err
				}
				a = w.alter(w.s.ByOID[t.OID].(*Table))
			}
			err = a.modifyColumn(act)
		default:
			err = a.action(act)
		}
		if err != nil {
			return err
		}
	}
	return a.finish()
}

func (w *work) renameAction(t *Table, act *ir.AlterAction) error {
	switch act.Kind {
	case ir.RenameTable:
		return w.renameTable(t, act.NewName)
	case ir.RenameColumn:
		return w.renameColumn(t, act.Column, act.NewName)
	}
	return w.setNamespace(t, act.Name)
}

func (a *alteration) action(act *ir.AlterAction) error {
	w, t := a.w, a.t
	switch act.Kind {
	case ir.AddColumn:
		return a.addColumn(act)
	case ir.DropColumn:
		c := w.column(t, act.Column)
		if c == nil {
			if act.IfExists {
				w.notice(sqlerr.New("00000", "column \"%s\" of relation \"%s\" does not exist, skipping", act.Column, t.Name))
				return nil
			}
			return sqlerr.New("42703", "column \"%s\" of relation \"%s\" does not exist", act.Column, t.Name).
				My(1091, "Can't DROP '%s'; check that column/key exists", act.Column)
		}
		a.cascade.cascade = act.Cascade
		return a.dropColumn(c)
	case ir.AlterColumnType:
		return a.columnType(act)
	case ir.SetDefault, ir.DropDefault, ir.SetNotNull, ir.DropNotNull, ir.AddIdentity, ir.DropIdentity, ir.SetIdentity, ir.DropExpression:
		c := w.column(t, act.Column)
		if c == nil {
			return noColumn(t, act.Column)
		}
		return a.columnAction(c, act)
	case ir.AddConstraint:
		return a.addConstraint(act.Constraint)
	case ir.DropConstraint, ir.DropForeignKey, ir.DropPrimaryKey:
		return a.dropConstraintAction(act)
	case ir.RenameConstraint:
		return a.renameConstraint(act)
	case ir.ValidateConstraint:
		k := t.Constraint(act.Name)
		if k == nil {
			return sqlerr.New("42704", "constraint \"%s\" of relation \"%s\" does not exist", act.Name, t.Name)
		}
		if k.NotValid {
			k.NotValid = false
			a.validateLater(k)
		}
		return nil
	case ir.AddIndex:
		if act.Index == nil {
			return nil
		}
		x, err := w.newIndex(t, act.Index)
		if err != nil {
			return err
		}
		a.plan(x)
		return nil
	case ir.DropIndexAction:
		if strings.EqualFold(act.Name, "primary") {
			return a.dropConstraintAction(&ir.AlterAction{Kind: ir.DropPrimaryKey})
		}
		x := w.tableIndex(t, act.Name)
		if x == nil {
			if act.IfExists {
				return nil
			}
			return sqlerr.New("42704", "index \"%s\" does not exist", act.Name).
				My(1091, "Can't DROP '%s'; check that column/key exists", act.Name)
		}
		for _, k := range t.Constraints {
			if k.OID == x.Constraint && x.Constraint != 0 {
				return a.dropConstraint(k)
			}
		}
		return a.dropIndex(x)
	case ir.RenameIndex:
		name := act.Name
		if name == "" {
			name = act.Column
		}
		x := w.tableIndex(t, name)
		if x == nil {
			return sqlerr.New("42704", "index \"%s\" does not exist", name).My(1176, "Key '%s' doesn't exist in table '%s'", name, t.Name)
		}
		return a.renameIndex(x, act.NewName)
	case ir.SetOwner:
		t.Owner = act.Name
		return nil
	case ir.SetTableOptions:
		if !w.mysql {
			return nil // storage parameters
		}
		w.setTableOptions(t, act.Options) // columns keep their character sets: only CONVERT TO changes them
		if v := act.Options["auto_increment"]; v != "" {
			a.validate = append(a.validate, func() error { return w.setAutoIncrement(a.t, v) })
		}
		return nil
	case ir.ConvertCharset:
		w.setTableOptions(t, act.Options)
		for _, c := range t.Columns {
			if c.Charset != "" {
				w.setCharset(t, c, t.Options["charset"], t.Options["collate"])
			}
		}
		return nil
	case ir.SetStatistics:
		return nil
	}
	return sqlerr.Unsupported(fmt.Sprintf("this action of ALTER TABLE (%d)", act.Kind))
}

// plan adds an index that finish builds.
func (a *alteration) plan(x *Index) {
	a.create = append(a.create, x)
	if x.SQLName != "" {
		a.w.planned = append(a.w.planned, x.SQLName)
	}
	a.w.s.Indexes[Key{x.Namespace, x.RelationName()}] = x
	a.w.s.ByOID[x.OID] = x
}

func (a *alteration) validateLater(k *Constraint) {
	w := a.w
	switch k.Kind {
	case Check:
		if !k.NotEnforced {
			a.validate = append(a.validate, func() error { return w.validateCheck(a.t, k.Name, k.ExprSQL) })
		}
	case ForeignKey:
		if !w.env.NoForeignKeyChecks {
			a.validate = append(a.validate, func() error { return w.validateForeignKey(a.t, k) })
		}
	}
}

func (a *alteration) empty() (bool, error) {
	_, found, err := a.w.violates("SELECT 1 FROM " + quote(a.old.SQLName) + " LIMIT 1")
	return !found, err
}
