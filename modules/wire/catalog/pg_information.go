package catalog

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	is := func(name string, f func(*table, *schema.Schema, string)) {
		pgFill("information_schema", name, fill{named: f})
	}
	is("information_schema_catalog_name", func(t *table, _ *schema.Schema, db string) { t.add("catalog_name", db) })
	is("schemata", func(t *table, s *schema.Schema, db string) {
		add := func(name, owner string) {
			t.add("catalog_name", db, "schema_name", name, "schema_owner", roleName(owner))
		}
		add("information_schema", "")
		add("pg_catalog", "")
		for _, n := range s.Namespaces {
			add(n.Name, n.Owner)
		}
	})
	is("tables", infoTables)
	is("columns", infoColumns)
	is("views", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			if r.View {
				t.add("table_catalog", db, "table_schema", shownNamespace(r.Namespace), "table_name", r.Name,
					"view_definition", schema.ViewDefinition(s, r, nil), "check_option", "NONE", "is_updatable", "NO", "is_insertable_into", "NO",
					"is_trigger_updatable", "NO", "is_trigger_deletable", "NO", "is_trigger_insertable_into", "NO")
			}
		}
	})
	is("view_table_usage", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			seen := map[uint32]bool{}
			for _, u := range r.Uses {
				if used := tableOf(s, u.Table); used != nil && !seen[u.Table] {
					seen[u.Table] = true
					t.add("view_catalog", db, "view_schema", shownNamespace(r.Namespace), "view_name", r.Name,
						"table_catalog", db, "table_schema", shownNamespace(used.Namespace), "table_name", used.Name)
				}
			}
		}
	})
	is("view_column_usage", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			for _, u := range r.Uses {
				used := tableOf(s, u.Table)
				if used == nil {
					continue
				}
				for _, c := range used.Columns {
					if u.Column == "*" || u.Column == c.Name {
						t.add("view_catalog", db, "view_schema", shownNamespace(r.Namespace), "view_name", r.Name, "table_catalog", db,
							"table_schema", shownNamespace(used.Namespace), "table_name", used.Name, "column_name", c.Name)
					}
				}
			}
		}
	})
	is("table_constraints", infoTableConstraints)
	is("key_column_usage", infoKeyColumns)
	is("constraint_column_usage", infoConstraintColumns)
	is("constraint_table_usage", func(t *table, s *schema.Schema, db string) {
		eachConstraint(s, func(r *schema.Table, k *schema.Constraint) {
			if k.Kind == schema.ForeignKey {
				if r = tableOf(s, k.RefTable); r == nil {
					return
				}
			}
			t.add("table_catalog", db, "table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "constraint_catalog", db,
				"constraint_schema", shownNamespace(r.Namespace), "constraint_name", k.Name)
		})
	})
	is("referential_constraints", infoReferences)
	is("check_constraints", infoChecks)
	is("sequences", func(t *table, s *schema.Schema, db string) {
		for _, q := range sortedSequences(s) {
			if q.Identity {
				continue
			}
			cycle := "NO"
			if q.Cycle {
				cycle = "YES"
			}
			b, _ := types.BuiltinByOID(q.Type.PGOID())
			t.add("sequence_catalog", db, "sequence_schema", shownNamespace(q.Namespace), "sequence_name", q.Name, "data_type", b.SQLName,
				"numeric_precision", int(b.Len)*8, "numeric_precision_radix", 2, "numeric_scale", 0,
				"start_value", strconv.FormatInt(q.Start, 10), "minimum_value", strconv.FormatInt(q.Min, 10),
				"maximum_value", strconv.FormatInt(q.Max, 10), "increment", strconv.FormatInt(q.Increment, 10), "cycle_option", cycle)
		}
	})
	is("domains", func(t *table, s *schema.Schema, db string) {
		for _, d := range sortedDomains(s) {
			row := append([]any{"domain_catalog", db, "domain_schema", d.Namespace, "domain_name", d.Name, "udt_catalog", db,
				"dtd_identifier", "1"}, typeFields(s, d.Base)...)
			if d.Default != "" {
				row = append(row, "domain_default", d.Default)
			}
			t.add(row...)
		}
	})
	is("domain_constraints", func(t *table, s *schema.Schema, db string) {
		for _, d := range sortedDomains(s) {
			for _, k := range d.Constraints {
				t.add("constraint_catalog", db, "constraint_schema", d.Namespace, "constraint_name", k.Name, "domain_catalog", db,
					"domain_schema", d.Namespace, "domain_name", d.Name, "is_deferrable", "NO", "initially_deferred", "NO")
			}
		}
	})
	is("column_domain_usage", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			for _, c := range r.Columns {
				if d, ok := s.ByOID[c.Domain].(*schema.Domain); ok && c.Domain != 0 {
					t.add("domain_catalog", db, "domain_schema", d.Namespace, "domain_name", d.Name, "table_catalog", db,
						"table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "column_name", c.Name)
				}
			}
		}
	})
	is("element_types", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			for i, c := range r.Columns {
				if c.Type.Kind != types.Array {
					continue
				}
				t.add(append([]any{"object_catalog", db, "object_schema", shownNamespace(r.Namespace), "object_name", r.Name,
					"object_type", "TABLE", "collection_type_identifier", strconv.Itoa(i + 1), "udt_catalog", db,
					"dtd_identifier", "a" + strconv.Itoa(i+1)}, typeFields(s, elementOf(s, c.Type))...)...)
			}
		}
	})
	is("character_sets", func(t *table, _ *schema.Schema, db string) {
		t.add("character_set_name", "UTF8", "character_repertoire", "UCS", "form_of_use", "UTF8", "default_collate_catalog", db,
			"default_collate_schema", "pg_catalog", "default_collate_name", "C.UTF-8")
	})
	is("table_privileges", infoPrivileges(true))
	is("role_table_grants", infoPrivileges(true))
	is("column_privileges", infoPrivileges(false))
	pgFill("information_schema", "enabled_roles", fill{live: func(t *table, v *view) { t.add("role_name", v.src.User()) }})
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func infoTables(t *table, s *schema.Schema, db string) {
	for _, r := range relations().list {
		if r.dialect == ir.Postgres {
			kind := "BASE TABLE"
			if r.kind == 'v' {
				kind = "VIEW"
			}
			t.add("table_catalog", db, "table_schema", r.namespace, "table_name", r.name, "table_type", kind, "is_insertable_into", "NO", "is_typed", "NO")
		}
	}
	for _, r := range s.SortedTables() {
		kind := "BASE TABLE"
		switch {
		case r.View:
			kind = "VIEW"
		case r.Temp:
			kind = "LOCAL TEMPORARY"
		}
		t.add("table_catalog", db, "table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "table_type", kind,
			"is_insertable_into", yes(!r.View), "is_typed", "NO")
	}
}

// elementOf returns the type of an array's elements.
func elementOf(s *schema.Schema, t types.Type) types.Type {
	if t.Elem == types.Enum {
		for _, e := range s.Enums {
			if e.ArrayOID == t.OID {
				return types.Type{Kind: types.Enum, OID: e.OID}
			}
		}
	}
	return t.ElemType()
}

// typeFields are the columns that say what a type is, the same in several relations.
func typeFields(s *schema.Schema, t types.Type) []any {
	oid := t.PGOID()
	name, udt, udtSchema := "USER-DEFINED", "", "pg_catalog"
	b, builtin := types.BuiltinByOID(oid)
	switch {
	case t.Kind == types.Array:
		name = "ARRAY"
	case builtin:
		name = b.SQLName
	}
	if builtin {
		udt = b.Name
	} else {
		for _, e := range s.Enums {
			switch oid {
			case e.OID:
				udt, udtSchema = e.Name, e.Namespace
			case e.ArrayOID:
				udt, udtSchema = "_"+e.Name, e.Namespace
			}
		}
	}
	out := []any{"data_type", name, "udt_schema", udtSchema, "udt_name", udt}
	switch t.Kind {
	case types.Int2, types.Int1:
		out = append(out, "numeric_precision", 16, "numeric_precision_radix", 2, "numeric_scale", 0)
	case types.Int4, types.Int3, types.Year:
		bits := 32
		if oid == 20 {
			bits = 64
		}
		out = append(out, "numeric_precision", bits, "numeric_precision_radix", 2, "numeric_scale", 0)
	case types.Int8:
		out = append(out, "numeric_precision", 64, "numeric_precision_radix", 2, "numeric_scale", 0)
	case types.Float4:
		out = append(out, "numeric_precision", 24, "numeric_precision_radix", 2)
	case types.Float8:
		out = append(out, "numeric_precision", 53, "numeric_precision_radix", 2)
	case types.Numeric:
		out = append(out, "numeric_precision_radix", 10)
		if t.Len > 0 {
			out = append(out, "numeric_precision", t.Len, "numeric_scale", t.Scale)
		}
	case types.Varchar, types.Char:
		if t.Len > 0 {
			out = append(out, "character_maximum_length", t.Len, "character_octet_length", int64(t.Len)*4)
		} else {
			out = append(out, "character_octet_length", 1<<30)
		}
	case types.Text:
		out = append(out, "character_octet_length", 1<<30)
	case types.Bit:
		out = append(out, "character_maximum_length", max(t.Len, 1))
	case types.Date:
		out = append(out, "datetime_precision", 0)
	case types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ, types.Interval:
		p := int32(6)
		if t.Len > 0 {
			p = t.Len - 1
		}
		out = append(out, "datetime_precision", p)
	}
	return out
}

func infoColumns(t *table, s *schema.Schema, db string) {
	for _, r := range s.SortedTables() {
		for i, c := range r.Columns {
			row := append([]any{"table_catalog", db, "table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "column_name", c.Name,
				"ordinal_position", i + 1, "is_nullable", yes(!c.NotNull), "udt_catalog", db, "dtd_identifier", strconv.Itoa(i + 1),
				"is_self_referencing", "NO", "is_identity", yes(c.Identity != "" || c.AutoIncrement), "is_generated", "NEVER",
				"is_updatable", yes(!r.View)}, typeFields(s, c.Type)...)
			if d := schema.DefaultDefinition(s, c, nil); d != "" && c.Generated == "" {
				row = append(row, "column_default", d)
			}
			if c.Generated != "" {
				row = append(row, "is_generated", "ALWAYS", "generation_expression", c.Generated)
			}
			if d, ok := s.ByOID[c.Domain].(*schema.Domain); ok && c.Domain != 0 {
				row = append(row, "domain_catalog", db, "domain_schema", d.Namespace, "domain_name", d.Name)
			}
			if c.Collation != "" && c.Collation != "default" {
				row = append(row, "collation_catalog", db, "collation_schema", "pg_catalog", "collation_name", c.Collation)
			}
			if q, ok := s.ByOID[c.Sequence].(*schema.Sequence); ok && c.Identity != "" {
				row = append(row, "identity_generation", c.Identity, "identity_start", strconv.FormatInt(q.Start, 10),
					"identity_increment", strconv.FormatInt(q.Increment, 10), "identity_maximum", strconv.FormatInt(q.Max, 10),
					"identity_minimum", strconv.FormatInt(q.Min, 10), "identity_cycle", yes(q.Cycle))
			} else {
				if c.AutoIncrement {
					row = append(row, "identity_generation", "BY DEFAULT")
				}
				row = append(row, "identity_cycle", "NO")
			}
			t.add(row...)
		}
	}
}

func eachConstraint(s *schema.Schema, each func(*schema.Table, *schema.Constraint)) {
	for _, r := range s.SortedTables() {
		for _, k := range r.Constraints {
			each(r, k)
		}
	}
}

// notNullName is the name that information_schema gives to NOT NULL.
func notNullName(s *schema.Schema, r *schema.Table, c *schema.Column) string {
	return strconv.Itoa(int(namespaceOID(s, r.Namespace))) + "_" + strconv.Itoa(int(r.OID)) + "_" + strconv.Itoa(int(c.Num)) + "_not_null"
}

func infoTableConstraints(t *table, s *schema.Schema, db string) {
	kinds := map[schema.ConstraintKind]string{schema.PrimaryKey: "PRIMARY KEY", schema.Unique: "UNIQUE", schema.Check: "CHECK", schema.ForeignKey: "FOREIGN KEY"}
	add := func(r *schema.Table, name, kind string, deferrable, deferred bool, distinct any) {
		t.add("constraint_catalog", db, "constraint_schema", shownNamespace(r.Namespace), "constraint_name", name, "table_catalog", db,
			"table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "constraint_type", kind, "is_deferrable", yes(deferrable),
			"initially_deferred", yes(deferred), "enforced", "YES", "nulls_distinct", distinct)
	}
	for _, r := range s.SortedTables() {
		for _, k := range r.Constraints {
			var distinct any
			if k.Kind == schema.Unique {
				distinct = "YES"
			}
			add(r, k.Name, kinds[k.Kind], k.Deferrable, k.InitiallyDeferred, distinct)
		}
		for _, c := range r.Columns {
			if c.NotNull && !r.View {
				add(r, notNullName(s, r, c), "CHECK", false, false, nil)
			}
		}
	}
}

func infoKeyColumns(t *table, s *schema.Schema, db string) {
	eachConstraint(s, func(r *schema.Table, k *schema.Constraint) {
		if k.Kind == schema.Check {
			return
		}
		for i, n := range k.Columns {
			c := r.ColumnByNum(n)
			if c == nil {
				continue
			}
			var position any
			if k.Kind == schema.ForeignKey && i < len(k.RefColumns) {
				position = i + 1
				if ref := tableOf(s, k.RefTable); ref != nil {
					for _, o := range ref.Constraints {
						if o.Index == keyIndex(s, k) && o.Index != 0 {
							for j, m := range o.Columns {
								if m == k.RefColumns[i] {
									position = j + 1
								}
							}
						}
					}
				}
			}
			t.add("constraint_catalog", db, "constraint_schema", shownNamespace(r.Namespace), "constraint_name", k.Name, "table_catalog", db,
				"table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "column_name", c.Name, "ordinal_position", i+1,
				"position_in_unique_constraint", position)
		}
	})
}

func infoConstraintColumns(t *table, s *schema.Schema, db string) {
	eachConstraint(s, func(r *schema.Table, k *schema.Constraint) {
		of, cols := r, k.Columns
		if k.Kind == schema.ForeignKey {
			if of, cols = tableOf(s, k.RefTable), k.RefColumns; of == nil {
				return
			}
		}
		for _, n := range cols {
			if c := of.ColumnByNum(n); c != nil {
				t.add("table_catalog", db, "table_schema", shownNamespace(of.Namespace), "table_name", of.Name, "column_name", c.Name,
					"constraint_catalog", db, "constraint_schema", shownNamespace(r.Namespace), "constraint_name", k.Name)
			}
		}
	})
}

func infoReferences(t *table, s *schema.Schema, db string) {
	rule := func(a string) string {
		if a == "" {
			return "NO ACTION"
		}
		return a
	}
	eachConstraint(s, func(r *schema.Table, k *schema.Constraint) {
		if k.Kind != schema.ForeignKey {
			return
		}
		match := "NONE"
		if k.Match == "FULL" {
			match = "FULL"
		}
		var uniqueSchema, unique any
		if ref := tableOf(s, k.RefTable); ref != nil {
			for _, o := range ref.Constraints {
				if o.Index != 0 && o.Index == keyIndex(s, k) {
					uniqueSchema, unique = shownNamespace(ref.Namespace), o.Name
				}
			}
		}
		t.add("constraint_catalog", db, "constraint_schema", shownNamespace(r.Namespace), "constraint_name", k.Name,
			"unique_constraint_catalog", db, "unique_constraint_schema", uniqueSchema, "unique_constraint_name", unique,
			"match_option", match, "update_rule", rule(k.OnUpdate), "delete_rule", rule(k.OnDelete))
	})
}

func infoChecks(t *table, s *schema.Schema, db string) {
	for _, r := range s.SortedTables() {
		for _, k := range r.Constraints {
			if k.Kind == schema.Check {
				clause := strings.TrimPrefix(schema.ConstraintDefinition(s, r, k, nil), "CHECK ")
				t.add("constraint_catalog", db, "constraint_schema", shownNamespace(r.Namespace), "constraint_name", k.Name, "check_clause", clause)
			}
		}
		for _, c := range r.Columns {
			if c.NotNull && !r.View {
				t.add("constraint_catalog", db, "constraint_schema", shownNamespace(r.Namespace), "constraint_name", notNullName(s, r, c),
					"check_clause", c.Name+" IS NOT NULL")
			}
		}
	}
	for _, d := range sortedDomains(s) {
		for _, k := range d.Constraints {
			t.add("constraint_catalog", db, "constraint_schema", d.Namespace, "constraint_name", k.Name,
				"check_clause", strings.TrimPrefix(schema.ConstraintDefinition(s, &schema.Table{}, k, nil), "CHECK "))
		}
	}
}

// infoPrivileges shows what owners may do: all.
func infoPrivileges(tables bool) func(*table, *schema.Schema, string) {
	return func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			who := []any{"grantor", roleName(r.Owner), "grantee", roleName(r.Owner), "table_catalog", db,
				"table_schema", shownNamespace(r.Namespace), "table_name", r.Name, "is_grantable", "YES"}
			if tables {
				for _, p := range []string{"INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"} {
					t.add(append(who, "privilege_type", p, "with_hierarchy", yes(p == "SELECT"))...)
				}
				continue
			}
			for _, c := range r.Columns {
				for _, p := range []string{"INSERT", "SELECT", "UPDATE", "REFERENCES"} {
					t.add(append(who, "column_name", c.Name, "privilege_type", p)...)
				}
			}
		}
	}
}
