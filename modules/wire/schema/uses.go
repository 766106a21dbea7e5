package schema

import (
	"reflect"
	"slices"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// walk calls visit for each node below v that is a pointer to one of ir's structs, parents first. Below a node for
// which visit returns false it doesn't go.
func walk(v any, visit func(node any) bool) { walkValue(reflect.ValueOf(v), visit) }

func walkValue(v reflect.Value, visit func(any) bool) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			walkValue(v.Elem(), visit)
		}
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return
		}
		if visit(v.Interface()) {
			walkValue(v.Elem(), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch v.Field(i).Kind() {
			case reflect.Interface, reflect.Pointer, reflect.Struct, reflect.Slice:
				if v.Type().Field(i).IsExported() {
					walkValue(v.Field(i), visit)
				}
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkValue(v.Index(i), visit)
		}
	}
}

// usedColumns returns the columns of t that an expression names, in the order of their first use.
func usedColumns(t *Table, e ir.Expr) []*Column {
	var out []*Column
	walk(e, func(n any) bool {
		if r, ok := n.(*ir.ColumnRef); ok {
			if c := t.Column(r.Name); c != nil && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
		return true
	})
	return out
}

// queryUses returns what a query reads. Where a column's table isn't sure it counts for each table that has one of
// that name.
func (w *work) queryUses(q *ir.Query) []Use {
	ctes := map[string]bool{}
	var tables []*Table
	names := map[string]bool{}
	star := false
	walk(q, func(n any) bool {
		switch n := n.(type) {
		case *ir.With:
			for _, c := range n.CTEs {
				ctes[c.Name] = true
			}
		case *ir.Table:
			if n.Name.Schema == "" && ctes[n.Name.Name] {
				return true
			}
			if o, err := w.find(n.Name); err == nil {
				if t, ok := o.(*Table); ok && !slices.Contains(tables, t) {
					tables = append(tables, t)
				}
			}
		case *ir.ColumnRef:
			names[n.Name] = true
		case *ir.Join:
			for _, u := range n.Using {
				names[u] = true
			}
			star = star || n.Natural
		case *ir.Star:
			star = true
		}
		return true
	})
	var uses []Use
	for _, t := range tables {
		if star {
			uses = append(uses, Use{t.OID, "*"})
			continue
		}
		n := len(uses)
		for _, c := range t.Columns {
			if names[c.Name] {
				uses = append(uses, Use{t.OID, c.Name})
			}
		}
		if len(uses) == n {
			uses = append(uses, Use{t.OID, ""})
		}
	}
	return uses
}
