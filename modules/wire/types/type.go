// Package types is the vocabulary of values and types that every part of wire shares: what a column holds in
// SQLite, and what the PostgreSQL and MySQL protocols call it.
package types

// Kind is a logical type, independent of its parameters.
type Kind uint8

// The kinds. Their storage in SQLite (all tables of ours are STRICT) is named beside each.
const (
	Unknown      Kind = iota // untyped literal, NULL or parameter
	Void                     // result of a function called for its effect
	Bool                     // INTEGER 0 or 1
	Int1                     // INTEGER; MySQL TINYINT
	Int2                     // INTEGER
	Int3                     // INTEGER; MySQL MEDIUMINT
	Int4                     // INTEGER
	Int8                     // INTEGER
	Float4                   // REAL
	Float8                   // REAL
	Numeric                  // TEXT, canonical decimal digits with the column's scale, collation bop_decimal
	Text                     // TEXT; also MySQL's TINYTEXT … LONGTEXT (the declared name is kept in the schema)
	Varchar                  // TEXT, Len characters (0: no limit)
	Char                     // TEXT, blank-padded on output in PostgreSQL; Len characters
	Name                     // TEXT; PostgreSQL identifier type
	InternalChar             // TEXT of one byte; PostgreSQL "char"
	Bytes                    // BLOB; bytea, BLOB, BINARY, VARBINARY
	Date                     // TEXT YYYY-MM-DD (years outside of 1…9999 and infinities: see AppendDate)
	Time                     // TEXT HH:MM:SS[.ffffff]
	TimeTZ                   // TEXT HH:MM:SS[.ffffff]±HH:MM
	Timestamp                // TEXT YYYY-MM-DD HH:MM:SS.ffffff, fixed width; MySQL DATETIME
	TimestampTZ              // TEXT as Timestamp, in UTC; MySQL TIMESTAMP
	Interval                 // TEXT ISO 8601 duration with months, days and microseconds kept apart (P1M2DT3.5S)
	Year                     // INTEGER
	Bit                      // INTEGER for 1 ≤ Len ≤ 63, big-endian BLOB beyond; TEXT of 0s and 1s without a length
	JSON                     // TEXT as written
	JSONB                    // TEXT, normalised (keys sorted by length then bytes, as PostgreSQL prints it); MySQL JSON
	UUID                     // TEXT, lower case with hyphens
	Enum                     // TEXT label; OID names the enum in the schema
	Set                      // TEXT labels joined by commas; MySQL
	Array                    // TEXT JSON array of the elements' storage; Elem names the element's kind
	Inet                     // TEXT
	Cidr                     // TEXT
	Macaddr                  // TEXT
	Money                    // INTEGER, cents
	XML                      // TEXT
	Oid                      // INTEGER
	Regclass                 // INTEGER, printed as a relation's name
	Regtype                  // INTEGER, printed as a type's name
	Regproc                  // INTEGER, printed as a function's name
	Regprocedure             // INTEGER
	Regnamespace             // INTEGER
	Regrole                  // INTEGER
	Int2Vector               // TEXT, space-separated
	OidVector                // TEXT, space-separated
	PgNodeTree               // TEXT
	AclItem                  // TEXT
	Xid                      // INTEGER
	Record                   // TEXT (a,b,…)
	TSVector                 // TEXT
	Point                    // TEXT
	Other                    // TEXT; a type known by OID only
)

// Type is a kind with its parameters. It is comparable.
type Type struct {
	Kind     Kind
	Elem     Kind   // element kind of an Array
	Unsigned bool   // MySQL integers and decimals
	Binary   bool   // MySQL: BINARY/VARBINARY (Bytes) or a *_bin collation
	Len      int32  // Varchar, Char, Bit, Bytes: declared length; Numeric: precision; times: fractional digits + 1 (0: default of 6); 0: none
	Scale    int32  // Numeric: digits after the point (meaningful when Len > 0)
	OID      uint32 // Enum and Other: the PostgreSQL type OID (allocated by the schema)
}

// T returns the type of kind k without parameters.
func T(k Kind) Type { return Type{Kind: k} }

// ArrayOf returns the array type whose elements are of kind k.
func ArrayOf(k Kind) Type { return Type{Kind: Array, Elem: k} }

// IsInteger reports whether values are whole numbers stored as INTEGER.
func (t Type) IsInteger() bool {
	switch t.Kind {
	case Int1, Int2, Int3, Int4, Int8, Year, Oid, Xid:
		return true
	}
	return false
}

// IsNumber reports whether arithmetic applies.
func (t Type) IsNumber() bool {
	return t.IsInteger() || t.Kind == Float4 || t.Kind == Float8 || t.Kind == Numeric
}

// IsString reports whether values are character strings.
func (t Type) IsString() bool {
	switch t.Kind {
	case Text, Varchar, Char, Name, Enum, Set:
		return true
	}
	return false
}

// IsTime reports whether values are dates, times or timestamps.
func (t Type) IsTime() bool { return t.Kind >= Date && t.Kind <= TimestampTZ }
