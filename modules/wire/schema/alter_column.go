package schema

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// dropColumn takes a column away with the constraints and indexes that it is part of.
func (a *alteration) dropColumn(c *Column) error {
	w, t := a.w, a.t
	if t.Foreign {
		w.dirty[dbOf(t.Temp)] = true
		return w.alterInSQLite("ALTER TABLE " + quote(t.SQLName) + " DROP COLUMN " + quote(c.Name))
	}
	if len(t.Columns) == 1 {
		if w.mysql {
			return sqlerr.New("42P16", "a table must have at least one column").
				My(1090, "You can't delete all columns with ALTER TABLE; use DROP TABLE instead")
		}
		return sqlerr.Unsupported("a table without columns")
	}
	if err := a.cascade.views(t, c.Name); err != nil {
		return err
	}
	for _, r := range w.s.Referencing(a.old) {
		if !slices.Contains(r.Constraint.RefColumns, c.Num) || r.Table.OID == t.OID {
			continue
		}
		if w.mysql {
			return sqlerr.New("2BP01", "column \"%s\" is referenced by foreign key \"%s\"", c.Name, r.Constraint.Name).
				My(1829, "Cannot drop column '%s': needed in a foreign key constraint '%s' of table '%s'", c.Name, r.Constraint.Name, r.Table.Name)
		}
		what := "constraint " + quoteIdent(r.Constraint.Name) + " on " + describe(r.Table)
		if a.cascade.depends(what, "column "+quoteIdent(c.Name)+" of "+describe(t)) {
			if err := w.dropConstraint(r.Table, r.Constraint); err != nil {
				return err
			}
		}
	}
	for _, g := range t.Columns {
		if g != c && g.GeneratedSQL != "" && mentions(g.GeneratedSQL, c.Name) {
			if w.mysql {
				return sqlerr.New("2BP01", "column \"%s\" is used by a generated column", c.Name).
					My(3108, "Column '%s' has a generated column dependency.", c.Name)
			}
			if a.cascade.depends("column "+quoteIdent(g.Name)+" of "+describe(t), "column "+quoteIdent(c.Name)+" of "+describe(t)) {
				if err := a.dropColumn(g); err != nil {
					return err
				}
			}
		}
	}
	if len(a.cascade.blocked) > 0 {
		return a.cascade.report()
	}
	for _, k := range slices.Clone(t.Constraints) {
		uses := slices.Contains(k.Columns, c.Num) || k.Kind == ForeignKey && k.RefTable == t.OID && slices.Contains(k.RefColumns, c.Num)
		if !uses || !slices.Contains(t.Constraints, k) {
			continue
		}
		if w.mysql {
			switch {
			case k.Kind == ForeignKey:
				return sqlerr.New("2BP01", "column \"%s\" is needed in a foreign key", c.Name).
					My(1828, "Cannot drop column '%s': needed in a foreign key constraint '%s'", c.Name, k.Name)
			case k.Kind == Check && len(k.Columns) > 1:
				return sqlerr.New("2BP01", "column \"%s\" is used by a check", c.Name).
					My(3959, "Check constraint '%s' uses column '%s', hence column cannot be dropped or renamed.", k.Name, c.Name)
			case (k.Kind == Unique || k.Kind == PrimaryKey) && len(k.Columns) > 1:
				if err := a.narrowKey(k, c); err != nil {
					return err
				}
				continue
			}
		}
		if k.Kind == PrimaryKey && t.RowID == c {
			c.AutoIncrement = false
		}
		if err := a.dropConstraint(k); err != nil {
			return err
		}
	}
	for _, x := range slices.Clone(w.s.Indices(t)) {
		uses := slices.Contains(x.Include, c.Num) || mentions(x.WhereSQL, c.Name)
		for _, ic := range x.Columns {
			uses = uses || ic.Column == c.Num || ic.Column == 0 && mentions(ic.ExprSQL, c.Name)
		}
		if !uses {
			continue
		}
		if w.mysql && len(x.Columns) > 1 {
			// MySQL takes the column out of the index.
			n := x.clone()
			n.Columns = slices.DeleteFunc(n.Columns, func(ic IndexColumn) bool { return ic.Column == c.Num })
			if err := w.put(n); err != nil {
				return err
			}
			continue
		}
		if err := a.dropIndex(x); err != nil {
			return err
		}
	}
	if t.RowID == c {
		t.RowID = nil
	}
	for _, q := range w.sequencesOf(t, c.Num) {
		a.cascade.gone[q.OID|identityGone] = true
		// Its own default goes with it.
		c.NextVal = 0
		w.s.ByOID[t.OID], w.s.Tables[t.Key()] = t, t
		err := a.cascade.sequence(q)
		if err != nil {
			return err
		}
	}
	if e, ok := w.s.ByOID[c.Type.OID].(*Enum); ok && e.Table == t.OID {
		if err := w.remove(e); err != nil {
			return err
		}
	}
	t.Columns = slices.DeleteFunc(t.Columns, func(x *Column) bool { return x == c })
	delete(a.values, c.Num)
	a.force = true
	return nil
}

// narrowKey takes a column out of a key.
func (a *alteration) narrowKey(k *Constraint, c *Column) error {
	w := a.w
	k.Columns = slices.DeleteFunc(k.Columns, func(n int16) bool { return n == c.Num })
	if x, ok := w.s.ByOID[k.Index].(*Index); ok {
		n := x.clone()
		n.Columns = slices.DeleteFunc(n.Columns, func(ic IndexColumn) bool { return ic.Column == c.Num })
		return w.put(n)
	}
	return nil
}

// dropColumn drops a column of any table at once, as DROP TYPE … CASCADE does.
func (w *work) dropColumn(t *Table, c *Column, d *dropping) error {
	a := w.alter(w.s.ByOID[t.OID].(*Table))
	a.cascade = d
	col := a.t.ColumnByNum(c.Num)
	if col == nil {
		return nil
	}
	if err := a.dropColumn(col); err != nil {
		return err
	}
	if len(d.blocked) > 0 {
		return nil
	}
	a.cascade = &dropping{w: w, gone: map[uint32]bool{}}
	return a.finish()
}

// mentions tells whether SQLite's SQL names a column.
func mentions(sql, column string) bool {
	if !strings.Contains(sql, column) {
		return false
	}
	for _, t := range tokens(sql) {
		if t.kind == 'i' && t.name == column {
			return true
		}
	}
	return false
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
