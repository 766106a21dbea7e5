package catalog

import (
	"encoding/json"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

// encodings are the character set encodings that clients name, by PostgreSQL's numbers.
var encodings = map[int]string{0: "SQL_ASCII", 6: "UTF8", 8: "LATIN1", 24: "WIN1252"}

func serverFunctions() {
	oid, text, i8, boolean := types.Oid, types.Text, types.Int8, types.Bool
	add("pg_encoding_to_char", func(c *call) (any, error) { return encodings[c.int(0)], nil }, sig(types.Name, 0, types.Int4))
	add("pg_char_to_encoding", func(c *call) (any, error) {
		want := strings.ReplaceAll(strings.ToUpper(c.text(0)), "-", "")
		for n, name := range encodings {
			if name == want || want == "UNICODE" && n == 6 {
				return n, nil
			}
		}
		return -1, nil
	}, sig(types.Int4, 0, types.Name))
	add("pg_encoding_max_length", func(c *call) (any, error) {
		if c.int(0) == 6 {
			return 4, nil
		}
		return 1, nil
	}, sig(types.Int4, 0, types.Int4))
	add("getdatabaseencoding", constant("UTF8"), sig(types.Name, 0))
	add("pg_is_in_recovery", func(c *call) (any, error) { return c.src.Follows(), nil }, sig(boolean, 0))
	add("pg_is_wal_replay_paused", constant(false), sig(boolean, 0))
	add("pg_postmaster_start_time", func(c *call) (any, error) { return timestamp(c.src.Started()), nil }, sig(types.TimestampTZ, 0))
	add("pg_conf_load_time", func(c *call) (any, error) { return timestamp(c.src.Started()), nil }, sig(types.TimestampTZ, 0))
	add("pg_tablespace_location", constant(""), sig(text, 0, oid))
	add("pg_filenode_relation", constant(nil), sig(types.Regclass, 0, oid, oid))
	add("pg_relation_filenode", func(c *call) (any, error) { return c.oid(0), nil }, sig(oid, 0, types.Regclass))
	arrayInt := func(name string, args ...types.Kind) {
		add(name, constant("[]"), arrayOf(types.Int4, sig(0, 0, args...)))
	}
	arrayInt("pg_blocking_pids", types.Int4)
	arrayInt("pg_safe_snapshot_blocking_pids", types.Int4)
	add("pg_column_size", func(c *call) (any, error) {
		switch v := c.arg[0].(type) {
		case string:
			return len(v) + 1, nil
		case float64:
			return 8, nil
		}
		return 8, nil
	}, sig(types.Int4, 0, funcs.Any))

	relationSize := func(indexes bool, rows bool) func(c *call) (any, error) {
		return func(c *call) (any, error) { return c.relationSize(c.oid(0), rows, indexes) }
	}
	add("pg_relation_size", func(c *call) (any, error) {
		if c.has(1) && c.text(1) != "main" {
			return 0, nil
		}
		return c.relationSize(c.oid(0), true, false)
	}, sig(i8, 1, types.Regclass, text), sig(i8, 1, oid, text))
	add("pg_table_size", relationSize(false, true), sig(i8, 0, types.Regclass), sig(i8, 0, oid))
	add("pg_indexes_size", relationSize(true, false), sig(i8, 0, types.Regclass), sig(i8, 0, oid))
	add("pg_total_relation_size", relationSize(true, true), sig(i8, 0, types.Regclass), sig(i8, 0, oid))
	add("pg_database_size", func(c *call) (any, error) {
		name := c.text(0)
		if n, ok := c.arg[0].(int64); ok {
			name = ""
			for _, d := range c.src.Databases() {
				if databaseOID(d) == uint32(n) {
					name = d
				}
			}
		}
		if name != c.src.Database() {
			return nil, nil // another database's size can't be told from here
		}
		pages, err := c.number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
		return pages, err
	}, sig(i8, 0, types.Name), sig(i8, 0, oid))
	add("pg_tablespace_size", constant(0), sig(i8, 0, types.Name), sig(i8, 0, oid))
	for _, name := range []string{"pg_indexam_has_property", "pg_index_has_property"} {
		add(name, func(c *call) (any, error) {
			switch strings.ToLower(c.text(1)) {
			case "can_order", "can_unique", "can_multi_col", "index_scan", "backward_scan", "can_include":
				return true, nil
			}
			return false, nil
		}, sig(boolean, 0, oid, text))
	}
	add("pg_index_column_has_property", func(c *call) (any, error) {
		x, ok := c.schema().ByOID[c.oid(0)].(*schema.Index)
		if !ok || c.int(1) < 1 || c.int(1) > len(x.Columns) {
			return nil, nil
		}
		ic := x.Columns[c.int(1)-1]
		switch strings.ToLower(c.text(2)) {
		case "asc":
			return !ic.Desc, nil
		case "desc":
			return ic.Desc, nil
		case "nulls_first":
			return ic.Nulls > 0 || ic.Desc && ic.Nulls == 0, nil
		case "nulls_last":
			return !(ic.Nulls > 0 || ic.Desc && ic.Nulls == 0), nil
		case "orderable", "returnable", "search_array", "search_nulls":
			return true, nil
		}
		return false, nil
	}, sig(boolean, 0, types.Regclass, types.Int4, text), sig(boolean, 0, oid, types.Int4, text))
}

// number runs a query for one integer.
func (c *call) number(sql string) (any, error) {
	st, _, err := c.db.Prepare(sql)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	var n int64
	if st.Step() {
		n = st.ColumnInt64(0)
	}
	return n, st.Err()
}

// relationSize estimates a relation's bytes on disk from its rows: SQLite keeps no count of pages by table.
func (c *call) relationSize(oid uint32, rows, indexes bool) (any, error) {
	s := c.schema()
	t := tableOf(s, oid)
	if x, ok := s.ByOID[oid].(*schema.Index); ok {
		if t = tableOf(s, x.Table); t == nil || x.SQLName == "" {
			return 0, nil
		}
		n, err := c.rowBytes(t, indexColumns(t, x))
		return pages(n), err
	}
	if t == nil {
		if systemRelation(oid) != nil || s.ByOID[oid] != nil {
			return 0, nil
		}
		return nil, nil
	}
	if t.View {
		return 0, nil
	}
	total := int64(0)
	if rows {
		var cols []string
		for _, col := range t.Columns {
			if col.GeneratedSQL == "" || col.Stored {
				cols = append(cols, col.Name)
			}
		}
		n, err := c.rowBytes(t, cols)
		if err != nil {
			return nil, err
		}
		total += pages(n)
	}
	if indexes {
		for _, x := range s.Indices(t) {
			if x.SQLName == "" {
				continue
			}
			n, err := c.rowBytes(t, indexColumns(t, x))
			if err != nil {
				return nil, err
			}
			total += pages(n)
		}
	}
	return total, nil
}

func indexColumns(t *schema.Table, x *schema.Index) []string {
	var cols []string
	for _, ic := range x.Columns {
		if col := t.ColumnByNum(ic.Column); col != nil {
			cols = append(cols, col.Name)
		}
	}
	return cols
}

// rowBytes adds up what columns need in SQLite's records.
func (c *call) rowBytes(t *schema.Table, cols []string) (int64, error) {
	sql := "SELECT total(12"
	for _, name := range cols {
		q := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		sql += " + CASE typeof(" + q + ") WHEN 'text' THEN 1 + octet_length(" + q + ") WHEN 'blob' THEN 1 + length(" + q +
			") WHEN 'real' THEN 9 WHEN 'integer' THEN 5 ELSE 1 END"
	}
	n, err := c.number(sql + `) FROM "` + strings.ReplaceAll(t.SQLName, `"`, `""`) + `"`)
	if err != nil {
		return 0, err
	}
	return n.(int64), nil
}

// pages rounds up to whole pages.
func pages(n int64) int64 { return (n + 4095) / 4096 * 4096 }

func privilegeFunctions() {
	object, text := funcs.Any, types.Text
	// Privileges aren't granted one by one: whoever is let in may use what is there. What the functions check is that
	// the object exists.
	check := func(kind types.Kind) func(c *call) (any, error) {
		return func(c *call) (any, error) {
			of := c.arg[0]
			if len(c.arg) >= 3 {
				of = c.arg[1]
			}
			name, ok := of.(string)
			if !ok {
				return true, nil
			}
			if kind == types.Unknown {
				return true, nil
			}
			if _, err := c.OIDOf(kind, name); err != nil {
				return nil, err
			}
			return true, nil
		}
	}
	add("has_table_privilege", check(types.Regclass), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_anycolumn_privilege", check(types.Regclass), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_sequence_privilege", check(types.Regclass), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_schema_privilege", check(types.Regnamespace), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_type_privilege", check(types.Regtype), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	for _, name := range []string{"has_database_privilege", "has_function_privilege", "has_language_privilege", "has_tablespace_privilege",
		"has_server_privilege", "has_foreign_data_wrapper_privilege", "has_parameter_privilege", "pg_has_role"} {
		add(name, check(types.Unknown), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	}
	add("has_column_privilege", func(c *call) (any, error) {
		if name, ok := c.arg[len(c.arg)-3].(string); ok {
			if _, err := c.OIDOf(types.Regclass, name); err != nil {
				return nil, err
			}
		}
		return true, nil
	}, sig(types.Bool, 0, object, object, text), sig(types.Bool, 0, object, object, object, text))
	add("row_security_active", constant(false), sig(types.Bool, 0, object))
	add("acldefault", func(c *call) (any, error) {
		owner := c.roleName(c.oid(1))
		rights := map[string]string{"r": "arwdDxt", "s": "rwU", "n": "UC", "d": "CTc", "f": "X", "l": "U", "T": "U", "t": "C", "F": "U", "S": "U"}
		list := []string{owner + "=" + rights[c.text(0)] + "/" + owner}
		switch c.text(0) {
		case "f", "T", "l":
			list = append([]string{"=" + rights[c.text(0)] + "/" + owner}, list...)
		case "d":
			list = append([]string{"=Tc/" + owner}, list...)
		}
		b, err := json.Marshal(list)
		return string(b), err
	}, arrayOf(types.AclItem, sig(0, 0, types.InternalChar, types.Oid)), arrayOf(types.AclItem, sig(0, 0, text, types.Oid)))
}
