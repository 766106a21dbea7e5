package session

import (
	"errors"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// blame adds to an error of a statement what the logical schema knows: constraints by their own names, and the words of
// the originals. SQLite speaks of columns and of the names that objects have there.
func (x *Session) blame(err error, p *plan.Plan) error {
	if err == nil {
		return nil
	}
	found := sqlerr.FromSQLite(err)
	var code sqlite3.ExtendedErrorCode
	if found.Err == nil || !errors.As(found.Err, &code) {
		return err // not SQLite's
	}
	s := x.currentSchema()
	if s == nil {
		return err
	}
	e := *found
	t := p.Table
	if e.Table != "" {
		t = bySQLName(s, e.Table)
	}
	switch {
	case e.State == "23505":
		blameKey(&e, s, t)
	case e.State == "23503":
		blameForeignKey(&e, s, p)
	case e.State == "23514":
		blameCheck(&e, s, t)
	case e.State == "23502" && t != nil:
		blameNull(&e, t, t.Column(e.Column))
	case code == sqlite3.CONSTRAINT_CHECK && t != nil:
		blameType(&e, t.Column(e.Column))
	case code.Code() == sqlite3.MISMATCH && p.Table != nil && p.Table.RowID != nil:
		// What stands in for NULL where SQLite would make a value; see package plan.
		blameNull(&e, p.Table, p.Table.RowID)
	case code == sqlite3.CONSTRAINT_DATATYPE && strings.Contains(found.Message, "cannot store REAL value in INTEGER column "):
		// Whole numbers that left 64 bits; see package plan.
		_, column, _ := strings.Cut(found.Message, "INTEGER column ")
		if t == nil {
			break
		}
		if i := strings.LastIndex(column, "."); i >= 0 {
			column = column[i+1:]
		}
		e.State, e.Message = "22003", "value is out of range"
		e.My(1690, "BIGINT value is out of range in the value of column '%s'", column)
		blameType(&e, t.Column(column))
	}
	return &e
}

// bySQLName finds a table by its name in SQLite.
func bySQLName(s *schema.Schema, name string) *schema.Table {
	for _, t := range s.Tables {
		if t.SQLName == name {
			return t
		}
	}
	return nil
}

// place says which table an error is about.
func place(e *sqlerr.Error, t *schema.Table) {
	e.Schema, e.Table = t.Namespace, t.Name
}

// blameKey names the constraint or the index of a duplicate key.
func blameKey(e *sqlerr.Error, s *schema.Schema, t *schema.Table) {
	primary := false
	if e.Constraint != "" { // an index of expressions, by its name in SQLite
		for _, x := range s.Indexes {
			if x.SQLName == e.Constraint {
				e.Constraint = x.Name
				if of, ok := s.ByOID[x.Table].(*schema.Table); ok {
					t = of
				}
				break
			}
		}
	}
	if t == nil {
		return
	}
	place(e, t)
	if e.Constraint == "" {
		e.Constraint, primary = keyOf(s, t, e.Key())
	}
	if e.Constraint == "" {
		return
	}
	e.Message = `duplicate key value violates unique constraint "` + e.Constraint + `"`
	name := e.Constraint
	if primary {
		name = "PRIMARY"
	}
	e.My(1062, "Duplicate entry for key '%s.%s'", t.Name, name)
}

// keyOf finds the unique constraint, or the unique index, over columns.
func keyOf(s *schema.Schema, t *schema.Table, columns []string) (name string, primary bool) {
	same := func(nums []int16) bool {
		if len(nums) != len(columns) {
			return false
		}
		for _, n := range nums {
			c := t.ColumnByNum(n)
			if c == nil || !slices.Contains(columns, c.Name) {
				return false
			}
		}
		return true
	}
	for _, k := range t.Constraints {
		if (k.Kind == schema.PrimaryKey || k.Kind == schema.Unique) && same(k.Columns) {
			return k.Name, k.Kind == schema.PrimaryKey
		}
	}
	for _, x := range s.Indices(t) {
		var nums []int16
		for _, c := range x.Columns {
			nums = append(nums, c.Column)
		}
		if x.Unique && same(nums) {
			return x.Name, x.Primary
		}
	}
	return "", false
}

// blameForeignKey names the foreign key if there is only one that the statement can have violated: SQLite doesn't tell
// which it was.
func blameForeignKey(e *sqlerr.Error, s *schema.Schema, p *plan.Plan) {
	t := p.Table
	if t == nil {
		return
	}
	var own, others []schema.Reference
	if p.Verb != "DELETE" {
		for _, k := range t.Constraints {
			if k.Kind == schema.ForeignKey {
				own = append(own, schema.Reference{Table: t, Constraint: k})
			}
		}
	}
	if p.Verb != "INSERT" && p.Verb != "COPY" {
		others = s.Referencing(t)
	}
	switch {
	case len(own) == 1 && len(others) == 0:
		k := own[0].Constraint
		place(e, t)
		e.Constraint = k.Name
		e.Message = `insert or update on table "` + t.Name + `" violates foreign key constraint "` + k.Name + `"`
	case len(own) == 0 && len(others) == 1:
		place(e, others[0].Table)
		e.Constraint = others[0].Constraint.Name
		e.Message = `update or delete on table "` + t.Name + `" violates foreign key constraint "` + e.Constraint + `" on table "` + others[0].Table.Name + `"`
	default:
		place(e, t)
	}
	if len(own) == 0 && len(others) > 0 {
		e.My(1451, "Cannot delete or update a parent row: a foreign key constraint fails")
	}
	if e.Constraint != "" {
		e.MyMessage += " (`" + e.Table + "`, CONSTRAINT `" + e.Constraint + "`)"
	}
}

// blameCheck finds the table of a check.
func blameCheck(e *sqlerr.Error, s *schema.Schema, t *schema.Table) {
	if t == nil || t.Constraint(e.Constraint) == nil {
		for _, other := range s.SortedTables() {
			if other.Constraint(e.Constraint) != nil {
				t = other
				break
			}
		}
	}
	if t == nil {
		return
	}
	place(e, t)
	e.Message = `new row for relation "` + t.Name + `" violates check constraint "` + e.Constraint + `"`
}

func blameNull(e *sqlerr.Error, t *schema.Table, c *schema.Column) {
	if c == nil {
		return
	}
	place(e, t)
	e.State, e.Column = "23502", c.Name
	e.Message = `null value in column "` + c.Name + `" of relation "` + t.Name + `" violates not-null constraint`
	e.My(1048, "Column '%s' cannot be null", c.Name)
}

// blameType words a value that its column's type doesn't hold.
func blameType(e *sqlerr.Error, c *schema.Column) {
	if c == nil {
		return
	}
	e.Column = c.Name
	declared := c.Declared
	if c.Type.IsInteger() && !c.Type.Unsigned {
		declared = types.T(c.Type.Kind).PGName() // serial is a way to write integer
	}
	switch e.State {
	case "22003":
		e.Message = declared + " out of range"
	case "22001":
		e.Message = "value too long for type " + declared
	case "22P02":
		e.Message = "invalid input value for enum " + declared
	}
}
