package catalog

import (
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	pgFill("pg_catalog", "pg_type", fill{static: builtinTypes, logical: schemaTypes})
	pgFill("pg_catalog", "pg_enum", fill{logical: enumLabels})
	pgFill("pg_catalog", "pg_range", fill{static: func(t *table) {
		for _, r := range [][7]uint32{
			{3904, 23, 4451, 0, 1978, 3914, 3922}, {3906, 1700, 4532, 0, 3125, 0, 3924}, {3908, 1114, 4533, 0, 3128, 0, 3929},
			{3910, 1184, 4534, 0, 3127, 0, 3930}, {3912, 1082, 4535, 0, 3122, 3915, 3925}, {3926, 20, 4536, 0, 3124, 3928, 3923},
		} {
			t.add("rngtypid", r[0], "rngsubtype", r[1], "rngmultitypid", r[2], "rngcollation", r[3], "rngsubopc", r[4],
				"rngcanonical", r[5], "rngsubdiff", r[6])
		}
	}})
	pgFill("pg_catalog", "pg_opclass", fill{static: func(t *table) {
		for _, c := range recordedClasses().list {
			t.add("oid", c.oid, "opcmethod", c.method, "opcname", c.name, "opcnamespace", oidCatalog, "opcowner", oidOwner,
				"opcfamily", c.family, "opcintype", c.input, "opcdefault", c.isDefault, "opckeytype", c.key)
		}
	}})
	pgFill("pg_catalog", "pg_cast", fill{static: func(t *table) {
		for _, line := range lines("casts.tsv") {
			f := strings.Split(line, "\t")
			t.add("oid", parseOID(f[0]), "castsource", parseOID(f[1]), "casttarget", parseOID(f[2]), "castfunc", parseOID(f[3]),
				"castcontext", f[4], "castmethod", f[5])
		}
	}})
	pgFill("pg_catalog", "pg_operator", fill{static: func(t *table) {
		for _, line := range lines("operators.tsv") {
			f := strings.Split(line, "\t")
			t.add("oid", parseOID(f[0]), "oprname", f[1], "oprnamespace", oidCatalog, "oprowner", oidOwner, "oprkind", f[2],
				"oprcanmerge", f[3] == "t", "oprcanhash", f[4] == "t", "oprleft", parseOID(f[5]), "oprright", parseOID(f[6]),
				"oprresult", parseOID(f[7]), "oprcom", parseOID(f[8]), "oprnegate", parseOID(f[9]), "oprcode", parseOID(f[10]))
		}
	}})
	pgFill("pg_catalog", "pg_am", fill{static: func(t *table) {
		for _, m := range []struct {
			oid           int
			name, handler string
			kind          string
		}{
			{2, "heap", "heap_tableam_handler", "t"}, {403, "btree", "bthandler", "i"}, {405, "hash", "hashhandler", "i"},
			{783, "gist", "gisthandler", "i"}, {2742, "gin", "ginhandler", "i"}, {3580, "brin", "brinhandler", "i"},
			{4000, "spgist", "spghandler", "i"},
		} {
			t.add("oid", m.oid, "amname", m.name, "amhandler", procOID(m.handler), "amtype", m.kind)
		}
	}})
	pgFill("pg_catalog", "pg_collation", fill{static: func(t *table) {
		for _, c := range []struct {
			oid      int
			name     string
			provider string
			encoding int
			locale   any
		}{
			{100, "default", "d", -1, nil}, {950, "C", "c", -1, "C"}, {951, "POSIX", "c", -1, "POSIX"}, {12340, "ucs_basic", "c", 6, "C"},
		} {
			t.add("oid", c.oid, "collname", c.name, "collnamespace", oidCatalog, "collowner", oidOwner, "collprovider", c.provider,
				"collisdeterministic", true, "collencoding", c.encoding, "collcollate", c.locale, "collctype", c.locale)
		}
	}})
	pgFill("pg_catalog", "pg_language", fill{static: func(t *table) {
		for _, l := range []struct {
			oid  int
			name string
			pl   bool
		}{{12, "internal", false}, {13, "c", false}, {14, "sql", false}, {oidPlpgsql, "plpgsql", true}} {
			t.add("oid", l.oid, "lanname", l.name, "lanowner", oidOwner, "lanispl", l.pl, "lanpltrusted", l.name == "sql" || l.pl)
		}
	}})
	pgFill("pg_catalog", "pg_tablespace", fill{static: func(t *table) {
		t.add("oid", 1663, "spcname", "pg_default", "spcowner", oidOwner)
		t.add("oid", 1664, "spcname", "pg_global", "spcowner", oidOwner)
	}})
}

// class is an operator class.
type class struct {
	oid, method, family, input, key uint32
	name                            string
	isDefault                       bool
}

type classSet struct {
	list  []*class
	usual map[[2]uint32]uint32 // by method and type
}

var recordedClasses = sync.OnceValue(func() *classSet {
	s := &classSet{usual: map[[2]uint32]uint32{}}
	for _, line := range lines("opclasses.tsv") {
		f := strings.Split(line, "\t")
		c := &class{oid: parseOID(f[0]), method: parseOID(f[1]), name: f[2], family: parseOID(f[3]), input: parseOID(f[4]),
			isDefault: f[5] == "t", key: parseOID(f[6])}
		s.list = append(s.list, c)
		if c.isDefault {
			s.usual[[2]uint32{c.method, c.input}] = c.oid
		}
	}
	return s
})

// operatorClass returns the operator class of an index's column.
func operatorClass(method int, t types.Type, name string) uint32 {
	x := recordedClasses()
	if name != "" {
		for _, c := range x.list {
			if c.name == name && c.method == uint32(method) {
				return c.oid
			}
		}
	}
	oid := t.PGOID()
	switch t.Kind {
	case types.Varchar, types.Set:
		oid = 25
	case types.Enum:
		oid = 3500
	case types.Array:
		oid = 2277
	}
	return x.usual[[2]uint32{uint32(method), oid}]
}

func builtinTypes(t *table) {
	for i := range types.Builtins() {
		b := &types.Builtins()[i]
		analyze := uint32(0)
		if b.IsArray() {
			analyze = procOID("array_typanalyze")
		}
		t.add("oid", b.OID, "typname", b.Name, "typnamespace", oidCatalog, "typowner", oidOwner, "typlen", b.Len, "typbyval", b.ByVal,
			"typtype", b.Type, "typcategory", b.Category, "typispreferred", b.Preferred, "typisdefined", true, "typdelim", b.Delim,
			"typsubscript", procOID(b.Subscript), "typelem", b.Elem, "typarray", b.Array, "typinput", procOID(b.Input),
			"typoutput", procOID(b.Output), "typreceive", procOID(b.Receive), "typsend", procOID(b.Send), "typmodin", procOID(b.ModIn),
			"typmodout", procOID(b.ModOut), "typanalyze", analyze, "typalign", b.Align, "typstorage", b.Storage, "typtypmod", -1,
			"typcollation", builtinCollation(b))
	}
}

// arrayType adds the array type of a type of the schema.
func arrayType(t *table, oid, elem uint32, align byte, ns uint32, owner, name string) {
	if oid == 0 {
		return
	}
	t.add("oid", oid, "typname", "_"+name, "typnamespace", ns, "typowner", roleOID(owner), "typlen", -1, "typtype", "b", "typcategory", "A",
		"typisdefined", true, "typdelim", ",", "typsubscript", procOID("array_subscript_handler"), "typelem", elem,
		"typinput", procOID("array_in"), "typoutput", procOID("array_out"), "typreceive", procOID("array_recv"), "typsend", procOID("array_send"),
		"typanalyze", procOID("array_typanalyze"), "typalign", align, "typstorage", "x", "typtypmod", -1)
}

func schemaTypes(t *table, s *schema.Schema) {
	for _, r := range s.SortedTables() {
		if r.RowType == 0 {
			continue
		}
		ns := namespaceOID(s, r.Namespace)
		t.add("oid", r.RowType, "typname", r.Name, "typnamespace", ns, "typowner", roleOID(r.Owner), "typlen", -1, "typtype", "c",
			"typcategory", "C", "typisdefined", true, "typdelim", ",", "typrelid", r.OID, "typarray", r.ArrayType,
			"typinput", procOID("record_in"), "typoutput", procOID("record_out"), "typreceive", procOID("record_recv"),
			"typsend", procOID("record_send"), "typalign", "d", "typstorage", "x", "typtypmod", -1)
		arrayType(t, r.ArrayType, r.RowType, 'd', ns, r.Owner, r.Name)
	}
	for _, e := range sortedEnums(s) {
		ns := namespaceOID(s, e.Namespace)
		t.add("oid", e.OID, "typname", e.Name, "typnamespace", ns, "typowner", roleOID(e.Owner), "typlen", 4, "typbyval", true, "typtype", "e",
			"typcategory", "E", "typisdefined", true, "typdelim", ",", "typarray", e.ArrayOID,
			"typinput", procOID("enum_in"), "typoutput", procOID("enum_out"), "typreceive", procOID("enum_recv"),
			"typsend", procOID("enum_send"), "typalign", "i", "typstorage", "p", "typtypmod", -1)
		arrayType(t, e.ArrayOID, e.OID, 'i', ns, e.Owner, e.Name)
	}
	for _, d := range sortedDomains(s) {
		ns := namespaceOID(s, d.Namespace)
		base := d.Base.PGOID()
		b, ok := types.BuiltinByOID(base)
		if !ok {
			b = &types.Builtin{Len: 4, ByVal: true, Category: 'E', Align: 'i', Storage: 'p', Output: "enum_out", Send: "enum_send"}
		}
		var def any
		if d.Default != "" {
			def = d.Default
		}
		t.add("oid", d.OID, "typname", d.Name, "typnamespace", ns, "typowner", roleOID(d.Owner), "typlen", b.Len, "typbyval", b.ByVal,
			"typtype", "d", "typcategory", b.Category, "typisdefined", true, "typdelim", ",", "typarray", d.ArrayOID,
			"typinput", procOID("domain_in"), "typoutput", procOID(b.Output), "typreceive", procOID("domain_recv"), "typsend", procOID(b.Send),
			"typalign", b.Align, "typstorage", b.Storage, "typnotnull", d.NotNull, "typbasetype", base, "typtypmod", d.Base.Typmod(),
			"typcollation", attributesOf(d.Base).collation, "typdefaultbin", def, "typdefault", def)
		arrayType(t, d.ArrayOID, d.OID, b.Align, ns, d.Owner, d.Name)
	}
}

func enumLabels(t *table, s *schema.Schema) {
	for _, e := range sortedEnums(s) {
		for i, l := range e.Labels {
			t.add("oid", numberedOID("label", e.OID, i), "enumtypid", e.OID, "enumsortorder", float64(i+1), "enumlabel", l)
		}
	}
}
