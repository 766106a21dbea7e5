package types

import "time"

// DateOrder says how 01/02/03 is read.
type DateOrder uint8

// The orders; PostgreSQL's default is MDY.
const (
	MDY DateOrder = iota
	DMY
	YMD
)

// DateStyle says how dates and timestamps are printed.
type DateStyle uint8

// PostgreSQL's styles.
const (
	ISO DateStyle = iota
	SQLStyle
	GermanStyle
	PostgresStyle
)

// IntervalStyle says how intervals are printed.
type IntervalStyle uint8

// PostgreSQL's styles.
const (
	IntervalPostgres IntervalStyle = iota
	IntervalVerbose
	IntervalSQL
	IntervalISO
)

// Input says how text is read. The zero Input, and nil, read as a new PostgreSQL session in UTC does.
type Input struct {
	MySQL         bool
	Strict        bool // MySQL strict mode: a bad value is an error, else the nearest value with a warning
	ZeroDates     bool // MySQL: zero and partial dates are allowed
	Location      *time.Location
	DateOrder     DateOrder
	IntervalStyle IntervalStyle // IntervalSQL changes the meaning of a leading minus
	Now           time.Time     // for now, today …; zero: the clock
	// Name resolves a name of a relation, type, function, role or schema to its OID; nil: only numbers are accepted.
	Name func(k Kind, name string) (oid uint32, err error)
	// Explicit cuts character and bit strings that are too long, as an explicit cast does; else they are an error.
	Explicit bool
	// Labels returns the name and the labels of an Enum or Set type; nil: every label is accepted.
	Labels func(t Type) (name string, labels []string)
	// Warn collects MySQL warnings of values that were changed to fit.
	Warn func(number uint16, message string)
}

var defaultInput Input

func (in *Input) now() time.Time {
	if in.Now.IsZero() {
		return time.Now()
	}
	return in.Now
}

// PGFormat says how values are printed for a PostgreSQL client. nil is a new session's format in UTC.
type PGFormat struct {
	Location         *time.Location
	DateStyle        DateStyle
	DateOrder        DateOrder
	IntervalStyle    IntervalStyle
	ExtraFloatDigits int  // extra_float_digits; 1 or more: the shortest digits that read back the same
	ByteaEscape      bool // bytea_output = escape; else hex
	// Name returns the name that an OID of a reg… kind is printed as; nil or "": the number.
	Name func(k Kind, oid uint32) string
	// ElemOID returns the element type's OID of an array type of the schema (arrays of enums).
	ElemOID func(arrayOID uint32) uint32
}

// NewPGFormat returns the format of a new session.
func NewPGFormat() *PGFormat { return &PGFormat{Location: time.UTC, ExtraFloatDigits: 1} }

var defaultPGFormat = NewPGFormat()
