package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// newColumn makes a column of a definition; t has a number for it. Sequences of serial and identity columns and the
// types of ENUM columns are made on the way. Constraints written at the column are the caller's to add.
func (w *work) newColumn(t *Table, def *ir.ColumnDef) (*Column, error) {
	if def.Name == "" || hidden(def.Name) {
		return nil, sqlerr.New("42939", "the column name \"%s\" is reserved", def.Name).My(1166, "Incorrect column name '%s'", def.Name)
	}
	if !w.mysql && systemColumns[def.Name] {
		return nil, sqlerr.New("42701", "column name \"%s\" conflicts with a system column name", def.Name).At(def.Pos)
	}
	if len(t.Columns) >= 1600 {
		return nil, sqlerr.New("54011", "tables can have at most 1600 columns").My(1117, "Too many columns")
	}
	t.LastColumn++
	c := &Column{Num: t.LastColumn, Name: def.Name, NotNull: def.NotNull, Dialect: w.dialect.String(), Comment: def.Comment}
	if err := w.setType(t, c, def.Type); err != nil {
		return nil, err
	}
	if w.mysql {
		w.setCharset(t, c, def.Charset, def.Collation)
	} else {
		c.Collation = def.Collation
	}
	if def.Null && def.NotNull {
		return nil, sqlerr.New("42601", "conflicting NULL/NOT NULL declarations for column \"%s\" of table \"%s\"", def.Name, t.Name).At(def.Pos)
	}
	c.AutoIncrement = def.AutoIncrement
	c.OnUpdateNow = def.OnUpdate != nil
	c.Identity = def.Identity
	switch {
	case def.Generated != nil:
		if def.Default != nil || def.Identity != "" {
			return nil, sqlerr.New("42601", "both default and generation expression specified for column \"%s\" of table \"%s\"", def.Name, t.Name).At(def.Pos)
		}
		// Translated when all columns are known: see setGenerated.
		c.Generated, c.Stored = def.GeneratedText, def.Stored
	case def.Type.Serial || def.Identity != "":
		if def.Default != nil {
			return nil, sqlerr.New("42601", "multiple default values specified for column \"%s\" of table \"%s\"", def.Name, t.Name).At(def.Pos)
		}
		if !c.Type.IsInteger() {
			return nil, sqlerr.New("22023", "identity column type must be smallint, integer, or bigint")
		}
		c.NotNull = true
		if err := w.ownSequence(t, c, def.Sequence); err != nil {
			return nil, err
		}
	case def.Default != nil:
		if err := w.setDefault(c, def.Default, def.DefaultText); err != nil {
			return nil, err
		}
	}
	return c, nil
}

var systemColumns = map[string]bool{"tableoid": true, "xmin": true, "cmin": true, "xmax": true, "cmax": true, "ctid": true}

// setType settles a column's type, with the enum that MySQL's ENUM and SET need.
func (w *work) setType(t *Table, c *Column, n ir.TypeName) error {
	typ, declared, domain, err := w.resolveType(n)
	if err != nil {
		return err
	}
	c.Type, c.Declared, c.Domain = typ, declared, 0
	if domain != nil {
		c.Domain = domain.OID
		c.NotNull = c.NotNull || domain.NotNull
		if c.DefaultSQL == "" {
			c.Default, c.DefaultSQL = domain.Default, domain.DefaultSQL
		}
	}
	if (typ.Kind == types.Enum || typ.Kind == types.Set) && typ.OID == 0 {
		labels := labelsOf(declared)
		if len(labels) == 0 {
			return sqlerr.New("42601", "enum without labels").My(1064, "You have an error in your SQL syntax: %s without labels", declared)
		}
		e := &Enum{Namespace: t.Namespace, Owner: t.Owner, Labels: labels, Table: t.OID}
		db := dbOf(t.Temp)
		if e.OID, err = w.newOID(db); err != nil {
			return err
		}
		if e.ArrayOID, err = w.newOID(db); err != nil {
			return err
		}
		e.Name = t.Name + "_" + c.Name
		for n := 1; w.s.Enums[Key{e.Namespace, e.Name}] != nil || w.s.typeTaken(e.Namespace, e.Name); n++ {
			e.Name = t.Name + "_" + c.Name + strconv.Itoa(n)
		}
		c.Type.OID = e.OID
		return w.put(e)
	}
	return nil
}

// setCharset settles the character set of a MySQL string column.
func (w *work) setCharset(t *Table, c *Column, charset, collation string) {
	switch c.Type.Kind {
	case types.Text, types.Varchar, types.Char, types.Enum, types.Set:
		c.Charset, c.Collation = charsetOf(charset, collation, t.Options["charset"], t.Options["collate"])
		c.Type.Binary = strings.HasSuffix(c.Collation, "_bin") || c.Collation == "binary"
	default:
		c.Charset, c.Collation = "", ""
	}
}

// expr translates an expression, into a column's type when to is not nil.
func (w *work) expr(e ir.Expr, scope *Table, to *Column) (string, types.Type, error) {
	if w.env.Expr == nil {
		return "", types.Type{}, sqlerr.Unsupported("an expression in DDL")
	}
	if to != nil {
		e = &ir.Cast{X: e, To: ir.TypeName{Type: to.Type, Declared: to.Declared, Pos: -1}, Pos: -1}
	}
	return w.env.Expr(e, scope)
}

// setDefault gives a column its default.
func (w *work) setDefault(c *Column, e ir.Expr, source string) error {
	c.Default, c.DefaultSQL, c.NextVal = "", "", 0
	if lit, ok := e.(*ir.Literal); ok && lit.Value.IsNull() {
		if !w.mysql && source != "" {
			c.Default, c.DefaultSQL = "NULL::"+baseName(c.Declared), "NULL"
		}
		return nil
	}
	if !w.mysql {
		q, err := w.nextvalOf(e)
		if err != nil {
			return err
		}
		if q != nil {
			return w.defaultNextval(c, q)
		}
	}
	sql, _, err := w.expr(e, nil, c)
	if err != nil {
		return err
	}
	c.DefaultSQL = sql
	c.Default = w.defaultText(c, e, source)
	return nil
}

// defaultText writes a default as the dialect's catalogs do.
func (w *work) defaultText(c *Column, e ir.Expr, source string) string {
	lit, isLit := e.(*ir.Literal)
	if !w.mysql {
		if w.env.Format != nil {
			if s, ok := w.env.Format(e, ir.TypeName{Type: c.Type, Declared: c.Declared}, nil); ok {
				return s
			}
		}
		if isLit && !strings.Contains(source, "::") && lit.Value.Class == types.String && lit.Type.Kind == types.Unknown {
			if c.Type.IsInteger() || c.Type.Kind == types.Bool {
				return string(lit.Value.B)
			}
			return text(string(lit.Value.B)) + "::" + baseName(c.Declared)
		}
		return source
	}
	switch e := e.(type) {
	case *ir.Literal:
		switch e.Value.Class {
		case types.Int:
			if c.Type.Kind == types.Bit {
				return "b'" + strconv.FormatInt(e.Value.I, 2) + "'"
			}
			return text(strconv.FormatInt(e.Value.I, 10))
		case types.Float:
			return text(strconv.FormatFloat(e.Value.F, 'g', -1, 64))
		case types.String:
			return text(string(e.Value.B))
		case types.Blob:
			if c.Type.Kind == types.Bit {
				var n uint64
				for _, b := range e.Value.B {
					n = n<<8 | uint64(b)
				}
				return "b'" + strconv.FormatUint(n, 2) + "'"
			}
			return fmt.Sprintf("0x%X", e.Value.B)
		}
	case *ir.Unary:
		if l, ok := e.X.(*ir.Literal); ok && (e.Op == "-" || e.Op == "+") {
			s := strings.Trim(w.defaultText(c, l, source), "'")
			return text(strings.TrimPrefix(e.Op, "+") + s)
		}
	case *ir.Func:
		switch e.Name {
		case "current_timestamp", "now", "localtime", "localtimestamp":
			out := "CURRENT_TIMESTAMP"
			if len(e.Args) == 1 {
				if l, ok := e.Args[0].(*ir.Literal); ok && l.Value.I > 0 {
					out += "(" + strconv.FormatInt(l.Value.I, 10) + ")"
				}
			}
			return out
		}
	}
	source = strings.TrimSpace(source)
	if strings.HasPrefix(source, "(") && strings.HasSuffix(source, ")") {
		return source
	}
	return "(" + source + ")"
}

// baseName is a declared type without its parameters.
func baseName(declared string) string {
	if i := strings.IndexByte(declared, '('); i >= 0 {
		if j := strings.IndexByte(declared[i:], ')'); j >= 0 {
			return declared[:i] + declared[i+j+1:]
		}
	}
	return declared
}

// setGenerated translates a generated column's expression; all columns of t are known.
func (w *work) setGenerated(t *Table, c *Column, e ir.Expr) error {
	if !w.mysql && !c.Stored {
		c.Stored = true // PostgreSQL 15 has no others
	}
	sql, typ, err := w.expr(e, t, nil)
	// A conversion that changes nothing would only cost time, and some depend on the session: SQLite refuses those here.
	if err == nil && !sameValues(typ, c.Type) {
		sql, _, err = w.expr(e, t, c)
	}
	if err != nil {
		return err
	}
	c.GeneratedSQL = sql
	c.Generated = w.format(t, e, c.Generated)
	return nil
}

// format prints an expression over a table's columns as the dialect's catalogs show it; source is what the parser made.
func (w *work) format(t *Table, e ir.Expr, source string) string {
	if w.mysql || w.env.Format == nil {
		return source
	}
	s, ok := w.env.Format(e, ir.TypeName{}, func(name string) types.Type {
		if c := t.exact(name); c != nil {
			return c.Type
		}
		return types.Type{}
	})
	if !ok {
		return source
	}
	return s
}
