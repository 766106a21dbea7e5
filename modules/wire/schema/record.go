package schema

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/types"
)

// The tables that hold the logical schema. Names beginning with hiddenPrefix are never shown to clients.
const (
	hiddenPrefix = "__bop_"

	objectsDDL = `CREATE TABLE %s."__bop_objects"(oid INTEGER PRIMARY KEY, kind TEXT NOT NULL, ` +
		`namespace TEXT NOT NULL, name TEXT NOT NULL, def TEXT NOT NULL) STRICT`
	sequencesDDL = `CREATE TABLE %s."__bop_sequences"(oid INTEGER PRIMARY KEY, value INTEGER NOT NULL, ` +
		`called INTEGER NOT NULL) STRICT`
)

// The kinds of row in __bop_objects.
const (
	kindMeta      = "meta"
	kindNamespace = "namespace"
	kindTable     = "table"
	kindView      = "view"
	kindIndex     = "index"
	kindSequence  = "sequence"
	kindEnum      = "enum"
	kindDomain    = "domain"
	kindExtension = "extension"
)

// formatVersion is the version of the definitions in __bop_objects. A database with a newer one is refused.
const formatVersion = 1

const (
	metaOID  = 1     // row of the counter
	firstOID = 16384 // as in PostgreSQL: below are the builtin objects
	// firstTempOID begins the OIDs of temporary objects, which each connection counts for itself.
	firstTempOID = 0x6000_0000
	// foreignOID begins the OIDs of objects that were not created through wire; they are derived from names. All stay
	// below 2^31: some drivers read OIDs as signed.
	foreignOID = 0x4000_0000
)

// isForeign tells whether an OID was derived from a name.
func isForeign(oid uint32) bool { return oid >= foreignOID && oid < firstTempOID }

// meta is the definition of the row metaOID.
type meta struct {
	Format int    `json:"format"`
	Next   uint32 `json:"next"` // the next OID to give out
}

type columnRecord struct {
	*Column
	Type typeText `json:"t"`
}

type tableRecord struct {
	*Table
	RowID int16          `json:"rowid,omitempty"`
	Cols  []columnRecord `json:"columns"`
}

type sequenceRecord struct {
	*Sequence
	Type typeText `json:"t"`
}

type domainRecord struct {
	*Domain
	Base typeText `json:"t"`
}

type namespaceRecord struct {
	*Namespace
	Dropped bool `json:"dropped,omitempty"` // public exists unless its row says this
}

func encode(v any) (string, error) {
	switch o := v.(type) {
	case *Table:
		r := tableRecord{Table: o, Cols: make([]columnRecord, len(o.Columns))}
		for i, c := range o.Columns {
			r.Cols[i] = columnRecord{c, typeText(c.Type)}
		}
		if o.RowID != nil {
			r.RowID = o.RowID.Num
		}
		v = r
	case *Sequence:
		v = sequenceRecord{o, typeText(o.Type)}
	case *Domain:
		v = domainRecord{o, typeText(o.Base)}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// row is what a row of __bop_objects has beside its definition.
type row struct {
	oid            uint32
	kind, ns, name string
}

// decode reads a row's definition.
func decode(r row, def []byte) (any, error) {
	switch r.kind {
	case kindTable, kindView:
		t, err := decodeTable(def)
		if err != nil {
			return nil, err
		}
		t.OID, t.Namespace, t.Name, t.View, t.ViewDialect = r.oid, r.ns, r.name, r.kind == kindView, t.Dialect
		if t.SQLName == "" {
			t.SQLName = sqlName(r.ns, r.name)
		}
		return t, nil
	case kindIndex:
		x := &Index{}
		if err := json.Unmarshal(def, x); err != nil {
			return nil, err
		}
		x.OID, x.Namespace = r.oid, r.ns
		if x.Name == "" {
			x.Name = r.name
		}
		if x.Name != r.name {
			x.Relation = r.name
		}
		return x, nil
	case kindSequence:
		s := sequenceRecord{Sequence: &Sequence{}}
		if err := json.Unmarshal(def, &s); err != nil {
			return nil, err
		}
		q := s.Sequence
		q.OID, q.Namespace, q.Name, q.Type = r.oid, r.ns, r.name, types.Type(s.Type)
		return q, nil
	case kindEnum:
		e := &Enum{}
		if err := json.Unmarshal(def, e); err != nil {
			return nil, err
		}
		e.OID, e.Namespace, e.Name = r.oid, r.ns, r.name
		return e, nil
	case kindDomain:
		s := domainRecord{Domain: &Domain{}}
		if err := json.Unmarshal(def, &s); err != nil {
			return nil, err
		}
		d := s.Domain
		d.OID, d.Namespace, d.Name, d.Base = r.oid, r.ns, r.name, types.Type(s.Base)
		return d, nil
	}
	return nil, fmt.Errorf("unknown kind of object")
}

func decodeTable(def []byte) (*Table, error) {
	var r tableRecord
	if err := json.Unmarshal(def, &r); err != nil {
		return nil, err
	}
	t := r.Table
	if t == nil {
		t = &Table{}
	}
	for _, k := range t.Constraints {
		if k == nil {
			return nil, fmt.Errorf("empty constraint")
		}
	}
	for _, c := range r.Cols {
		if c.Column == nil || c.Name == "" {
			return nil, fmt.Errorf("column without a name")
		}
		c.Column.Type = types.Type(c.Type)
		t.Columns = append(t.Columns, c.Column)
		if c.Num == r.RowID && r.RowID != 0 {
			t.RowID = c.Column
		}
	}
	return t, nil
}

// Objects are never changed once they are decoded, so snapshots share them: after DDL only what changed is decoded
// again. The definitions are kept to tell; when there are too many of them the cache starts anew.
var cache struct {
	sync.Mutex
	seed  maphash.Seed
	bytes int
	m     map[uint64]cachedObject
}

type cachedObject struct {
	row
	def    string
	object any
}

const maxCacheBytes = 16 << 20

// decoded returns the object of a row, decoded now or before.
func decoded(r row, def []byte) (any, error) {
	cache.Lock()
	defer cache.Unlock()
	if cache.m == nil || cache.bytes > maxCacheBytes {
		cache.seed, cache.m, cache.bytes = maphash.MakeSeed(), map[uint64]cachedObject{}, 0
	}
	key := maphash.Bytes(cache.seed, def) ^ uint64(r.oid)
	if c, ok := cache.m[key]; ok && c.row == r && c.def == string(def) {
		return c.object, nil
	}
	o, err := decode(r, def)
	if err != nil {
		return nil, err
	}
	cache.m[key] = cachedObject{r, string(def), o}
	cache.bytes += 3 * len(def) // the object takes about twice the text
	return o, nil
}

// MarshalText writes the kind's letter.
func (k ConstraintKind) MarshalText() ([]byte, error) { return []byte{byte(k)}, nil }

// UnmarshalText reads the kind's letter.
func (k *ConstraintKind) UnmarshalText(b []byte) error {
	if len(b) != 1 || !strings.Contains("pucf", string(b)) {
		return fmt.Errorf("unknown kind of constraint %q", b)
	}
	*k = ConstraintKind(b[0])
	return nil
}

// typeText is a type as it is stored: the kind's name, then its parameters: "numeric 10 2", "int4 unsigned",
// "array:text", "enum @16400".
type typeText types.Type

var kindNames = [...]string{
	types.Unknown: "unknown", types.Void: "void", types.Bool: "bool", types.Int1: "int1", types.Int2: "int2",
	types.Int3: "int3", types.Int4: "int4", types.Int8: "int8", types.Float4: "float4", types.Float8: "float8",
	types.Numeric: "numeric", types.Text: "text", types.Varchar: "varchar", types.Char: "char", types.Name: "name",
	types.InternalChar: "internalchar", types.Bytes: "bytes", types.Date: "date", types.Time: "time",
	types.TimeTZ: "timetz", types.Timestamp: "timestamp", types.TimestampTZ: "timestamptz", types.Interval: "interval",
	types.Year: "year", types.Bit: "bit", types.JSON: "json", types.JSONB: "jsonb", types.UUID: "uuid",
	types.Enum: "enum", types.Set: "set", types.Array: "array", types.Inet: "inet", types.Cidr: "cidr",
	types.Macaddr: "macaddr", types.Money: "money", types.XML: "xml", types.Oid: "oid", types.Regclass: "regclass",
	types.Regtype: "regtype", types.Regproc: "regproc", types.Regprocedure: "regprocedure",
	types.Regnamespace: "regnamespace", types.Regrole: "regrole", types.Int2Vector: "int2vector",
	types.OidVector: "oidvector", types.PgNodeTree: "nodetree", types.AclItem: "aclitem", types.Xid: "xid",
	types.Record: "record", types.TSVector: "tsvector", types.Point: "point", types.Other: "other",
}

var kindByName = func() map[string]types.Kind {
	m := make(map[string]types.Kind, len(kindNames))
	for k, n := range kindNames {
		if n != "" {
			m[n] = types.Kind(k)
		}
	}
	return m
}()

func kindName(k types.Kind) string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "kind" + strconv.Itoa(int(k))
}

func kindOf(name string) (types.Kind, bool) {
	if k, ok := kindByName[name]; ok {
		return k, true
	}
	if rest, ok := strings.CutPrefix(name, "kind"); ok {
		n, err := strconv.ParseUint(rest, 10, 8)
		return types.Kind(n), err == nil
	}
	return 0, false
}

func (t typeText) MarshalText() ([]byte, error) {
	b := append(make([]byte, 0, 32), kindName(t.Kind)...)
	if t.Kind == types.Array {
		b = append(append(b, ':'), kindName(t.Elem)...)
	}
	if t.Unsigned {
		b = append(b, " unsigned"...)
	}
	if t.Binary {
		b = append(b, " binary"...)
	}
	if t.Len != 0 || t.Scale != 0 {
		b = strconv.AppendInt(append(b, ' '), int64(t.Len), 10)
	}
	if t.Scale != 0 {
		b = strconv.AppendInt(append(b, ' '), int64(t.Scale), 10)
	}
	if t.OID != 0 {
		b = strconv.AppendUint(append(b, " @"...), uint64(t.OID), 10)
	}
	return b, nil
}

func (t *typeText) UnmarshalText(b []byte) error {
	word, rest, _ := strings.Cut(string(b), " ")
	kind, elem, isArray := strings.Cut(word, ":")
	var ok bool
	if t.Kind, ok = kindOf(kind); !ok {
		return fmt.Errorf("unknown type %q", b)
	}
	if isArray {
		if t.Elem, ok = kindOf(elem); !ok {
			return fmt.Errorf("unknown element type %q", b)
		}
	}
	for numbers := 0; rest != ""; {
		word, rest, _ = strings.Cut(rest, " ")
		switch {
		case word == "unsigned":
			t.Unsigned = true
		case word == "binary":
			t.Binary = true
		case strings.HasPrefix(word, "@"):
			n, err := strconv.ParseUint(word[1:], 10, 32)
			if err != nil {
				return fmt.Errorf("bad type %q: %w", b, err)
			}
			t.OID = uint32(n)
		default:
			n, err := strconv.ParseInt(word, 10, 32)
			if err != nil || numbers > 1 {
				return fmt.Errorf("bad type %q", b)
			}
			if numbers == 0 {
				t.Len = int32(n)
			} else {
				t.Scale = int32(n)
			}
			numbers++
		}
	}
	return nil
}
