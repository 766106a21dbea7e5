package funcs

import "github.com/bop-platform/bop/modules/wire/ir"

// Define adds signatures of functions that another package registers in the connections (catalog: pg_get_indexdef,
// format_type …). It is called by init functions only: the tables are read without a lock afterwards.
func Define(ds []ir.Dialect, sigs ...*Signature) { define(ds, sigs...) }

// Sequences is what Env.Catalog also is: the definitions that nextval and its companions need. Values are rows of the
// table __bop_sequences(oid, value, called), of the schema temp for temporary sequences.
type Sequences interface {
	// FindSequence resolves a sequence's name as a client writes it in nextval('…'): folded and unquoted by
	// PostgreSQL's rules, qualified or searched for along searchPath. 42P01 if there is none, 42809 if it is no sequence.
	FindSequence(name string, searchPath []string) (Sequence, error)
	// SequenceByOID finds a sequence by OID (nextval(16400), as defaults are stored).
	SequenceByOID(oid uint32) (Sequence, bool)
}

// Sequence is a sequence's definition.
type Sequence struct {
	OID       uint32
	Name      string
	Start     int64
	Increment int64
	Min, Max  int64
	Cycle     bool
	Temp      bool
}
