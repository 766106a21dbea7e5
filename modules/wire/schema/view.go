package schema

import (
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func (w *work) createView(n *ir.CreateView) error {
	w.res.Tag = "CREATE VIEW"
	if n.Materialized {
		return sqlerr.Unsupported("CREATE MATERIALIZED VIEW")
	}
	if w.env.Query == nil {
		return sqlerr.Unsupported("CREATE VIEW")
	}
	ns, err := w.createIn(n.Name, n.Temp)
	if err != nil {
		return err
	}
	var old *Table
	if w.s.relationTaken(ns, n.Name.Name) {
		old = w.s.Tables[Key{ns, n.Name.Name}]
		switch {
		case n.IfNotExists:
			w.notice(relationExists(n.Name.Name))
			return nil
		case !n.OrReplace:
			return relationExists(n.Name.Name)
		case old == nil || !old.View || old.Sequence != 0:
			return sqlerr.New("42809", "\"%s\" is not a view", n.Name.Name).My(1347, "'%s.%s' is not VIEW", w.env.Database, n.Name.Name)
		}
	}
	sql, cols, err := w.env.Query(n.Query)
	if err != nil {
		return err
	}
	if len(n.Columns) > len(cols) || w.mysql && len(n.Columns) > 0 && len(n.Columns) != len(cols) {
		return sqlerr.New("42601", "CREATE VIEW specifies more column names than columns").
			My(1353, "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts")
	}
	v := &Table{Namespace: ns, Name: n.Name.Name, Owner: w.env.User, Temp: ns == TempNamespace, View: true, ViewText: n.Text,
		Dialect: w.dialect.String(), ViewDialect: w.dialect.String()}
	if old != nil {
		v.OID, v.RowType, v.ArrayType, v.SQLName, v.Owner, v.Comment = old.OID, old.RowType, old.ArrayType, old.SQLName, old.Owner, old.Comment
	} else if err := w.newTableIDs(v); err != nil {
		return err
	}
	for i, q := range cols {
		name := q.Name
		if i < len(n.Columns) {
			name = n.Columns[i]
		}
		if dup := v.Column(name); dup != nil {
			if dup.Name != name && !w.mysql {
				return sqlerr.Unsupported(fmt.Sprintf("a view with columns that differ in case alone (%s, %s)", dup.Name, name))
			}
			return sqlerr.New("42701", "column \"%s\" specified more than once", name).My(1060, "Duplicate column name '%s'", name)
		}
		c := &Column{Num: int16(i + 1), Name: name, Type: q.Type, Dialect: v.Dialect}
		if c.Type.Kind == types.Unknown || c.Type.Kind == types.Void {
			c.Type = types.T(types.Text)
		}
		if w.mysql {
			c.NotNull = q.NotNull
			if q.Source != nil {
				c.Charset, c.Collation = q.Source.Charset, q.Source.Collation
			}
		}
		if q.Source != nil && q.Source.Dialect == c.Dialect && q.Source.Type == c.Type {
			c.Declared = q.Source.Declared
		} else {
			c.Declared = w.declaredName(c.Type)
		}
		v.Columns = append(v.Columns, c)
	}
	v.LastColumn = int16(len(v.Columns))
	v.Uses = w.queryUses(n.Query)
	if old != nil {
		if err := w.replacesView(old, v); err != nil {
			return err
		}
		if err := exec(w.c, "DROP VIEW "+dbNames[dbOf(v.Temp)]+"."+quote(v.SQLName)); err != nil {
			return err
		}
	}
	var b strings.Builder
	b.WriteString("CREATE ")
	if v.Temp {
		b.WriteString("TEMP ")
		w.s.HasTemp = true
	}
	b.WriteString("VIEW " + quote(v.SQLName) + "(")
	names := make([]string, len(v.Columns))
	for i, c := range v.Columns {
		names[i] = c.Name
	}
	b.WriteString(quoteAll(names) + ") AS " + sql)
	if err := exec(w.c, b.String()); err != nil {
		return fmt.Errorf("create view %s: %w", v.Name, err)
	}
	return w.put(v)
}

// replacesView checks PostgreSQL's rule for CREATE OR REPLACE VIEW: the old columns stay, new ones come after them.
func (w *work) replacesView(old, v *Table) error {
	if w.mysql {
		return nil
	}
	if len(v.Columns) < len(old.Columns) {
		return sqlerr.New("42P16", "cannot drop columns from view")
	}
	for i, c := range old.Columns {
		if n := v.Columns[i]; n.Name != c.Name {
			return sqlerr.New("42P16", "cannot change name of view column \"%s\" to \"%s\"", c.Name, n.Name).
				WithHint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.")
		} else if n.Type != c.Type {
			return sqlerr.New("42P16", "cannot change data type of view column \"%s\" from %s to %s", c.Name, c.Declared, n.Declared)
		}
	}
	return nil
}
