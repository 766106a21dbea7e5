package catalog

import (
	"time"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
)

// Versions that catalogs and version() show.
const (
	PostgresVersion    = "15.8"
	PostgresVersionNum = 150008
	MySQLVersion       = "8.0.36"
)

// Source is what the relations of this package read, at the moment they are read: the session that has the connection
// answers. Its methods are called from inside SQLite, on the session's goroutine.
type Source interface {
	// Schema is the snapshot that belongs to the state the connection sees.
	Schema() *schema.Schema
	Database() string
	Databases() []string // in order
	User() string        // current user
	Users() []Role       // all, the current one among them
	SearchPath() []string
	Dialect() ir.Dialect
	// Settings are the session's variables of its dialect.
	Settings() []Setting
	// GlobalSettings are the values new sessions start with.
	GlobalSettings() []Setting
	// SettingsOf are the defaults of variables that a database has: name=value, in order.
	SettingsOf(database string) []string
	Sessions() []Session
	Started() time.Time // when the server started
	Follows() bool      // another server accepts the writes
	Location() *time.Location
}

// Role is a user or a role.
type Role struct {
	Name       string
	Superuser  bool
	Login      bool
	CreateDB   bool
	CreateRole bool
}

// Setting is a session variable.
type Setting struct {
	Name        string
	Value       string
	Unit        string
	Category    string
	Description string
	Type        string // PostgreSQL's vartype: "bool", "integer", "real", "string", "enum"
	Context     string // "user", "superuser", "internal", "postmaster", "sighup", "backend"
	Source      string // "default", "session", …
	Boot, Reset string
	Min, Max    string
	Enum        []string
}

// Session is a client's session, for pg_stat_activity and PROCESSLIST.
type Session struct {
	ID              uint32
	Dialect         ir.Dialect
	User            string
	Database        string
	Application     string
	ClientAddr      string // host:port, "" for local ones
	Started         time.Time
	TransactionFrom time.Time // zero: no transaction
	QueryFrom       time.Time
	StateFrom       time.Time
	State           string // "active", "idle", "idle in transaction", "idle in transaction (aborted)"
	Query           string
	WaitEvent       string
	TLS             bool
}
