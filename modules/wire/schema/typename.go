package schema

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// resolveType gives a written type its meaning: builtin ones have theirs, others are enums and domains.
func (w *work) resolveType(n ir.TypeName) (t types.Type, declared string, domain *Domain, err error) {
	if n.Type.Kind != types.Unknown {
		return n.Type, n.Declared, nil, nil
	}
	ns, err := w.namespaceOf(n.Name)
	if err != nil {
		return t, "", nil, err
	}
	for ns := range w.s.candidates(w.env.SearchPath, ns) {
		key := Key{ns, n.Name.Name}
		if e := w.s.Enums[key]; e != nil && e.Table == 0 {
			if n.Array {
				return types.Type{Kind: types.Array, Elem: types.Enum, OID: e.ArrayOID}, w.typeName(ns, e.Name) + "[]", nil, nil
			}
			return types.Type{Kind: types.Enum, OID: e.OID}, w.typeName(ns, e.Name), nil, nil
		}
		if d := w.s.Domains[key]; d != nil {
			if n.Array {
				return t, "", nil, sqlerr.Unsupported("an array of a domain")
			}
			return d.Base, w.typeName(ns, d.Name), d, nil
		}
		if r := w.s.Tables[key]; r != nil && r.Sequence == 0 {
			return t, "", nil, sqlerr.Unsupported("a column of a row type")
		}
	}
	name := written(n.Name)
	if n.Array {
		name += "[]"
	}
	return t, "", nil, sqlerr.New("42704", "type \"%s\" does not exist", name).At(n.Pos)
}

// typeName writes a type's name as a client has to.
func (w *work) typeName(ns, name string) string { return qualified(ns, name, Public) }

// qualified writes a quoted name, with its namespace unless that is visible.
func qualified(ns, name, visible string) string {
	if ns == "" || ns == visible {
		return quoteIdent(name)
	}
	return quoteIdent(ns) + "." + quoteIdent(name)
}

// QuoteIdent writes a name as PostgreSQL's quote_ident does: quoted only where it has to be.
func QuoteIdent(name string) string { return quoteIdent(name) }

func quoteIdent(name string) string {
	plain := name != "" && !(name[0] >= '0' && name[0] <= '9') && name[0] != '$'
	for i := 0; i < len(name) && plain; i++ {
		c := name[i]
		plain = c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
	}
	if plain && !reserved[name] {
		return name
	}
	return quote(name)
}

// reserved are the key words that PostgreSQL 15 quotes when it prints a name (all but the unreserved ones).
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`all analyse analyze and any array as asc asymmetric authorization between bigint
		binary bit boolean both case cast char character check coalesce collate collation column concurrently constraint
		create cross current_catalog current_date current_role current_schema current_time current_timestamp current_user
		dec decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
		freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect
		interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural
		nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing
		position precision primary real references returning right row select session_user setof similar smallint some
		substring symmetric table tablesample then time timestamp to trailing treat trim true union unique user using
		values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest
		xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`) {
		m[w] = true
	}
	return m
}()

// labelsOf reads the labels of a declared "enum('a','b')" or "set('a','b')".
func labelsOf(declared string) []string {
	var out []string
	for _, t := range tokens(declared) {
		if s := declared[t.start:t.end]; t.kind == 's' && len(s) >= 2 {
			out = append(out, strings.ReplaceAll(s[1:len(s)-1], "''", "'"))
		}
	}
	return out
}

// collationCharset returns the character set of a MySQL collation.
func collationCharset(collation string) string {
	cs, _, _ := strings.Cut(collation, "_")
	return cs
}

// defaultCollation returns MySQL 8's default collation of a character set.
func defaultCollation(charset string) string {
	switch charset {
	case "utf8mb4":
		return "utf8mb4_0900_ai_ci"
	case "utf8", "utf8mb3":
		return "utf8mb3_general_ci"
	case "latin1":
		return "latin1_swedish_ci"
	case "binary":
		return "binary"
	}
	return charset + "_general_ci"
}

// charsetOf settles the character set and collation of a string column or table from what was written and what it
// inherits.
func charsetOf(charset, collation, inheritedCharset, inheritedCollation string) (string, string) {
	charset, collation = strings.ToLower(charset), strings.ToLower(collation)
	if charset == "utf8" {
		charset = "utf8mb3"
	}
	if rest, ok := strings.CutPrefix(collation, "utf8_"); ok {
		collation = "utf8mb3_" + rest
	}
	switch {
	case charset == "" && collation == "":
		return inheritedCharset, inheritedCollation
	case collation == "":
		return charset, defaultCollation(charset)
	case charset == "":
		return collationCharset(collation), collation
	}
	return charset, collation
}

// The character set and collation of tables that don't name theirs, as in MySQL 8.
const (
	defaultCharset       = "utf8mb4"
	defaultTextCollation = "utf8mb4_0900_ai_ci"
)
