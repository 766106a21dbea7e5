package catalog

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Objects finds objects by name and OID as a session sees them. It is what a session puts into funcs.Env.Catalog: the
// types regclass, regtype … are read and printed by it, and nextval finds its sequence.
type Objects struct{ src Source }

var _ funcs.Sequences = (*Objects)(nil)

// For returns the objects of a source.
func For(src Source) *Objects { return &Objects{src} }

// FindSequence implements funcs.Sequences.
func (o *Objects) FindSequence(name string, searchPath []string) (funcs.Sequence, error) {
	q, err := o.src.Schema().FindSequence(name, searchPath)
	if err != nil {
		return funcs.Sequence{}, err
	}
	return sequenceOf(q), nil
}

// SequenceByOID implements funcs.Sequences.
func (o *Objects) SequenceByOID(oid uint32) (funcs.Sequence, bool) {
	q, ok := o.src.Schema().ByOID[oid].(*schema.Sequence)
	if !ok {
		return funcs.Sequence{}, false
	}
	return sequenceOf(q), true
}

func sequenceOf(q *schema.Sequence) funcs.Sequence {
	return funcs.Sequence{OID: q.OID, Name: q.Name, Start: q.Start, Increment: q.Increment, Min: q.Min, Max: q.Max, Cycle: q.Cycle, Temp: q.Temp}
}

// OIDOf reads a name of the kind: Regclass, Regtype, Regproc, Regprocedure, Regnamespace or Regrole. A number is its own
// OID, "-" is 0. Errors: 42P01, 42704, 42883, 42725, 3F000.
func (o *Objects) OIDOf(k types.Kind, name string) (uint32, error) {
	name = strings.TrimSpace(name)
	if name == "-" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	oid, err := o.lookup(k, name)
	if err != nil {
		return 0, err
	}
	return oid, nil
}

func (o *Objects) lookup(k types.Kind, name string) (uint32, error) {
	s := o.src.Schema()
	switch k {
	case types.Regtype:
		return o.typeByName(name)
	case types.Regnamespace:
		_, n, err := schema.SplitName(name)
		if err != nil {
			return 0, err
		}
		if oid := namespaceOID(s, n); oid != 0 {
			return oid, nil
		}
		return 0, sqlerr.New("3F000", "schema \"%s\" does not exist", n)
	case types.Regrole:
		_, n, err := schema.SplitName(name)
		if err != nil {
			return 0, err
		}
		for _, r := range allRoles(&view{src: o.src, s: s}) {
			if r.Name == n {
				return roleOID(n), nil
			}
		}
		return 0, sqlerr.New("42704", "role \"%s\" does not exist", n)
	case types.Regproc, types.Regprocedure:
		return o.procByName(k, name)
	}
	ns, n, err := schema.SplitName(name)
	if err != nil {
		return 0, err
	}
	if oid := o.relation(ns, n); oid != 0 {
		return oid, nil
	}
	return 0, sqlerr.New("42P01", "relation \"%s\" does not exist", name)
}

// relation returns the OID of a relation, 0 if there is none. pg_catalog is searched first unless the path says
// otherwise.
func (o *Objects) relation(ns, name string) uint32 {
	path := o.src.SearchPath()
	if ns == "" && !contains(path, "pg_catalog") || ns == "pg_catalog" || ns == "information_schema" {
		if r := find(ir.Postgres, ns, name); r != nil {
			return r.oid
		}
	}
	if ns == "pg_temp_1" {
		ns = schema.TempNamespace
	}
	switch r := o.src.Schema().Relation(path, ns, name).(type) {
	case *schema.Table:
		return r.OID
	case *schema.Index:
		return r.OID
	case *schema.Sequence:
		return r.OID
	}
	if ns == "" && contains(path, "pg_catalog") {
		if r := find(ir.Postgres, ns, name); r != nil {
			return r.oid
		}
	}
	return 0
}

func contains(path []string, name string) bool {
	for _, p := range path {
		if p == name {
			return true
		}
	}
	return false
}

// typeByName reads a type as regtype does: "integer", "varchar(20)", "public.mood[]".
func (o *Objects) typeByName(name string) (uint32, error) {
	text := name
	array := false
	for strings.HasSuffix(text, "]") {
		i := strings.LastIndexByte(text, '[')
		if i < 0 {
			break
		}
		array, text = true, strings.TrimSpace(text[:i])
	}
	base := text
	if i := strings.IndexByte(base, '('); i >= 0 {
		if j := strings.IndexByte(base[i:], ')'); j >= 0 {
			base = strings.TrimSpace(base[:i]) + base[i+j+1:]
		}
	}
	lower := strings.ToLower(strings.Join(strings.Fields(base), " "))
	lower = strings.TrimPrefix(lower, "pg_catalog.")
	if b, ok := types.BuiltinByName(lower); ok {
		if array {
			return b.Array, nil
		}
		return b.OID, nil
	}
	ns, n, err := schema.SplitName(text)
	if err != nil {
		return 0, err
	}
	s := o.src.Schema()
	pick := func(oid, arrayOID uint32) (uint32, error) {
		if array {
			return arrayOID, nil
		}
		return oid, nil
	}
	path := o.src.SearchPath()
	if path == nil {
		path = []string{schema.Public}
	}
	if ns != "" {
		path = []string{ns}
	} else if s.HasTemp {
		path = append([]string{schema.TempNamespace}, path...)
	}
	for _, p := range path {
		key := schema.Key{Namespace: p, Name: n}
		if e := s.Enums[key]; e != nil {
			return pick(e.OID, e.ArrayOID)
		}
		if d := s.Domains[key]; d != nil {
			return pick(d.OID, d.ArrayOID)
		}
		if t := s.Tables[key]; t != nil && t.Sequence == 0 {
			return pick(t.RowType, t.ArrayType)
		}
	}
	if ns == "" || ns == "pg_catalog" {
		if r := find(ir.Postgres, "", n); r != nil && !array {
			return r.rowType, nil
		}
	}
	return 0, sqlerr.New("42704", "type \"%s\" does not exist", name)
}

func (o *Objects) procByName(k types.Kind, name string) (uint32, error) {
	plain, args, withArgs := strings.Cut(name, "(")
	_, n, err := schema.SplitName(plain)
	if err != nil {
		return 0, err
	}
	list := known().byName[n]
	if len(list) == 0 {
		return 0, sqlerr.New("42883", "function \"%s\" does not exist", name)
	}
	if k == types.Regproc {
		if len(list) > 1 {
			return 0, sqlerr.New("42725", "more than one function named \"%s\"", name)
		}
		return list[0].oid, nil
	}
	if !withArgs {
		return 0, sqlerr.New("22P02", "expected a left parenthesis")
	}
	var want []uint32
	for a := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(args), ")"), ",") {
		if strings.TrimSpace(a) == "" {
			continue
		}
		oid, err := o.typeByName(strings.TrimSpace(a))
		if err != nil {
			return 0, err
		}
		want = append(want, oid)
	}
next:
	for _, p := range list {
		if len(p.args) != len(want) {
			continue
		}
		for i := range want {
			if p.args[i] != want[i] {
				continue next
			}
		}
		return p.oid, nil
	}
	return 0, sqlerr.New("42883", "function \"%s\" does not exist", name)
}

// NameOf prints an OID of the kind as PostgreSQL does: qualified where the name isn't visible, the number where there is
// no such object.
func (o *Objects) NameOf(k types.Kind, oid uint32) string {
	if oid == 0 {
		return "-"
	}
	s, path := o.src.Schema(), o.src.SearchPath()
	number := strconv.FormatUint(uint64(oid), 10)
	switch k {
	case types.Regtype:
		return o.FormatType(oid, -1)
	case types.Regnamespace:
		if n := namespaceName(s, oid); n != "" {
			return schema.QuoteIdent(shownNamespace(n))
		}
		return number
	case types.Regrole:
		if n := o.roleName(oid); n != "" {
			return schema.QuoteIdent(n)
		}
		return number
	case types.Regproc, types.Regprocedure:
		p := known().byOID[oid]
		if p == nil {
			p = recordedProcs().byOID[oid]
		}
		if p == nil {
			return number
		}
		if k == types.Regproc {
			return schema.QuoteIdent(p.name)
		}
		args := make([]string, len(p.args))
		for i, a := range p.args {
			args[i] = o.FormatType(a, -1)
		}
		return schema.QuoteIdent(p.name) + "(" + strings.Join(args, ",") + ")"
	}
	switch r := s.ByOID[oid].(type) {
	case *schema.Table:
		return schema.RelationText(path, r.Namespace, r.Name)
	case *schema.Index:
		return schema.RelationText(path, r.Namespace, r.RelationName())
	case *schema.Sequence:
		return schema.RelationText(path, r.Namespace, r.Name)
	}
	if r := systemRelation(oid); r != nil {
		if r.namespace == "pg_catalog" || contains(path, r.namespace) {
			return schema.QuoteIdent(r.name)
		}
		return r.namespace + "." + schema.QuoteIdent(r.name)
	}
	return number
}

func (o *Objects) roleName(oid uint32) string {
	switch oid {
	case oidOwner:
		return ownerName
	case oidDatabaseOwner:
		return "pg_database_owner"
	}
	for _, r := range o.src.Users() {
		if roleOID(r.Name) == oid {
			return r.Name
		}
	}
	if u := o.src.User(); roleOID(u) == oid {
		return u
	}
	return owners(o.src.Schema())[oid]
}

// owners are the roles that own something.
func owners(s *schema.Schema) map[uint32]string {
	return s.Memo("owners", func() any {
		m := map[uint32]string{}
		for _, t := range s.Tables {
			m[roleOID(t.Owner)] = roleName(t.Owner)
		}
		for _, n := range s.Namespaces {
			m[roleOID(n.Owner)] = roleName(n.Owner)
		}
		return m
	}).(map[uint32]string)
}

// systemRelation returns the catalog relation with an OID.
func systemRelation(oid uint32) *relation { return relations().byOID[oid] }

// FormatType is format_type: a type's name as SQL writes it, with its modifier unless that is negative.
func (o *Objects) FormatType(oid uint32, typmod int32) string {
	if oid == 0 {
		return "-"
	}
	if b, ok := types.BuiltinByOID(oid); ok {
		t, _ := types.FromOID(oid, typmod)
		if typmod < 0 || t.Kind == types.Other {
			return b.SQLName
		}
		return t.PGName()
	}
	s, path := o.src.Schema(), o.src.SearchPath()
	switch t := s.ByOID[oid].(type) {
	case *schema.Enum:
		return schema.RelationText(path, t.Namespace, t.Name)
	case *schema.Domain:
		return schema.RelationText(path, t.Namespace, t.Name)
	}
	for _, e := range s.Enums {
		if e.ArrayOID == oid {
			return schema.RelationText(path, e.Namespace, e.Name) + "[]"
		}
	}
	for _, d := range s.Domains {
		if d.ArrayOID == oid {
			return schema.RelationText(path, d.Namespace, d.Name) + "[]"
		}
	}
	for _, t := range s.Tables {
		switch oid {
		case t.RowType:
			return schema.RelationText(path, t.Namespace, t.Name)
		case t.ArrayType:
			return schema.RelationText(path, t.Namespace, t.Name) + "[]"
		}
	}
	if r := relations().byRowType[oid]; r != nil {
		return schema.QuoteIdent(r.name)
	}
	return "???"
}

// expression puts the names of sequences and types into a stored default.
func (o *Objects) expression(stored string) string {
	for {
		i := strings.IndexAny(stored, sequenceMark+typeMark)
		if i < 0 {
			return stored
		}
		mark := stored[i : i+1]
		number, after, _ := strings.Cut(stored[i+1:], mark)
		name := o.FormatType(parseOID(number), -1)
		if mark == sequenceMark {
			name = strings.ReplaceAll(o.NameOf(types.Regclass, parseOID(number)), "'", "''")
		}
		stored = stored[:i] + name + after
	}
}
