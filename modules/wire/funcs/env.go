// Package funcs registers in SQLite connections the functions, aggregates and collations that translated statements
// call: dates, decimals, regular expressions, arrays, JSON, formatting, sequences and session information.
package funcs

import "time"

// Env is what functions know of the session that has the connection at the moment. The session sets the fields when it
// takes the connection and before each statement; functions only run while it is inside a call of SQLite.
type Env struct {
	TxTime        time.Time // now(), current_timestamp in PostgreSQL: start of the transaction
	StatementTime time.Time // statement_timestamp(), MySQL NOW()
	Location      *time.Location
	TimeZone      string // as the client set it
	User          string
	SessionUser   string
	Database      string
	SearchPath    []string
	ClientAddr    string
	ConnectionID  uint32
	Strict        bool           // MySQL strict mode: bad values are errors, else warnings
	ZeroDates     bool           // MySQL: zero dates allowed
	LastInsertID  uint64         // LAST_INSERT_ID()
	RowCount      int64          // ROW_COUNT()
	FoundRows     int64          // FOUND_ROWS()
	Sequences     SequenceValues // currval and lastval of this session
	// Setting returns a session variable by its lower-case name, for current_setting and @@name; ok is false if there is none.
	Setting func(name string) (value string, ok bool)
	// SetSetting is set_config and SELECT @a := 1 (names of user variables begin with @).
	SetSetting func(name, value string, null, local bool) error
	// UserVariable returns MySQL's @name.
	UserVariable func(name string) (value any)
	// Warn collects a MySQL warning.
	Warn func(number uint16, message string)
	// Notify sends pg_notify's message at commit.
	Notify func(channel, payload string) error
	// Cancel ends another session's statement or session (pg_cancel_backend, pg_terminate_backend, KILL).
	Cancel func(pid uint32, terminate bool) bool
	// Catalog answers catalog functions (pg_get_indexdef, format_type, ::regclass …); package catalog sets it.
	Catalog any
	// Rand is MySQL's and PostgreSQL's random generator state, seeded by setseed; nil: the global one.
	Seed *float64
}

// SequenceValues remembers what nextval gave this session, by sequence OID.
type SequenceValues struct {
	Current map[uint32]int64
	Last    uint32 // OID of the sequence last used
}
