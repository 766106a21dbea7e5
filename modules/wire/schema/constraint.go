package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// newConstraint adds a constraint to t, and returns it with the index that a key needs; the constraint is nil for a
// unique key of MySQL that is only an index. It doesn't touch SQLite.
func (w *work) newConstraint(t *Table, n *ir.Constraint) (*Constraint, *Index, error) {
	k := &Constraint{Name: n.Name, Deferrable: n.Deferrable, InitiallyDeferred: n.InitiallyDeferred, NotValid: n.NotValid,
		NoInherit: n.NoInherit, NotEnforced: n.NotEnforced, Dialect: w.dialect.String()}
	var err error
	if k.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
		return nil, nil, err
	}
	if k.Name != "" && (hidden(k.Name) || t.Constraint(k.Name) != nil) {
		e := sqlerr.New("42710", "constraint \"%s\" for relation \"%s\" already exists", k.Name, t.Name)
		switch n.Kind {
		case ir.PrimaryKey, ir.Unique:
			e.My(1061, "Duplicate key name '%s'", k.Name)
		case ir.ForeignKey:
			e.My(1826, "Duplicate foreign key constraint name '%s'", k.Name)
		default:
			e.My(3822, "Duplicate check constraint name '%s'.", k.Name)
		}
		return nil, nil, e
	}
	switch n.Kind {
	case ir.PrimaryKey, ir.Unique:
		if w.mysql && n.Kind == ir.Unique {
			// There a unique key is an index first, of prefixes and expressions too.
			x, err := w.newIndex(t, &ir.CreateIndex{Name: n.Name, Columns: n.Columns, Unique: true})
			return nil, x, err
		}
		x, err := w.newKey(t, k, n)
		return k, x, err
	case ir.Check:
		return k, nil, w.newCheck(t, k, n)
	case ir.ForeignKey:
		return k, nil, w.newForeignKey(t, k, n)
	}
	return nil, nil, sqlerr.Unsupported("an exclusion constraint")
}

func (w *work) newKey(t *Table, k *Constraint, n *ir.Constraint) (*Index, error) {
	k.Kind = Unique
	if n.Kind == ir.PrimaryKey {
		k.Kind = PrimaryKey
		if t.PrimaryKey() != nil {
			return nil, sqlerr.New("42P16", "multiple primary keys for table \"%s\" are not allowed", t.Name).
				My(1068, "Multiple primary key defined")
		}
	}
	if n.NullsNotDistinct {
		return nil, sqlerr.Unsupported("UNIQUE NULLS NOT DISTINCT")
	}
	x := &Index{Namespace: t.Namespace, Table: t.OID, Unique: true, Primary: k.Kind == PrimaryKey, Constraint: k.OID}
	if n.UsingIndex != "" {
		return w.keyFromIndex(t, k, n)
	}
	cols, names, err := w.indexColumns(t, n.Columns, true)
	if err != nil {
		return nil, err
	}
	x.Columns = cols
	for _, c := range cols {
		if c.Column != 0 && slices.Contains(k.Columns, c.Column) {
			return nil, sqlerr.New("42701", "column \"%s\" appears twice in %s constraint", t.ColumnByNum(c.Column).Name, keyWord(k.Kind)).
				My(1060, "Duplicate column name '%s'", t.ColumnByNum(c.Column).Name)
		}
		k.Columns = append(k.Columns, c.Column)
		if k.Kind == PrimaryKey {
			if c.Column == 0 {
				return nil, sqlerr.Unsupported("a primary key over an expression")
			}
			t.ColumnByNum(c.Column).NotNull = true
		}
	}
	if k.Name == "" || w.mysql && k.Kind == PrimaryKey {
		k.Name = w.keyName(t, k.Kind, names)
	} else if !w.mysql && w.s.relationTaken(t.Namespace, k.Name) {
		return nil, relationExists(k.Name)
	}
	if err := w.nameIndex(t, x, k.Name); err != nil {
		return nil, err
	}
	if x.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
		return nil, err
	}
	k.Index = x.OID
	t.Constraints = append(t.Constraints, k)
	if k.Kind == PrimaryKey && w.becomesRowID(t, x) {
		t.RowID = t.ColumnByNum(k.Columns[0])
		x.SQLName = ""
	}
	return x, nil
}

// becomesRowID tells whether a primary key is SQLite's rowid.
func (w *work) becomesRowID(t *Table, x *Index) bool {
	if len(x.Columns) != 1 || x.Columns[0].Desc || x.Columns[0].Prefix > 0 || t.RowID != nil {
		return false
	}
	c := t.ColumnByNum(x.Columns[0].Column)
	switch c.Type.Kind {
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8:
		return c.Generated == "" && c.Missing == ""
	}
	return false
}

func keyWord(k ConstraintKind) string {
	if k == PrimaryKey {
		return "primary key"
	}
	return "unique"
}

// keyName names a key that the client didn't name.
func (w *work) keyName(t *Table, kind ConstraintKind, names []string) string {
	taken := func(n string) bool {
		return w.s.relationTaken(t.Namespace, n) || t.Constraint(n) != nil || w.s.constraintTaken(t.Namespace, n)
	}
	if kind == PrimaryKey {
		return freeName(t.Name, "", "pkey", taken)
	}
	if w.mysql {
		return w.mysqlIndexName(t, names)
	}
	return freeName(t.Name, strings.Join(names, "_"), "key", taken)
}

// mysqlIndexName names an index after its first column, as MySQL does: a, a_2, a_3.
func (w *work) mysqlIndexName(t *Table, names []string) string {
	base := "functional_index"
	if len(names) > 0 && names[0] != "expr" {
		base = names[0]
	}
	name := base
	for n := 2; w.tableIndex(t, name) != nil || t.Constraint(name) != nil || strings.EqualFold(name, "primary"); n++ {
		name = base + "_" + strconv.Itoa(n)
	}
	return name
}

// tableIndex looks for an index of a table by its name there.
func (w *work) tableIndex(t *Table, name string) *Index {
	for _, x := range w.s.Indices(t) {
		if x.Name == name || w.mysql && strings.EqualFold(x.Name, name) {
			return x
		}
	}
	return nil
}

// nameIndex gives an index its name, its name among PostgreSQL's relations and that in SQLite.
func (w *work) nameIndex(t *Table, x *Index, name string) error {
	if hidden(name) {
		return sqlerr.New("42939", "the name \"%s\" is reserved", name).My(1280, "Incorrect index name '%s'", name)
	}
	x.Name, x.Relation = name, ""
	if w.s.relationTaken(x.Namespace, name) {
		if !w.mysql {
			return relationExists(name)
		}
		x.Relation = freeName(t.Name, name, "idx", func(n string) bool { return w.s.relationTaken(x.Namespace, n) })
	}
	var err error
	x.SQLName, err = w.freeSQLName(sqlName(x.Namespace, x.RelationName()), t.Temp)
	return err
}

// freeSQLName returns a name that nothing in SQLite has: names there are compared without case, and tables and indexes
// share them.
func (w *work) freeSQLName(name string, temp bool) (string, error) {
	for n := 0; ; n++ {
		try := name
		if n > 0 {
			try += "~" + strconv.Itoa(n)
		}
		_, taken, err := number(w.c, `SELECT 1 FROM `+dbNames[dbOf(temp)]+`.sqlite_schema WHERE name = ?1 COLLATE NOCASE`, try)
		if err != nil {
			return "", err
		}
		if !taken && !w.plannedSQLName(try) {
			return try, nil
		}
	}
}

// plannedSQLName tells whether an object of the working schema, not yet made in SQLite, has the name.
func (w *work) plannedSQLName(name string) bool {
	return slices.ContainsFunc(w.planned, func(p string) bool { return strings.EqualFold(p, name) })
}

func (w *work) newCheck(t *Table, k *Constraint, n *ir.Constraint) error {
	k.Kind = Check
	sql, _, err := w.expr(n.Expr, t, nil)
	if err != nil {
		return err
	}
	k.Expr, k.ExprSQL = w.format(t, n.Expr, n.Text), sql
	cols := usedColumns(t, n.Expr)
	for _, c := range cols {
		k.Columns = append(k.Columns, c.Num)
	}
	if k.Name == "" {
		if w.mysql {
			for i := 1; k.Name == "" || t.Constraint(k.Name) != nil; i++ {
				k.Name = t.Name + "_chk_" + strconv.Itoa(i)
			}
		} else {
			column := ""
			if len(cols) == 1 {
				column = cols[0].Name
			}
			k.Name = freeName(t.Name, column, "check", func(s string) bool {
				return t.Constraint(s) != nil || w.s.constraintTaken(t.Namespace, s)
			})
		}
	}
	t.Constraints = append(t.Constraints, k)
	return nil
}

func (w *work) newForeignKey(t *Table, k *Constraint, n *ir.Constraint) error {
	k.Kind = ForeignKey
	var names []string
	for _, ic := range n.Columns {
		c := w.column(t, ic.Column)
		if c == nil {
			e := sqlerr.New("42703", "column \"%s\" referenced in foreign key constraint does not exist", ic.Column).
				My(1072, "Key column '%s' doesn't exist in table", ic.Column)
			return e
		}
		k.Columns = append(k.Columns, c.Num)
		names = append(names, c.Name)
	}
	if n.Match == "PARTIAL" || n.Match == "FULL" && len(n.Columns) > 1 {
		return sqlerr.Unsupported("MATCH " + n.Match)
	}
	k.Match = n.Match
	k.OnDelete, k.OnUpdate = n.OnDelete, n.OnUpdate
	if k.Name == "" {
		if w.mysql {
			last := 0
			for _, o := range t.Constraints {
				if rest, ok := strings.CutPrefix(o.Name, t.Name+"_ibfk_"); ok {
					if i, err := strconv.Atoi(rest); err == nil {
						last = max(last, i)
					}
				}
			}
			k.Name = t.Name + "_ibfk_" + strconv.Itoa(last+1)
		} else {
			k.Name = freeName(t.Name, strings.Join(names, "_"), "fkey", func(s string) bool {
				return t.Constraint(s) != nil || w.s.constraintTaken(t.Namespace, s)
			})
		}
	}
	t.Constraints = append(t.Constraints, k)
	return w.resolveForeignKey(t, k, n)
}

// resolveForeignKey finds the referenced table and key.
func (w *work) resolveForeignKey(t *Table, k *Constraint, n *ir.Constraint) error {
	ns, err := w.namespaceOf(n.RefTable)
	if err != nil {
		return err
	}
	var ref *Table
	if n.RefTable.Name == t.Name && (ns == "" || ns == t.Namespace) {
		ref = t
	} else if o, err := w.find(n.RefTable); err != nil {
		return err
	} else if ref, _ = o.(*Table); ref == nil {
		if !w.mysql {
			return w.noTable(n.RefTable)
		}
		if !w.env.NoForeignKeyChecks {
			return sqlerr.New("42P01", "relation \"%s\" does not exist", n.RefTable.Name).
				My(1824, "Failed to open the referenced table '%s'", n.RefTable.Name)
		}
		k.RefTableName = Key{Public, n.RefTable.Name}
		k.RefNames = slices.Clone(n.RefColumns)
		return nil
	}
	if ref.View {
		return sqlerr.New("42809", "referenced relation \"%s\" is not a table", ref.Name).
			My(1824, "Failed to open the referenced table '%s'", ref.Name)
	}
	if ref.Temp != t.Temp {
		if t.Temp {
			return sqlerr.New("42P16", "constraints on temporary tables may reference only temporary tables").My(1215, "Cannot add foreign key constraint")
		}
		return sqlerr.New("42P16", "constraints on permanent tables may reference only permanent tables").My(1215, "Cannot add foreign key constraint")
	}
	k.RefTable, k.RefTableName, k.RefNames, k.RefColumns = ref.OID, ref.Key(), nil, nil
	if len(n.RefColumns) == 0 {
		pk := ref.PrimaryKey()
		if pk == nil {
			return sqlerr.New("42704", "there is no primary key for referenced table \"%s\"", ref.Name).
				My(1822, "Failed to add the foreign key constraint. Missing index for constraint '%s' in the referenced table '%s'", k.Name, ref.Name)
		}
		k.RefColumns = slices.Clone(pk.Columns)
	}
	for _, name := range n.RefColumns {
		c := w.column(ref, name)
		if c == nil {
			return sqlerr.New("42703", "column \"%s\" referenced in foreign key constraint does not exist", name).
				My(3734, "Failed to add the foreign key constraint. Missing column '%s' for constraint '%s' in the referenced table '%s'", name, k.Name, ref.Name)
		}
		k.RefColumns = append(k.RefColumns, c.Num)
	}
	if len(k.RefColumns) != len(k.Columns) {
		return sqlerr.New("42830", "number of referencing and referenced columns for foreign key disagree").
			My(1239, "Incorrect foreign key definition for '%s': Key reference and table reference don't match", k.Name)
	}
	for i := range k.Columns {
		a, b := t.ColumnByNum(k.Columns[i]), ref.ColumnByNum(k.RefColumns[i])
		if Storage(a.Type) != Storage(b.Type) || a.Type.IsInteger() != b.Type.IsInteger() {
			e := sqlerr.New("42804", "foreign key constraint \"%s\" cannot be implemented", k.Name).
				My(3780, "Referencing column '%s' and referenced column '%s' in foreign key constraint '%s' are incompatible.", a.Name, b.Name, k.Name)
			e.Detail = "Key columns \"" + a.Name + "\" and \"" + b.Name + "\" are of incompatible types: " + a.Declared + " and " + b.Declared + "."
			return e
		}
	}
	if !w.hasKey(ref, k.RefColumns) {
		return sqlerr.New("42830", "there is no unique constraint matching given keys for referenced table \"%s\"", ref.Name).
			My(1822, "Failed to add the foreign key constraint. Missing index for constraint '%s' in the referenced table '%s'", k.Name, ref.Name)
	}
	return nil
}

// hasKey tells whether columns are a key of a table, in any order.
func (w *work) hasKey(t *Table, cols []int16) bool {
	same := func(key []int16) bool {
		if len(key) != len(cols) {
			return false
		}
		for _, c := range cols {
			if !slices.Contains(key, c) {
				return false
			}
		}
		return true
	}
	for _, k := range t.Constraints {
		if (k.Kind == PrimaryKey || k.Kind == Unique) && same(k.Columns) {
			return true
		}
	}
	for _, x := range w.s.Indices(t) {
		if !x.Unique || x.Where != "" {
			continue
		}
		var key []int16
		for _, c := range x.Columns {
			if c.Column == 0 || c.Prefix > 0 {
				key = nil
				break
			}
			key = append(key, c.Column)
		}
		if same(key) {
			return true
		}
	}
	return false
}
