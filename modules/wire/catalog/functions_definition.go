package catalog

import (
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func definitionFunctions() {
	oid, text, boolean, i4 := types.Oid, types.Text, types.Bool, types.Int4
	add("pg_get_expr", func(c *call) (any, error) { return c.expression(c.text(0)), nil },
		sig(text, 1, types.PgNodeTree, oid, boolean), sig(text, 1, text, oid, boolean))
	addNull("format_type", func(c *call) (any, error) {
		if !c.has(0) {
			return nil, nil
		}
		mod := int32(-1)
		if c.has(1) {
			mod = int32(c.int(1))
		}
		return c.FormatType(c.oid(0), mod), nil
	}, sig(text, 0, oid, i4))
	add("pg_get_constraintdef", func(c *call) (any, error) {
		s := c.schema()
		k, ok := s.ByOID[c.oid(0)].(*schema.Constraint)
		if !ok {
			return nil, nil
		}
		for _, t := range s.Tables {
			for _, o := range t.Constraints {
				if o.OID == k.OID {
					return schema.ConstraintDefinition(s, t, o, c.src.SearchPath()), nil
				}
			}
		}
		return schema.ConstraintDefinition(s, &schema.Table{}, k, c.src.SearchPath()), nil
	}, sig(text, 1, oid, boolean))
	add("pg_get_indexdef", func(c *call) (any, error) {
		s := c.schema()
		x, ok := s.ByOID[c.oid(0)].(*schema.Index)
		if !ok {
			return nil, nil
		}
		t := tableOf(s, x.Table)
		if t == nil {
			return nil, nil
		}
		if c.has(1) && c.int(1) > 0 {
			return schema.IndexColumnDefinition(t, x, c.int(1)-1, false), nil
		}
		return schema.IndexDefinition(s, t, x), nil
	}, sig(text, 0, oid), sig(text, 0, oid, i4, boolean))
	viewDef := func(c *call) (any, error) {
		oid := c.oid(0)
		if name, ok := c.arg[0].(string); ok {
			var err error
			if oid, err = c.OIDOf(types.Regclass, name); err != nil {
				return nil, err
			}
		}
		if t := tableOf(c.schema(), oid); t != nil && t.View {
			return schema.ViewDefinition(c.schema(), t, c.src.SearchPath()), nil
		}
		return nil, nil
	}
	add("pg_get_viewdef", viewDef, sig(text, 1, oid, boolean), sig(text, 0, oid, i4), sig(text, 1, text, boolean))
	add("pg_get_ruledef", func(c *call) (any, error) {
		for _, t := range c.schema().Tables {
			if t.View && ruleOID(t) == c.oid(0) {
				return "CREATE RULE \"_RETURN\" AS\n    ON SELECT TO " + schema.RelationText(c.src.SearchPath(), t.Namespace, t.Name) +
					" DO INSTEAD " + schema.ViewDefinition(c.schema(), t, c.src.SearchPath()), nil
			}
		}
		return nil, nil
	}, sig(text, 1, oid, boolean))
	for _, name := range []string{"pg_get_triggerdef", "pg_get_functiondef", "pg_get_partkeydef", "pg_get_partition_constraintdef",
		"pg_get_statisticsobjdef", "pg_get_statisticsobjdef_columns", "pg_get_function_sqlbody", "pg_get_statisticsobjdef_expressions"} {
		add(name, constant(nil), sig(text, 1, oid, boolean))
	}
	add("pg_get_function_arg_default", constant(nil), sig(text, 0, oid, i4))
	arguments := func(c *call) (any, error) {
		p := known().byOID[c.oid(0)]
		if p == nil {
			return nil, nil
		}
		var out []string
		for i, a := range p.args {
			name := c.FormatType(a, -1)
			if p.variadic != 0 && i == len(p.args)-1 {
				name = "VARIADIC " + name
			}
			out = append(out, name)
		}
		return strings.Join(out, ", "), nil
	}
	add("pg_get_function_arguments", arguments, sig(text, 0, oid))
	add("pg_get_function_identity_arguments", arguments, sig(text, 0, oid))
	add("pg_get_function_result", func(c *call) (any, error) {
		p := known().byOID[c.oid(0)]
		if p == nil {
			return nil, nil
		}
		if p.set {
			return "SETOF " + c.FormatType(p.result, -1), nil
		}
		return c.FormatType(p.result, -1), nil
	}, sig(text, 0, oid))
	add("pg_get_serial_sequence", func(c *call) (any, error) {
		s := c.schema()
		ns, name, err := schema.SplitName(c.text(0))
		if err != nil {
			return nil, err
		}
		t := s.Find(c.src.SearchPath(), ns, name)
		if t == nil {
			return nil, sqlerr.New("42P01", "relation \"%s\" does not exist", c.text(0))
		}
		col := t.Column(c.text(1))
		if col == nil {
			return nil, sqlerr.New("42703", "column \"%s\" of relation \"%s\" does not exist", c.text(1), t.Name)
		}
		for _, q := range sortedSequences(s) {
			if q.OwnedTable == t.OID && q.OwnedColumn == col.Num {
				return schema.QuoteIdent(q.Namespace) + "." + schema.QuoteIdent(q.Name), nil
			}
		}
		return nil, nil
	}, sig(text, 0, text, text))
	add("pg_get_userbyid", func(c *call) (any, error) {
		if n := c.roleName(c.oid(0)); n != "" {
			return n, nil
		}
		return fmt.Sprintf("unknown (OID=%d)", c.oid(0)), nil
	}, sig(types.Name, 0, oid))

	// Comments.
	comment := func(c *call, object, class uint32, sub int) any {
		type key struct {
			object, class uint32
			sub           int
		}
		all := c.schema().Memo("comments", func() any {
			m := map[key]string{}
			comments(c.schema(), func(object, class uint32, sub int, text string) {
				m[key{object, class, sub}] = text
				if _, ok := m[key{object, 0, sub}]; !ok {
					m[key{object, 0, sub}] = text
				}
			})
			return m
		}).(map[key]string)
		if s, ok := all[key{object, class, sub}]; ok {
			return s
		}
		return nil
	}
	add("obj_description", func(c *call) (any, error) {
		class := uint32(0)
		if c.has(1) {
			r := find(ir.Postgres, "", c.text(1))
			if r == nil {
				return nil, nil
			}
			class = r.oid
		}
		return comment(c, c.oid(0), class, 0), nil
	}, sig(text, 1, oid, types.Name))
	add("col_description", func(c *call) (any, error) { return comment(c, c.oid(0), oidClassClass, c.int(1)), nil }, sig(text, 0, oid, i4))
	add("shobj_description", constant(nil), sig(text, 0, oid, types.Name))
	add("pg_describe_object", func(c *call) (any, error) {
		if n := c.NameOf(types.Regclass, c.oid(1)); c.oid(0) == oidClassClass {
			return "table " + n, nil
		}
		return "object " + c.text(1), nil
	}, sig(text, 0, oid, oid, i4))

	// Names to OIDs without an error.
	for name, kind := range map[string]types.Kind{"to_regclass": types.Regclass, "to_regtype": types.Regtype, "to_regproc": types.Regproc,
		"to_regprocedure": types.Regprocedure, "to_regnamespace": types.Regnamespace, "to_regrole": types.Regrole} {
		add(name, func(c *call) (any, error) {
			oid, err := c.OIDOf(kind, c.text(0))
			if err != nil {
				return nil, nil
			}
			return oid, nil
		}, sig(kind, 0, text))
	}

	// Helpers of information_schema.
	typmod := func(c *call) (types.Type, bool) {
		if !c.has(1) || c.int(1) < 0 {
			return types.Type{}, false
		}
		t, ok := types.FromOID(c.oid(0), int32(c.int(1)))
		return t, ok
	}
	addNull("_pg_char_max_length", func(c *call) (any, error) {
		if t, ok := typmod(c); ok && (t.Kind == types.Varchar || t.Kind == types.Char || t.Kind == types.Bit) {
			return t.Len, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_char_octet_length", func(c *call) (any, error) {
		if t, ok := typmod(c); ok && (t.Kind == types.Varchar || t.Kind == types.Char) {
			return t.Len * 4, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_numeric_precision", func(c *call) (any, error) {
		switch c.oid(0) {
		case 21:
			return 16, nil
		case 23:
			return 32, nil
		case 20:
			return 64, nil
		case 700:
			return 24, nil
		case 701:
			return 53, nil
		}
		if t, ok := typmod(c); ok && t.Kind == types.Numeric {
			return t.Len, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_numeric_scale", func(c *call) (any, error) {
		switch c.oid(0) {
		case 20, 21, 23:
			return 0, nil
		}
		if t, ok := typmod(c); ok && t.Kind == types.Numeric {
			return t.Scale, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_datetime_precision", func(c *call) (any, error) {
		switch c.oid(0) {
		case 1082:
			return 0, nil
		case 1083, 1114, 1184, 1266, 1186:
			if c.has(1) && c.int(1) >= 0 {
				return min(c.int(1), 6), nil
			}
			return 6, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	add("pg_sequence_last_value", func(c *call) (any, error) {
		q, ok := c.schema().ByOID[c.oid(0)].(*schema.Sequence)
		if !ok {
			return nil, nil
		}
		st, err := schema.ReadSequence(c.db, q)
		if err != nil || !st.Called {
			return nil, err
		}
		return st.Value, nil
	}, sig(types.Int8, 0, types.Regclass), sig(types.Int8, 0, oid))
}

func visibilityFunctions() {
	oid := types.Oid
	visible := func(c *call, namespace, name string, same func(ns string) uint32, oid uint32) bool {
		if namespace == "pg_catalog" {
			return true
		}
		path := c.src.SearchPath()
		if path == nil {
			path = []string{schema.Public}
		}
		if c.schema().HasTemp {
			path = append([]string{schema.TempNamespace}, path...)
		}
		for _, ns := range path {
			if found := same(ns); found != 0 {
				return found == oid
			}
		}
		return false
	}
	add("pg_table_is_visible", func(c *call) (any, error) {
		s := c.schema()
		ns, name := "", ""
		switch r := s.ByOID[c.oid(0)].(type) {
		case *schema.Table:
			ns, name = r.Namespace, r.Name
		case *schema.Index:
			ns, name = r.Namespace, r.RelationName()
		case *schema.Sequence:
			ns, name = r.Namespace, r.Name
		default:
			if r := systemRelation(c.oid(0)); r != nil {
				return r.namespace == "pg_catalog" || contains(c.src.SearchPath(), r.namespace), nil
			}
			return nil, nil
		}
		return visible(c, ns, name, func(ns string) uint32 {
			if find(ir.Postgres, "pg_catalog", name) != nil {
				return 1 // hidden by the catalog
			}
			key := schema.Key{Namespace: ns, Name: name}
			switch {
			case s.Tables[key] != nil:
				return s.Tables[key].OID
			case s.Indexes[key] != nil:
				return s.Indexes[key].OID
			case s.Sequences[key] != nil:
				return s.Sequences[key].OID
			}
			return 0
		}, c.oid(0)), nil
	}, sig(types.Bool, 0, oid))
	add("pg_type_is_visible", func(c *call) (any, error) {
		s, id := c.schema(), c.oid(0)
		if _, ok := types.BuiltinByOID(id); ok {
			return true, nil
		}
		path := c.src.SearchPath()
		for _, e := range s.Enums {
			if e.OID == id || e.ArrayOID == id {
				return schema.Visible(path, e.Namespace), nil
			}
		}
		for _, d := range s.Domains {
			if d.OID == id || d.ArrayOID == id {
				return schema.Visible(path, d.Namespace), nil
			}
		}
		for _, t := range s.Tables {
			if t.RowType == id || t.ArrayType == id {
				return schema.Visible(path, t.Namespace), nil
			}
		}
		return nil, nil
	}, sig(types.Bool, 0, oid))
	add("pg_function_is_visible", func(c *call) (any, error) {
		if known().byOID[c.oid(0)] == nil {
			return nil, nil
		}
		return true, nil
	}, sig(types.Bool, 0, oid))
	// All there are of these are PostgreSQL's own.
	for _, name := range []string{"pg_collation_is_visible", "pg_conversion_is_visible", "pg_operator_is_visible", "pg_opclass_is_visible",
		"pg_opfamily_is_visible", "pg_statistics_obj_is_visible", "pg_ts_config_is_visible", "pg_ts_dict_is_visible",
		"pg_ts_parser_is_visible", "pg_ts_template_is_visible"} {
		add(name, constant(true), sig(types.Bool, 0, oid))
	}
	add("pg_relation_is_publishable", func(c *call) (any, error) {
		t := tableOf(c.schema(), c.oid(0))
		return t != nil && !t.View && !t.Temp, nil
	}, sig(types.Bool, 0, types.Regclass), sig(types.Bool, 0, oid))
	add("pg_relation_is_updatable", func(c *call) (any, error) {
		if t := tableOf(c.schema(), c.oid(0)); t != nil && !t.View {
			return 28, nil
		}
		return 0, nil
	}, sig(types.Int4, 0, types.Regclass, types.Bool), sig(types.Int4, 0, oid, types.Bool))
	add("pg_is_other_temp_schema", constant(false), sig(types.Bool, 0, oid))
	add("pg_my_temp_schema", func(c *call) (any, error) {
		if c.schema().HasTemp {
			return oidTemp, nil
		}
		return 0, nil
	}, sig(oid, 0))
	add("pg_partition_root", func(c *call) (any, error) { return nil, nil }, sig(types.Regclass, 0, types.Regclass))
}
