package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
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

// addColumn is ADD COLUMN.
func (a *alteration) addColumn(act *ir.AlterAction) error {
	w, t := a.w, a.t
	def := act.Def
	if old := t.Column(def.Name); old != nil {
		if act.IfNot {
			w.notice(sqlerr.New("42701", "column \"%s\" of relation \"%s\" already exists, skipping", def.Name, t.Name))
			return nil
		}
		return columnExists(t.Name, def.Name)
	}
	if t.Foreign {
		return a.addForeignColumn(def)
	}
	c, err := w.newColumn(t, def)
	if err != nil {
		return err
	}
	t.Columns = append(t.Columns, c)
	if def.Generated != nil {
		if err := w.setGenerated(t, c, def.Generated); err != nil {
			return err
		}
	}
	empty, err := a.empty()
	if err != nil {
		return err
	}
	switch {
	case c.GeneratedSQL != "":
		// A virtual column has nothing in the rows: it is only text.
		a.force = a.force || c.Stored && !empty
	case empty:
	case c.AutoIncrement:
		// Numbers are given below, when the key is known.
		a.values[c.Num] = rowNumber
	case c.DefaultSQL == "":
		c.Missing = "NULL"
		if c.NotNull {
			implicit := ""
			if w.mysql {
				implicit = w.implicitDefault(c)
			}
			if implicit == "" {
				// A constraint of the same statement may still make it the rowid, which is never NULL.
				return containsNull(t, c.Name, nil)
			}
			c.Missing = implicit
		}
	case isLiteral(c.DefaultSQL):
		c.Missing = literalDefault(c.DefaultSQL)
		if c.Domain != 0 {
			for _, k := range w.s.typeChecks(c) {
				a.validate = append(a.validate, func() error { return w.validateCheck(a.t, k.name, k.sql) })
			}
		}
	default:
		a.values[c.Num] = c.DefaultSQL
	}
	if act.First || act.After != "" {
		if err := a.move(c, act); err != nil {
			return err
		}
	}
	for i := range def.Constraints {
		if err := a.addConstraint(&def.Constraints[i]); err != nil {
			return err
		}
	}
	return nil
}

// rowNumber numbers the rows of the table that is written anew.
const rowNumber = "row_number() OVER ()"

// move brings a column to its place.
func (a *alteration) move(c *Column, act *ir.AlterAction) error {
	t := a.t
	at := 0
	if act.After != "" {
		p := a.w.column(t, act.After)
		if p == nil {
			return noColumn(t, act.After)
		}
		if p == c {
			return noColumn(t, act.After)
		}
		t.Columns = slices.DeleteFunc(t.Columns, func(x *Column) bool { return x == c })
		at = slices.Index(t.Columns, p) + 1
	} else {
		t.Columns = slices.DeleteFunc(t.Columns, func(x *Column) bool { return x == c })
	}
	t.Columns = slices.Insert(t.Columns, at, c)
	return nil
}

// implicitDefault is the value that MySQL gives a NOT NULL column without a default in rows that have none.
func (w *work) implicitDefault(c *Column) string {
	switch c.Type.Kind {
	case types.Numeric:
		if c.Type.Scale > 0 {
			return text("0." + strings.Repeat("0", int(c.Type.Scale)))
		}
		return "'0'"
	case types.Enum:
		if e, ok := w.s.ByOID[c.Type.OID].(*Enum); ok && len(e.Labels) > 0 {
			return text(e.Labels[0])
		}
	case types.Text, types.Varchar, types.Char, types.Set:
		return "''"
	case types.Time:
		return "'00:00:00'"
	case types.JSON, types.JSONB:
		return "'null'"
	case types.Date, types.Timestamp, types.TimestampTZ:
		return ""
	}
	switch Storage(c.Type) {
	case "INTEGER":
		return "0"
	case "REAL":
		return "0.0"
	case "BLOB":
		return "x''"
	}
	return ""
}

// addForeignColumn adds a column to a table that another program made.
func (a *alteration) addForeignColumn(def *ir.ColumnDef) error {
	w, t := a.w, a.t
	typ, declared, _, err := w.resolveType(def.Type)
	if err != nil {
		return err
	}
	c := &Column{Name: def.Name, Type: typ, Declared: declared}
	if def.Default != nil {
		if err := w.setDefault(c, def.Default, def.DefaultText); err != nil {
			return err
		}
		if !isLiteral(c.DefaultSQL) {
			return sqlerr.Unsupported("a column with a computed default in a table that another program created")
		}
	}
	if len(def.Constraints) > 0 || def.Generated != nil || def.Identity != "" || def.Type.Serial || def.AutoIncrement {
		return sqlerr.Unsupported("a column with constraints in a table that another program created")
	}
	sql := "ALTER TABLE " + quote(t.SQLName) + " ADD COLUMN " + quote(c.Name) + " " + Storage(typ)
	if def.NotNull {
		sql += " NOT NULL"
	}
	if c.DefaultSQL != "" {
		sql += " DEFAULT " + literalDefault(c.DefaultSQL)
	}
	w.dirty[dbOf(t.Temp)] = true
	if err := exec(w.c, sql); err != nil {
		if msg, ok := sqliteMessage(err); ok && strings.Contains(msg, "NOT NULL") {
			return containsNull(t, c.Name, err)
		}
		return err
	}
	return nil
}

// columnAction changes what a column promises, not its values.
func (a *alteration) columnAction(c *Column, act *ir.AlterAction) error {
	w, t := a.w, a.t
	switch act.Kind {
	case ir.SetDefault:
		if c.Generated != "" {
			return sqlerr.New("42601", "column \"%s\" of relation \"%s\" is a generated column", c.Name, t.Name)
		}
		if c.Identity != "" {
			return sqlerr.New("42601", "column \"%s\" of relation \"%s\" is an identity column", c.Name, t.Name)
		}
		return w.setDefault(c, act.Default, act.Text)
	case ir.DropDefault:
		if c.Identity != "" {
			return sqlerr.New("42601", "column \"%s\" of relation \"%s\" is an identity column", c.Name, t.Name).
				WithHint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.")
		}
		c.Default, c.DefaultSQL, c.NextVal = "", "", 0
	case ir.SetNotNull:
		if !c.NotNull {
			c.NotNull = true
			a.validate = append(a.validate, func() error { return w.validateNotNull(t, c) })
		}
	case ir.DropNotNull:
		if pk := t.PrimaryKey(); pk != nil && slices.Contains(pk.Columns, c.Num) {
			return sqlerr.New("42P16", "column \"%s\" is in a primary key", c.Name)
		}
		if c.Identity != "" {
			return sqlerr.New("42601", "column \"%s\" of relation \"%s\" is an identity column", c.Name, t.Name)
		}
		c.NotNull = false
	case ir.AddIdentity:
		if c.Identity != "" {
			return sqlerr.New("55000", "column \"%s\" of relation \"%s\" is already an identity column", c.Name, t.Name)
		}
		if c.DefaultSQL != "" {
			return sqlerr.New("55000", "column \"%s\" of relation \"%s\" already has a default value", c.Name, t.Name)
		}
		if !c.NotNull {
			return sqlerr.New("55000", "column \"%s\" of relation \"%s\" must be declared NOT NULL before identity can be added", c.Name, t.Name)
		}
		if c.Identity = act.Name; c.Identity == "" {
			c.Identity = "BY DEFAULT"
		}
		return w.ownSequence(t, c, act.Sequence)
	case ir.DropIdentity:
		if c.Identity == "" {
			if act.IfExists {
				w.notice(sqlerr.New("00000", "column \"%s\" of relation \"%s\" is not an identity column, skipping", c.Name, t.Name))
				return nil
			}
			return sqlerr.New("55000", "column \"%s\" of relation \"%s\" is not an identity column", c.Name, t.Name)
		}
		if q, ok := w.s.ByOID[c.Sequence].(*Sequence); ok {
			if err := w.remove(q); err != nil {
				return err
			}
		}
		c.Identity, c.Sequence, c.NextVal, c.Default, c.DefaultSQL = "", 0, 0, "", ""
	case ir.SetIdentity:
		if c.Identity == "" {
			return sqlerr.New("55000", "column \"%s\" of relation \"%s\" is not an identity column", c.Name, t.Name)
		}
		if act.Name != "" {
			c.Identity = act.Name
		}
		if q, ok := w.s.ByOID[c.Sequence].(*Sequence); ok && act.Sequence != nil {
			return w.changeSequence(q, act.Sequence)
		}
	case ir.DropExpression:
		if c.Generated == "" {
			if act.IfExists {
				return nil
			}
			return sqlerr.New("55000", "column \"%s\" of relation \"%s\" is not a stored generated column", c.Name, t.Name)
		}
		c.Generated, c.GeneratedSQL, c.Stored = "", "", false
		a.values[c.Num] = quote(c.Name)
	}
	return nil
}

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

// finish brings SQLite's table to the new definition.
func (a *alteration) finish() error {
	w := a.w
	if err := a.cascade.report(); err != nil {
		return err
	}
	if a.t.Foreign {
		return w.makeIndexes(a.t, a.create)
	}
	if w.mysql {
		if err := w.autoIncrementKey(a.t); err != nil {
			return err
		}
	}
	how, err := a.method()
	if err != nil {
		return err
	}
	t := a.t
	w.s.ByOID[t.OID], w.s.Tables[t.Key()] = t, t
	if how == writeAnew {
		keep := slices.DeleteFunc(slices.Clone(w.s.Indices(t)), func(x *Index) bool { return slices.Contains(a.create, x) })
		if err := w.rebuild(a.old, t, a.values); err != nil {
			return err
		}
		if err := w.put(t); err != nil {
			return err
		}
		for _, x := range keep {
			if x.SQLName == "" {
				continue
			}
			if err := w.buildIndex(t, x); err != nil {
				return err
			}
		}
	} else {
		// Rows are checked under the old definition, of which the new one is a stricter text.
		if err := w.put(t); err != nil {
			return err
		}
		for _, v := range a.validate {
			if how == appendColumns {
				break
			}
			if err := v(); err != nil {
				return err
			}
		}
		if err := w.rewriteSQL(t); err != nil {
			return err
		}
	}
	if err := w.makeIndexes(t, a.create); err != nil {
		return err
	}
	if how != editText {
		for _, v := range a.validate {
			if err := v(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *work) makeIndexes(t *Table, list []*Index) error {
	for _, x := range list {
		if err := w.makeIndex(t, x); err != nil {
			return err
		}
	}
	return nil
}

// method is how an alteration reaches SQLite.
type method int

const (
	editText      method = iota // the rows stay as they are
	appendColumns               // so do they, but new columns read as Missing
	writeAnew
)

// method chooses the cheapest way that is right.
func (a *alteration) method() (method, error) {
	old, t := a.old, a.t
	if a.force || len(a.values) > 0 || len(t.Columns) < len(old.Columns) {
		return writeAnew, nil
	}
	for i, c := range old.Columns {
		n := t.Columns[i]
		if n.Num != c.Num || Storage(n.Type) != Storage(c.Type) || SQLCollation(n) != SQLCollation(c) ||
			(n.GeneratedSQL != "") != (c.GeneratedSQL != "") || n.Stored != c.Stored ||
			n.Stored && n.GeneratedSQL != c.GeneratedSQL {
			return writeAnew, nil
		}
	}
	if t.RowID == nil != (old.RowID == nil) || t.RowID != nil && t.RowID.Num != old.RowID.Num {
		if old.RowID != nil || t.RowID == nil || old.ColumnByNum(t.RowID.Num) == nil {
			return writeAnew, nil
		}
		// The values may be the rowids already: rows loaded in the order of their key from 1 on. Then the column only
		// has to be called the rowid: SQLite takes the value from there and never looks at the one in the record.
		same, err := a.w.isRowID(old, old.ColumnByNum(t.RowID.Num))
		if err != nil {
			return 0, err
		}
		if !same {
			return writeAnew, nil
		}
	}
	if len(t.Columns) > len(old.Columns) {
		return appendColumns, nil
	}
	return editText, nil
}

// isRowID tells whether a column has the row's rowid in every row.
func (w *work) isRowID(t *Table, c *Column) (bool, error) {
	name := ""
	for _, try := range []string{"rowid", "_rowid_", "oid"} {
		if t.Column(try) == nil {
			name = try
			break
		}
	}
	if name == "" {
		return false, nil
	}
	_, found, err := w.violates("SELECT 1 FROM " + quote(t.SQLName) + " WHERE " + name + " IS NOT " + quote(c.Name) + " LIMIT 1")
	return !found, err
}
