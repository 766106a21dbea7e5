package schema

import "slices"

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
