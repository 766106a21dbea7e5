package catalog

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

// OIDs that PostgreSQL gives its own objects.
const (
	oidCatalog       = 11    // namespace pg_catalog
	oidToast         = 99    // namespace pg_toast
	oidInformation   = 13207 // namespace information_schema
	oidTemp          = 11900 // namespace of temporary objects
	oidOwner         = 10    // bootstrap superuser
	oidHeap          = 2
	oidDatabaseOwner = 6171 // role pg_database_owner
	oidBtree         = 403
	oidDefaultColl   = 100
	oidClassType     = 1247
	oidClassAttr     = 1249
	oidClassProc     = 1255
	oidClassClass    = 1259
	oidClassDef      = 2604
	oidClassConstr   = 2606
	oidClassNS       = 2615
	oidClassRule     = 2618
	oidClassDB       = 1262
	oidClassExt      = 3079
	oidClassRole     = 1260
	oidPlpgsql       = 13563
)

// ownerName is the role with the OID oidOwner.
const ownerName = "bop"

// namedOID derives an OID from names: the same in every session and after a restart.
func namedOID(parts ...string) uint32 {
	h := fnv.New32a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return 0x7000_0000 | h.Sum32()&0x0fff_ffff
}

// numberedOID derives an OID from another and a number: of a default, a rule, an enum's label.
func numberedOID(kind string, oid uint32, n int) uint32 {
	return namedOID(kind, string([]byte{byte(oid >> 24), byte(oid >> 16), byte(oid >> 8), byte(oid)}), string(rune(n)))
}

func roleOID(name string) uint32 {
	if name == "pg_database_owner" {
		return oidDatabaseOwner
	}
	if name == "" || name == ownerName {
		return oidOwner
	}
	return namedOID("role", name)
}

func roleName(name string) string { return cmp.Or(name, ownerName) }

func databaseOID(name string) uint32 { return namedOID("database", name) }

func namespaceOID(s *schema.Schema, name string) uint32 {
	switch name {
	case "pg_catalog":
		return oidCatalog
	case "information_schema":
		return oidInformation
	case schema.TempNamespace:
		return oidTemp
	case "pg_toast":
		return oidToast
	}
	if n := s.Namespace(name); n != nil {
		return n.OID
	}
	return 0
}

func namespaceName(s *schema.Schema, oid uint32) string {
	switch oid {
	case oidCatalog:
		return "pg_catalog"
	case oidInformation:
		return "information_schema"
	case oidTemp:
		return "pg_temp"
	case oidToast:
		return "pg_toast"
	}
	for _, n := range s.Namespaces {
		if n.OID == oid {
			return n.Name
		}
	}
	return ""
}

// visibleName is what pg_class shows as a namespace's name.
func shownNamespace(name string) string {
	if name == schema.TempNamespace {
		return "pg_temp_1"
	}
	return name
}

// procedure is a line of the recorded pg_proc.
type procedure struct {
	oid      uint32
	name     string
	kind     string
	set      bool
	result   uint32
	volatile string
	strict   bool
	variadic uint32
	defaults int
	args     []uint32
}

type procedures struct {
	list   []*procedure
	byOID  map[uint32]*procedure
	byName map[string][]*procedure
}

// recordedProcs is pg_proc of PostgreSQL 15.
var recordedProcs = sync.OnceValue(func() *procedures {
	p := &procedures{byOID: map[uint32]*procedure{}, byName: map[string][]*procedure{}}
	for _, line := range lines("procs.tsv") {
		f := strings.Split(line, "\t")
		x := &procedure{oid: parseOID(f[0]), name: f[1], kind: f[2], set: f[3] == "t", result: parseOID(f[4]),
			volatile: f[5], strict: f[6] == "t", variadic: parseOID(f[7]), defaults: int(parseOID(f[8]))}
		for a := range strings.FieldsSeq(f[9]) {
			x.args = append(x.args, parseOID(a))
		}
		p.add(x)
	}
	return p
})

func (p *procedures) add(x *procedure) {
	p.list = append(p.list, x)
	p.byOID[x.oid] = x
	p.byName[x.name] = append(p.byName[x.name], x)
}

// procOID returns the OID of the recorded function of a name, 0 for "" and unknown ones.
func procOID(name string) uint32 {
	if name == "" || name == "-" {
		return 0
	}
	if l := recordedProcs().byName[name]; len(l) > 0 {
		return l[0].oid
	}
	return 0
}

// typeOID returns the OID that a column's type has in pg_type, that of a domain included.
func typeOID(c *schema.Column) uint32 {
	if c.Domain != 0 {
		return c.Domain
	}
	return c.Type.PGOID()
}

// typeAttributes are what pg_attribute repeats of pg_type.
type typeAttributes struct {
	len       int16
	byVal     bool
	align     byte
	storage   byte
	collation uint32
}

func attributesOf(t types.Type) typeAttributes {
	if t.Kind == types.Enum || t.Kind == types.Set {
		return typeAttributes{4, true, 'i', 'p', 0}
	}
	b, ok := types.BuiltinByOID(t.PGOID())
	if !ok {
		return typeAttributes{-1, false, 'i', 'x', 0}
	}
	return typeAttributes{b.Len, b.ByVal, b.Align, b.Storage, builtinCollation(b)}
}

// builtinCollation is pg_type.typcollation.
func builtinCollation(b *types.Builtin) uint32 {
	elem := b
	if b.IsArray() {
		if e, ok := types.BuiltinByOID(b.Elem); ok {
			elem = e
		}
	}
	switch elem.Name {
	case "text", "varchar", "bpchar":
		return oidDefaultColl
	case "name":
		return 950
	}
	return 0
}

// defaultDimensions is pg_attribute.attndims.
func dimensions(t types.Type) int {
	if t.Kind == types.Array {
		return 1
	}
	return 0
}

// sortedIndexes returns the indexes of a schema by OID.
func sortedIndexes(s *schema.Schema) []*schema.Index {
	out := make([]*schema.Index, 0, len(s.Indexes))
	for _, x := range s.Indexes {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *schema.Index) int { return cmp.Compare(a.OID, b.OID) })
	return out
}

func sortedSequences(s *schema.Schema) []*schema.Sequence {
	out := make([]*schema.Sequence, 0, len(s.Sequences))
	for _, q := range s.Sequences {
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b *schema.Sequence) int { return cmp.Compare(a.OID, b.OID) })
	return out
}

func sortedEnums(s *schema.Schema) []*schema.Enum {
	out := make([]*schema.Enum, 0, len(s.Enums))
	for _, e := range s.Enums {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *schema.Enum) int { return cmp.Compare(a.OID, b.OID) })
	return out
}

func sortedDomains(s *schema.Schema) []*schema.Domain {
	out := make([]*schema.Domain, 0, len(s.Domains))
	for _, d := range s.Domains {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *schema.Domain) int { return cmp.Compare(a.OID, b.OID) })
	return out
}

// constraintName is how PostgreSQL clients see a constraint's name.
func tableOf(s *schema.Schema, oid uint32) *schema.Table {
	t, _ := s.ByOID[oid].(*schema.Table)
	return t
}
