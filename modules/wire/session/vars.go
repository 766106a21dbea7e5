package session

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// spec describes a variable of a dialect.
type spec struct {
	name     string
	def      string
	kind     string // "bool", "integer", "real", "string", "enum"
	unit     string // of integers: "ms", "s", "kB", "8kB", "B", ""
	fixed    bool   // can't be set by a session
	report   bool   // PostgreSQL: the client is told of changes
	enum     []string
	min, max string
	category string
	help     string
}

// vars are a session's variables.
type vars struct {
	x      *Session
	specs  map[string]*spec
	values map[string]string // what the session has set
	user   map[string]any    // MySQL's @variables
	saved  []saved           // one for the open transaction and each savepoint

	// What other parts of the session read often, kept as values.
	location          *time.Location
	timeZone          string
	searchPath        []string
	statementTimeout  time.Duration
	idleInTransaction time.Duration
	idleSession       time.Duration
	lockTimeout       time.Duration // 0: the engine's
	leastNotice       int           // of the levels of client_min_messages
	isolation         isolation
	readOnly          bool
	autocommit        bool
	strict            bool
	zeroDates         bool
	ansiQuotes        bool
	pipesAsOr         bool
	noAutoValueOnZero bool
	noBackslash       bool
	binaryStrings     bool
	foreignKeysOff    bool
	strictReads       bool
	durability        engine.Durability
	consistency       engine.Consistency
	stale             atomic.Bool // consistency is StaleReads; read by others
	format            types.PGFormat
	temporary         bool // the connection holds state of this session: temporary tables, switched-off checks

	// What counts while the session sets nothing, the first before the others; see settings.go.
	client, database, server map[string]string

	env string // of planEnv, "" when it has to be built
}

// saved is what a rollback restores.
type saved struct {
	values map[string]string
	local  map[string]*string // SET LOCAL: the value to restore at the transaction's end, nil none
}

func newVars(x *Session) *vars {
	v := &vars{x: x, specs: specsOf(x.cfg.Dialect), values: map[string]string{}, client: map[string]string{}, server: x.server.defaults[x.cfg.Dialect]}
	v.derive()
	return v
}

func specsOf(d ir.Dialect) map[string]*spec {
	if d == ir.MySQL {
		return mySpecs
	}
	return pgSpecs
}

// get returns a variable's value.
func (v *vars) get(name string) (string, bool) {
	if s, ok := v.values[name]; ok {
		return s, true
	}
	return v.unset(name)
}

// lookup is get for functions: current_setting, @@name.
func (v *vars) lookup(name string) (string, bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "session."), "global.")
	return v.get(name)
}

// live are variables that tell the session's state.
func (v *vars) live(name string) (string, bool) {
	x := v.x
	switch name {
	case "transaction_isolation", "tx_isolation":
		level := v.isolation
		if x.block.open {
			level = x.block.level
		}
		if x.mysql() {
			return strings.ToUpper(strings.ReplaceAll(level.String(), " ", "-")), true
		}
		return level.String(), true
	case "transaction_read_only", "tx_read_only":
		readOnly := v.readOnly
		if x.block.open {
			readOnly = x.block.readOnly
		}
		return v.boolean(readOnly || x.follows()), true
	case "default_transaction_read_only":
		// Clients that look for a server to write to ask for this one as well. What the session itself set goes before.
		return "on", !x.mysql() && x.follows()
	case "in_hot_standby":
		return v.boolean(x.follows()), !x.mysql()
	case "read_only", "super_read_only":
		return v.boolean(x.follows()), x.mysql()
	case "is_superuser":
		return "on", !x.mysql()
	case "session_authorization":
		return x.cfg.User, !x.mysql()
	case "bop.last_txid":
		return strconv.FormatUint(x.lastTXID, 10), true
	case "last_insert_id", "identity":
		return strconv.FormatUint(x.lastInsertID, 10), x.mysql()
	case "pseudo_thread_id":
		return strconv.FormatUint(uint64(x.id), 10), x.mysql()
	case "warning_count":
		return strconv.Itoa(len(x.warnings)), x.mysql()
	case "timestamp":
		return fmt.Sprintf("%.6f", float64(time.Now().UnixMicro())/1e6), x.mysql()
	}
	return "", false
}

func (v *vars) boolean(on bool) string {
	switch {
	case v.x.mysql() && on:
		return "1"
	case v.x.mysql():
		return "0"
	case on:
		return "on"
	}
	return "off"
}

// assign checks and sets a variable.
func (v *vars) assign(name, value string, local bool) error {
	name = canonical(name)
	value, err := v.accept(name, value)
	if err != nil {
		return err
	}
	return v.store(name, value, local)
}

// accept returns a value in the form that is stored, or says why the session can't set the variable to it.
func (v *vars) accept(name, value string) (string, error) {
	if _, ok := v.live(name); ok && !settable(name) {
		return "", v.readOnlyError(name)
	}
	s := v.specs[name]
	if s == nil {
		return value, v.custom(name)
	}
	if s.fixed {
		return "", v.readOnlyError(name)
	}
	if name == waitForTXID {
		return "", sqlerr.New("0A000", "%s waits only in SET", name) // set_config runs inside of a statement that has its snapshot
	}
	return v.check(s, value)
}

// settable tells which of the live variables a session may set.
func settable(name string) bool {
	switch name {
	case "default_transaction_read_only", "timestamp":
		return true
	}
	return strings.HasPrefix(name, "transaction_") || strings.HasPrefix(name, "tx_")
}

func (v *vars) unknown(name string) error {
	return sqlerr.New("42704", `unrecognized configuration parameter "%s"`, name).My(1193, "Unknown system variable '%s'", name)
}

func (v *vars) readOnlyError(name string) error {
	return sqlerr.New("55P02", `parameter "%s" cannot be changed`, name).My(1238, "Variable '%s' is a read only variable", name)
}

// canonical maps the other names of a variable to its own.
func canonical(name string) string {
	switch name {
	case "tx_isolation":
		return "transaction_isolation"
	case "tx_read_only":
		return "transaction_read_only"
	case "datestyle", "intervalstyle", "timezone":
		return name
	}
	return name
}

func (v *vars) store(name, value string, local bool) error {
	before, _ := v.get(name)
	if local {
		if len(v.saved) == 0 {
			v.x.warning("25P01", "SET LOCAL can only be used in transaction blocks")
			return nil
		}
		first := &v.saved[0]
		if first.local == nil {
			first.local = map[string]*string{}
		}
		if _, ok := first.local[name]; !ok {
			first.local[name] = nil
			if old, set := v.values[name]; set {
				first.local[name] = &old
			}
		}
	}
	v.values[name] = value
	v.derive()
	v.report(name, before)
	return v.x.applied(name)
}

// report tells the client of a change it is interested in.
func (v *vars) report(name, before string) {
	s := v.specs[name]
	if s == nil || !s.report || v.x.cfg.Changed == nil {
		return
	}
	if now, _ := v.get(name); now != before {
		v.x.cfg.Changed(v.display(name), now)
	}
}

// display is the spelling that PostgreSQL reports.
func (v *vars) display(name string) string {
	switch name {
	case "timezone":
		return "TimeZone"
	case "datestyle":
		return "DateStyle"
	case "intervalstyle":
		return "IntervalStyle"
	}
	return name
}

// push remembers the values at the start of a transaction or savepoint.
func (v *vars) push() { v.saved = append(v.saved, saved{values: maps.Clone(v.values)}) }

// pop ends it: a rollback restores them, and SET LOCAL ends with its transaction.
func (v *vars) pop(keep bool) {
	n := len(v.saved) - 1
	if n < 0 {
		return
	}
	s := v.saved[n]
	v.saved = v.saved[:n]
	old := v.values
	switch {
	case !keep && !v.x.mysql():
		v.values = s.values
	case len(s.local) > 0:
		v.values = maps.Clone(v.values)
		for name, value := range s.local {
			delete(v.values, name)
			if value != nil {
				v.values[name] = *value
			}
		}
	default:
		return
	}
	v.derive()
	for name, sp := range v.specs {
		if sp.report && old[name] != v.values[name] {
			before, ok := old[name]
			if !ok {
				before, _ = v.unset(name)
			}
			v.report(name, before)
		}
	}
}

// reset puts a variable, or all, back to the default.
func (v *vars) reset(name string) error {
	if name == "" {
		names := make([]string, 0, len(v.values))
		for n := range v.values {
			names = append(names, n)
		}
		for _, n := range names {
			if err := v.reset(n); err != nil {
				return err
			}
		}
		return nil
	}
	if v.specs[name] == nil && !strings.Contains(name, ".") {
		return v.unknown(name)
	}
	before, _ := v.get(name)
	delete(v.values, name)
	v.derive()
	v.report(name, before)
	return v.x.applied(name)
}

// derive computes what is read often from the values.
func (v *vars) derive() {
	get := func(name string) string {
		s, _ := v.get(name)
		return s
	}
	v.env = ""
	v.readOnly, v.autocommit = false, true
	v.deriveOwn(get)
	if v.x.mysql() {
		v.timeZone = get("time_zone")
		v.location = location(v.timeZone)
		mode := strings.ToUpper(get("sql_mode"))
		has := func(bit string) bool { return strings.Contains(","+mode+",", ","+bit+",") }
		v.strict = has("STRICT_TRANS_TABLES") || has("STRICT_ALL_TABLES") || has("TRADITIONAL")
		v.zeroDates = !has("NO_ZERO_DATE") && !has("TRADITIONAL")
		v.ansiQuotes = has("ANSI_QUOTES") || has("ANSI")
		v.pipesAsOr = !has("PIPES_AS_CONCAT") && !has("ANSI")
		v.noAutoValueOnZero = has("NO_AUTO_VALUE_ON_ZERO")
		v.noBackslash = has("NO_BACKSLASH_ESCAPES")
		v.binaryStrings = strings.HasSuffix(get("collation_connection"), "_bin") || get("collation_connection") == "binary"
		v.foreignKeysOff = !truth(get("foreign_key_checks"))
		v.autocommit = truth(get("autocommit"))
		level, ok := parseIsolation(v.said("transaction_isolation"))
		if !ok {
			level = repeatableRead
		}
		v.isolation = level
		v.readOnly = truth(v.said("transaction_read_only"))
		ms, _ := strconv.Atoi(get("max_execution_time"))
		v.statementTimeout = time.Duration(ms) * time.Millisecond
		v.lockTimeout = 0
		if s := v.said("innodb_lock_wait_timeout"); s != "" {
			seconds, _ := strconv.Atoi(s)
			v.lockTimeout = time.Duration(seconds) * time.Second
		}
		return
	}
	v.timeZone = get("timezone")
	v.location = location(v.timeZone)
	v.searchPath = splitPath(get("search_path"), v.x.cfg.User)
	v.statementTimeout = milliseconds(get("statement_timeout"))
	v.idleInTransaction = milliseconds(get("idle_in_transaction_session_timeout"))
	v.idleSession = milliseconds(get("idle_session_timeout"))
	v.lockTimeout = milliseconds(get("lock_timeout"))
	v.leastNotice = slices.Index(v.specs["client_min_messages"].enum, get("client_min_messages"))
	v.isolation, _ = parseIsolation(get("default_transaction_isolation"))
	v.readOnly = truth(v.said("default_transaction_read_only"))
	digits, _ := strconv.Atoi(get("extra_float_digits"))
	f := *types.NewPGFormat()
	f.Location, f.ExtraFloatDigits, f.ByteaEscape = v.location, digits, get("bytea_output") == "escape"
	f.DateStyle, f.DateOrder = dateStyle(get("datestyle"))
	f.IntervalStyle = intervalStyle(get("intervalstyle"))
	v.format = f
}

func (v *vars) pgFormat() *types.PGFormat {
	f := v.format
	f.Name = v.x.regName
	f.ElemOID = v.x.elemOID
	return &f
}

func (v *vars) input() *types.Input {
	return &types.Input{
		MySQL: v.x.mysql(), Strict: v.strict, ZeroDates: v.zeroDates, Location: v.location,
		DateOrder: v.format.DateOrder, IntervalStyle: v.format.IntervalStyle, Labels: v.x.labels, Name: v.x.regOID,
		Warn: func(number uint16, message string) { v.x.warn("Warning", number, message) },
	}
}

// parseOptions are the settings that change how MySQL's text is read.
func (v *vars) parseOptions() mysql.Options {
	return mysql.Options{ANSIQuotes: v.ansiQuotes, PipesAsConcat: !v.pipesAsOr, NoBackslashEscapes: v.noBackslash}
}

// planEnv names the settings that plans depend on.
func (v *vars) planEnv() string {
	if v.env == "" {
		bits := []bool{v.strict, v.ansiQuotes, v.pipesAsOr, v.noAutoValueOnZero, v.noBackslash, v.binaryStrings, v.foreignKeysOff, v.zeroDates, v.x.cfg.FoundRows}
		b := []byte{'.'}
		for _, bit := range bits {
			b = append(b, map[bool]byte{false: '0', true: '1'}[bit])
		}
		v.env = string(b) + strings.Join(v.searchPath, ",") + string(rune('0'+v.format.DateOrder)) + "|" + v.timeZone
	}
	return v.env
}

// path is the search path with its default.
func (v *vars) path() []string {
	if v.searchPath == nil {
		return []string{"public"}
	}
	return v.searchPath
}

// splitPath reads search_path. nil: the default.
func splitPath(s, user string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if quoted := strings.Trim(part, `"`); quoted != part {
			part = quoted
		} else {
			part = strings.ToLower(part)
		}
		if part == "$user" {
			part = user
		}
		if part != "" {
			out = append(out, part)
		}
	}
	if len(out) == 2 && out[0] == user && out[1] == "public" {
		return nil
	}
	if out == nil {
		return []string{}
	}
	return out
}

func location(name string) *time.Location {
	if strings.EqualFold(name, "SYSTEM") {
		return time.Local
	}
	if loc, ok := types.LoadZone(name); ok {
		return loc
	}
	return time.UTC
}

func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "on", "true", "yes", "t", "y":
		return true
	}
	return false
}

// milliseconds reads a time-out: a number of milliseconds, or a number with its unit.
func milliseconds(s string) time.Duration {
	n, unit := splitUnit(s)
	switch unit {
	case "us":
		return time.Duration(n) * time.Microsecond
	case "s":
		return time.Duration(n) * time.Second
	case "min":
		return time.Duration(n) * time.Minute
	case "h":
		return time.Duration(n) * time.Hour
	case "d":
		return time.Duration(n) * 24 * time.Hour
	}
	return time.Duration(n) * time.Millisecond
}

func splitUnit(s string) (int64, string) {
	s = strings.TrimSpace(s)
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '-' })
	if i < 0 {
		i = len(s)
	}
	n, _ := strconv.ParseInt(s[:i], 10, 64)
	return n, strings.TrimSpace(s[i:])
}

func dateStyle(s string) (types.DateStyle, types.DateOrder) {
	style, order := types.ISO, types.MDY
	for part := range strings.SplitSeq(strings.ToUpper(s), ",") {
		switch strings.TrimSpace(part) {
		case "ISO":
			style = types.ISO
		case "SQL":
			style = types.SQLStyle
		case "POSTGRES":
			style = types.PostgresStyle
		case "GERMAN":
			style = types.GermanStyle
		case "DMY", "EURO", "EUROPEAN":
			order = types.DMY
		case "MDY", "US", "NONEURO", "NONEUROPEAN":
			order = types.MDY
		case "YMD":
			order = types.YMD
		}
	}
	return style, order
}

func intervalStyle(s string) types.IntervalStyle {
	switch strings.ToLower(s) {
	case "sql_standard":
		return types.IntervalSQL
	case "postgres_verbose":
		return types.IntervalVerbose
	case "iso_8601":
		return types.IntervalISO
	}
	return types.IntervalPostgres
}

// userVariable returns MySQL's @name.
func (v *vars) userVariable(name string) any { return v.user[strings.ToLower(name)] }

// setByFunction is set_config, and an assignment of a user variable inside a statement.
func (v *vars) setByFunction(name, value string, null, local bool) error {
	if user, ok := strings.CutPrefix(name, "@"); ok {
		if v.user == nil {
			v.user = map[string]any{}
		}
		v.user[strings.ToLower(user)] = value
		if null {
			delete(v.user, strings.ToLower(user))
		}
		return nil
	}
	return v.assign(strings.ToLower(name), value, local)
}

// settings are the variables for catalogs.
func (v *vars) settings(global bool) []catalog.Setting {
	var out []catalog.Setting
	for name, s := range v.specs {
		value, source := s.def, v.source(name)
		if said, ok := v.server[name]; ok {
			value = said
		}
		reset := value
		if !global {
			value, _ = v.get(name)
			reset, _ = v.unset(name)
		}
		context := "user"
		if s.fixed {
			context = "internal"
		}
		out = append(out, catalog.Setting{Name: v.display(name), Value: value, Unit: s.unit, Category: s.category, Description: s.help,
			Type: s.kind, Context: context, Source: source, Boot: s.def, Reset: reset, Min: s.min, Max: s.max, Enum: s.enum})
	}
	return out
}
