package catalog

import (
	"embed"
	"strconv"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

//go:embed data/*.tsv
var data embed.FS

// relation is a table or view of a catalog.
type relation struct {
	dialect   ir.Dialect
	namespace string
	name      string
	oid       uint32
	rowType   uint32
	kind      byte // 'r' or 'v'
	columns   []string
	types     []types.Type
	index     map[string]int
	zero      []any // a row in which nothing is given
	folded    bool  // names are compared without case
	module    string
	table     *schema.Table

	// Where rows come from: any of these.
	static  func(*table)                         // the same in every database
	logical func(*table, *schema.Schema)         // from the schema: kept with the snapshot
	named   func(*table, *schema.Schema, string) // so too, with the database's name
	live    func(*table, *view)                  // read anew each time

	once  sync.Once
	fixed *rowSet
}

// registry is all relations.
type registry struct {
	list      []*relation
	byName    map[relationKey]*relation
	byOID     map[uint32]*relation
	byRowType map[uint32]*relation
}

type relationKey struct {
	dialect         ir.Dialect
	namespace, name string
}

var relations = sync.OnceValue(func() *registry {
	r := &registry{byName: map[relationKey]*relation{}, byOID: map[uint32]*relation{}, byRowType: map[uint32]*relation{}}
	for _, line := range lines("relations.tsv") {
		f := strings.Split(line, "\t")
		rel := &relation{dialect: ir.Postgres, namespace: f[0], name: f[1], oid: parseOID(f[2]), kind: f[3][0], rowType: parseOID(f[4])}
		for c := range strings.FieldsSeq(f[5]) {
			name, typ, _ := strings.Cut(c, ":")
			oid, notNull := strings.CutSuffix(typ, "!")
			t, _ := types.FromOID(parseOID(oid), -1)
			rel.addColumn(name, t, notNull)
		}
		r.add(rel)
	}
	for _, def := range strings.Split(strings.TrimSpace(mysqlRelations), "\n") {
		head, columns, _ := strings.Cut(strings.TrimSpace(def), " ")
		ns, name, _ := strings.Cut(head, ".")
		rel := &relation{dialect: ir.MySQL, namespace: ns, name: name, kind: 'v', folded: true}
		for c := range strings.FieldsSeq(columns) {
			n, typ, _ := strings.Cut(c, ":")
			typ, notNull := strings.CutSuffix(typ, "!")
			rel.addColumn(n, mysqlCatalogType(typ), notNull)
		}
		r.add(rel)
	}
	for key, fill := range fills {
		rel := r.byName[key]
		if rel == nil {
			panic("catalog: no relation " + key.namespace + "." + key.name)
		}
		rel.static, rel.logical, rel.named, rel.live = fill.static, fill.logical, fill.named, fill.live
	}
	return r
})

// fill is where the rows of a relation come from.
type fill struct {
	static  func(*table)
	logical func(*table, *schema.Schema)
	named   func(*table, *schema.Schema, string)
	live    func(*table, *view)
}

// fills is filled by the init functions of this package's files.
var fills = map[relationKey]fill{}

func pgFill(namespace, name string, f fill) { fills[relationKey{ir.Postgres, namespace, name}] = f }
func myFill(namespace, name string, f fill) { fills[relationKey{ir.MySQL, namespace, name}] = f }

func (rel *relation) addColumn(name string, t types.Type, notNull bool) {
	if rel.index == nil {
		rel.index = map[string]int{}
		rel.table = &schema.Table{Namespace: rel.namespace, Name: rel.name, View: rel.kind == 'v', Dialect: rel.dialect.String()}
	}
	rel.index[name] = len(rel.columns)
	rel.columns = append(rel.columns, name)
	rel.types = append(rel.types, t)
	var zero any
	if notNull {
		switch schema.Storage(t) {
		case "INTEGER":
			zero = int64(0)
		case "REAL":
			zero = float64(0)
		case "TEXT":
			zero = ""
			if t.Kind == types.Array {
				zero = "[]"
			}
		}
	}
	rel.zero = append(rel.zero, zero)
	c := &schema.Column{Num: int16(len(rel.columns)), Name: name, Type: t, NotNull: notNull, Dialect: rel.dialect.String()}
	if rel.dialect == ir.MySQL {
		c.Declared = t.MySQLName()
		if t.IsString() {
			// Compared without case, as MySQL's own catalogs are; NOCASE does for the ASCII that names are.
			c.Charset, c.Collation = "utf8mb3", "utf8mb3_general_ci"
		}
	} else {
		c.Declared = t.PGName()
	}
	rel.table.Columns = append(rel.table.Columns, c)
}

func (r *registry) add(rel *relation) {
	prefix := ""
	if rel.namespace == "information_schema" {
		prefix = map[ir.Dialect]string{ir.Postgres: "pg.", ir.MySQL: "my."}[rel.dialect]
	}
	rel.module = prefix + rel.namespace + "." + rel.name
	rel.table.OID, rel.table.RowType, rel.table.SQLName = rel.oid, rel.rowType, rel.module
	rel.table.LastColumn = int16(len(rel.columns))
	r.list = append(r.list, rel)
	if rel.oid != 0 {
		r.byOID[rel.oid], r.byRowType[rel.rowType] = rel, rel
	}
	name := rel.name
	if rel.dialect == ir.MySQL {
		name = strings.ToLower(name)
	}
	r.byName[relationKey{rel.dialect, rel.namespace, name}] = rel
}

// Relation returns the catalog relation that a client's name stands for, nil if there is none. Its SQLName is a virtual
// table that Register made known. namespace "" is pg_catalog in PostgreSQL; MySQL searches no catalog by itself.
func Relation(d ir.Dialect, namespace, name string) *schema.Table {
	if r := find(d, namespace, name); r != nil {
		return r.table
	}
	return nil
}

func find(d ir.Dialect, namespace, name string) *relation {
	if d == ir.MySQL {
		return relations().byName[relationKey{d, strings.ToLower(namespace), strings.ToLower(name)}]
	}
	if namespace == "" {
		namespace = "pg_catalog"
	}
	return relations().byName[relationKey{d, namespace, name}]
}

// Relations returns all catalog relations of a dialect, in the order of namespace and name.
func Relations(d ir.Dialect) []*schema.Table {
	var out []*schema.Table
	for _, r := range relations().list {
		if r.dialect == d && r.namespace != showNamespace {
			out = append(out, r.table)
		}
	}
	return out
}

// lines returns the lines of a recorded file.
func lines(name string) []string {
	b, err := data.ReadFile("data/" + name)
	if err != nil {
		panic(err) // it is compiled in
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func parseOID(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

// mysqlCatalogType reads the types of mysqlRelations.
func mysqlCatalogType(s string) types.Type {
	switch s {
	case "int":
		return types.T(types.Int4)
	case "bigint":
		return types.T(types.Int8)
	case "ubigint":
		return types.Type{Kind: types.Int8, Unsigned: true}
	case "datetime":
		return types.Type{Kind: types.Timestamp, Len: 1}
	case "text":
		return types.T(types.Text)
	case "double":
		return types.T(types.Float8)
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("catalog: unknown type " + s)
	}
	return types.Type{Kind: types.Varchar, Len: int32(n)}
}
