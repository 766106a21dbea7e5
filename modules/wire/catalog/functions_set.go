package catalog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

func setReturning() {
	text, oid, i4 := types.Text, types.Oid, types.Int4
	column := func(name string, k types.Kind) funcs.ResultColumn {
		return funcs.ResultColumn{Name: name, Type: types.T(k)}
	}
	addSet("pg_get_keywords", []funcs.ResultColumn{column("word", text), column("catcode", types.InternalChar), column("barelabel", types.Bool),
		column("catdesc", text), column("baredesc", text)}, types.Record, 0, nil,
		func(*Objects, conn, []any) ([][]any, error) {
			var out [][]any
			for _, line := range lines("keywords.tsv") {
				f := strings.Split(line, "\t")
				out = append(out, []any{f[0], f[1], f[2] == "t", f[3], f[4]})
			}
			return out, nil
		})
	addSet("pg_partition_ancestors", nil, types.Regclass, 0, []types.Kind{types.Regclass},
		func(*Objects, conn, []any) ([][]any, error) { return nil, nil })
	addSet("pg_partition_tree", []funcs.ResultColumn{column("relid", types.Regclass), column("parentrelid", types.Regclass),
		column("isleaf", types.Bool), column("level", i4)}, types.Record, 0, []types.Kind{types.Regclass},
		func(*Objects, conn, []any) ([][]any, error) { return nil, nil })
	addSet("pg_options_to_table", []funcs.ResultColumn{column("option_name", text), column("option_value", text)}, types.Record, 0,
		[]types.Kind{funcs.AnyArray}, func(_ *Objects, _ conn, arg []any) ([][]any, error) {
			var out [][]any
			for _, o := range jsonArray(arg[0]) {
				name, v, _ := strings.Cut(fmt.Sprint(o), "=")
				out = append(out, []any{name, v})
			}
			return out, nil
		})
	addSet("aclexplode", []funcs.ResultColumn{column("grantor", oid), column("grantee", oid), column("privilege_type", text),
		column("is_grantable", types.Bool)}, types.Record, 0, []types.Kind{funcs.AnyArray}, aclExplode)
	addSet("_pg_expandarray", []funcs.ResultColumn{{Name: "x", Type: types.T(funcs.AnyElem)}, column("n", i4)}, types.Record, 0,
		[]types.Kind{funcs.AnyArray}, expandArray)
	addSet("_pg_expandarray", []funcs.ResultColumn{column("x", types.Int2), column("n", i4)}, types.Record, 0,
		[]types.Kind{types.Int2Vector}, expandArray)
	addSet("pg_sequence_parameters", []funcs.ResultColumn{column("start_value", types.Int8), column("minimum_value", types.Int8),
		column("maximum_value", types.Int8), column("increment", types.Int8), column("cycle_option", types.Bool), column("cache_size", types.Int8),
		column("data_type", oid)}, types.Record, 0, []types.Kind{oid}, func(o *Objects, _ conn, arg []any) ([][]any, error) {
		n, _ := arg[0].(int64)
		q, ok := o.src.Schema().ByOID[uint32(n)].(*schema.Sequence)
		if !ok {
			return nil, nil
		}
		return [][]any{{q.Start, q.Min, q.Max, q.Increment, q.Cycle, q.Cache, q.Type.PGOID()}}, nil
	})
}

func expandArray(_ *Objects, _ conn, arg []any) ([][]any, error) {
	var out [][]any
	s, _ := arg[0].(string)
	if !strings.HasPrefix(s, "[") { // int2vector
		for i, f := range strings.Fields(s) {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return nil, err
			}
			out = append(out, []any{n, i + 1})
		}
		return out, nil
	}
	for i, e := range jsonArray(arg[0]) {
		out = append(out, []any{e, i + 1})
	}
	return out, nil
}

// jsonArray reads the storage form of an array.
func jsonArray(v any) []any {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var list []any
	if err := d.Decode(&list); err != nil {
		return nil
	}
	for i, e := range list {
		if n, ok := e.(json.Number); ok {
			if x, err := n.Int64(); err == nil {
				list[i] = x
			} else if f, err := n.Float64(); err == nil {
				list[i] = f
			}
		}
	}
	return list
}

// aclLetters are the privileges by their letters in access lists.
var aclLetters = map[rune]string{'r': "SELECT", 'w': "UPDATE", 'a': "INSERT", 'd': "DELETE", 'D': "TRUNCATE", 'x': "REFERENCES", 't': "TRIGGER",
	'X': "EXECUTE", 'U': "USAGE", 'C': "CREATE", 'T': "TEMPORARY", 'c': "CONNECT", 's': "SET", 'A': "ALTER SYSTEM"}

func aclExplode(_ *Objects, _ conn, arg []any) ([][]any, error) {
	var out [][]any
	for _, item := range jsonArray(arg[0]) {
		grantee, rest, ok := strings.Cut(fmt.Sprint(item), "=")
		rights, grantor, ok2 := strings.Cut(rest, "/")
		if !ok || !ok2 {
			continue
		}
		to := uint32(0)
		if grantee != "" {
			to = roleOID(grantee)
		}
		letters := []rune(rights)
		for i, l := range letters {
			if l == '*' {
				continue
			}
			out = append(out, []any{roleOID(grantor), to, aclLetters[l], i+1 < len(letters) && letters[i+1] == '*'})
		}
	}
	return out, nil
}
