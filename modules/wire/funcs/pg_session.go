package funcs

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const text, name, b, i4, i8, tstz = types.Text, types.Name, types.Bool, types.Int4, types.Int8, types.TimestampTZ
	for _, n := range []string{"now", "current_timestamp", "transaction_timestamp"} {
		define(pg, pgFn(n, tstz, "bop_now()"))
	}
	define(pg,
		pgFn("statement_timestamp", tstz, "bop_statement_now()"),
		pgVolatile(pgFn("clock_timestamp", tstz, "bop_clock_now()")),
		pgVolatile(pgFn("timeofday", text, "bop_timeofday()")),
		pgFn("current_timestamp", tstz, "bop_current($1, 't')", i4),
		pgFn("localtimestamp", types.Timestamp, "bop_current(6, 'l')"),
		pgFn("localtimestamp", types.Timestamp, "bop_current($1, 'l')", i4),
		pgFn("current_date", types.Date, "bop_current(0, 'd')"),
		pgFn("current_time", types.TimeTZ, "bop_current(6, 'z')"),
		pgFn("current_time", types.TimeTZ, "bop_current($1, 'z')", i4),
		pgFn("localtime", types.Time, "bop_current(6, 'c')"),
		pgFn("localtime", types.Time, "bop_current($1, 'c')", i4),

		pgFn("version", text, "bop_version()"),
		pgFn("current_database", name, "bop_session('database')"),
		pgFn("current_catalog", name, "bop_session('database')"),
		pgFn("current_user", name, "bop_session('user')"),
		pgFn("current_role", name, "bop_session('user')"),
		pgFn("user", name, "bop_session('user')"),
		pgFn("session_user", name, "bop_session('session_user')"),
		pgFn("current_schema", name, "bop_session('schema')"),
		pgArray(name, pgFn("current_schemas", 0, "bop_schemas($1)", b)),
		pgFn("current_query", text, "NULL"),
		pgNull(pgOpt(1, pgFn("current_setting", text, "bop_setting($*)", text, b))),
		pgVolatile(pgNull(pgFn("set_config", text, "bop_set_config($1, $2, $3)", text, text, b))),
		pgFn("pg_backend_pid", i4, "bop_pid()"),
		pgFn("pg_cancel_backend", b, "bop_cancel($1, 0)", i4),
		pgFn("pg_terminate_backend", b, "bop_cancel($1, 1)", i4),
		pgFn("pg_terminate_backend", b, "bop_cancel($1, 1)", i4, i8),
		pgFn("inet_client_addr", types.Inet, "bop_client(0)"),
		pgFn("inet_client_port", i4, "bop_client(1)"),
		pgFn("inet_server_addr", types.Inet, "NULL"),
		pgFn("inet_server_port", i4, "NULL"),
		pgVolatile(pgFn("pg_sleep", types.Void, "bop_sleep($1)", types.Float8)),
		pgVolatile(pgFn("pg_sleep_for", types.Void, "bop_sleep_for($1)", types.Interval)),
		pgVolatile(pgFn("pg_notify", types.Void, "bop_notify($1, $2)", text, text)),
		pgFn("pg_size_pretty", text, "bop_size_pretty($1)", i8),
		pgFn("pg_size_pretty", text, "bop_size_pretty($1)", types.Numeric),
		pgFn("pg_size_bytes", i8, "bop_size_bytes($1)", text),
		pgFn("txid_current", i8, "bop_txid()"),
		pgFn("txid_current_if_assigned", i8, "bop_txid()"),
		pgFn("pg_current_xact_id", i8, "bop_txid()"),
		pgFn("pg_current_xact_id_if_assigned", i8, "bop_txid()"),
		pgFn("pg_trigger_depth", i4, "0"),
		pgFn("pg_jit_available", b, "0"),
		pgFn("pg_client_encoding", name, "'UTF8'"),
	)

	implement(func(r *Registrar) {
		env := r.Env
		impure := func(n string, args int, f func(a []types.Value) (types.Value, error)) { r.Impure(n, args, pgStrict(f)) }
		stamp := func(t time.Time) (types.Value, error) { return types.TimestampValue(types.TimestampOf(t)), nil }
		impure("bop_now", 0, func([]types.Value) (types.Value, error) { return stamp(env.now()) })
		impure("bop_statement_now", 0, func([]types.Value) (types.Value, error) { return stamp(env.statementNow()) })
		impure("bop_clock_now", 0, func([]types.Value) (types.Value, error) { return stamp(time.Now()) })
		impure("bop_timeofday", 0, func([]types.Value) (types.Value, error) {
			return pgText(time.Now().In(env.location()).Format("Mon Jan 02 15:04:05.000000 2006 MST")), nil
		})
		impure("bop_current", 2, func(a []types.Value) (types.Value, error) {
			precision := int(min(max(a[0].I, 0), 6))
			now := types.TimestampOf(env.now())
			local, offset, _ := types.LocalTimestamp(now, env.location())
			days, clock := types.SplitTimestamp(local)
			switch a[1].B[0] {
			case 't':
				return types.TimestampValue(types.RoundMicros(now, precision)), nil
			case 'l':
				return types.TimestampValue(types.RoundMicros(local, precision)), nil
			case 'd':
				return types.DateValue(int32(days)), nil
			case 'z':
				return types.Value{Class: types.String, B: types.AppendTimeTZ(nil, types.RoundMicros(clock, precision), offset)}, nil
			}
			return types.TimeValue(types.RoundMicros(clock, precision)), nil
		})
		impure("bop_version", 0, func([]types.Value) (types.Value, error) {
			v := env.setting("server_version")
			if v == "" {
				v = "15.8"
			}
			v, _, _ = strings.Cut(v, " ")
			return pgText("PostgreSQL " + v + " (BOP), 64-bit"), nil
		})
		impure("bop_session", 1, func(a []types.Value) (types.Value, error) {
			s := ""
			switch string(a[0].B) {
			case "database":
				s = env.Database
			case "user":
				s = env.User
			case "session_user":
				if s = env.SessionUser; s == "" {
					s = env.User
				}
			case "schema":
				path := env.pgSearchPath()
				if len(path) == 0 {
					return types.Value{}, nil
				}
				s = path[0]
			}
			return pgText(s), nil
		})
		impure("bop_schemas", 1, func(a []types.Value) (types.Value, error) {
			var out [][]byte
			path := env.pgSearchPath()
			if a[0].I != 0 {
				listed := false
				for _, p := range path {
					listed = listed || p == "pg_catalog"
				}
				if !listed {
					out = append(out, []byte("pg_catalog"))
				}
			}
			for _, p := range path {
				out = append(out, []byte(p))
			}
			return pgTextArray(out), nil
		})
		for _, n := range []int{1, 2} {
			r.Impure("bop_setting", n, pgLoose(func(a []types.Value) (types.Value, error) {
				if a[0].IsNull() || len(a) > 1 && a[1].IsNull() {
					return types.Value{}, nil
				}
				name := strings.ToLower(pgStr(a[0]))
				if env.Setting != nil {
					if v, ok := env.Setting(name); ok {
						return pgText(v), nil
					}
				}
				if len(a) > 1 && a[1].I != 0 {
					return types.Value{}, nil
				}
				return types.Value{}, sqlerr.New("42704", "unrecognized configuration parameter \"%s\"", pgStr(a[0]))
			}))
		}
		r.Impure("bop_set_config", 3, pgLoose(func(a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.Value{}, sqlerr.New("22004", "SET requires parameter name")
			}
			if env.SetSetting == nil {
				return types.Value{}, sqlerr.Unsupported("set_config outside of a session")
			}
			value := ""
			if !a[1].IsNull() {
				value = pgStr(a[1])
			}
			name := strings.ToLower(pgStr(a[0]))
			if err := env.SetSetting(name, value, a[1].IsNull(), a[2].I != 0); err != nil {
				return types.Value{}, err
			}
			if env.Setting != nil {
				if v, ok := env.Setting(name); ok {
					return pgText(v), nil
				}
			}
			return pgText(value), nil
		}))
		impure("bop_pid", 0, func([]types.Value) (types.Value, error) { return types.IntValue(int64(env.ConnectionID)), nil })
		impure("bop_cancel", 2, func(a []types.Value) (types.Value, error) {
			ok := env.Cancel != nil && a[0].I > 0 && a[0].I <= math.MaxUint32 && env.Cancel(uint32(a[0].I), a[1].I != 0)
			return types.BoolValue(ok), nil
		})
		impure("bop_client", 1, func(a []types.Value) (types.Value, error) {
			host, port := env.ClientAddr, ""
			if i := strings.LastIndexByte(host, ':'); i >= 0 {
				host, port = strings.Trim(host[:i], "[]"), host[i+1:]
			}
			if a[0].I == 1 {
				n, err := strconv.ParseInt(port, 10, 32)
				if err != nil {
					return types.Value{}, nil
				}
				return types.IntValue(n), nil
			}
			if v, ok := types.ParseInet([]byte(host), false); ok {
				return types.Value{Class: types.String, B: v.AppendText(nil, false)}, nil
			}
			return types.Value{}, nil
		})
		r.Impure("bop_sleep", 1, func(ctx sqlite3.Context, arg Values) {
			if !anyNull(arg) {
				pgSleep(ctx, time.Duration(min(max(arg[0].Float(), 0), 1e9)*float64(time.Second)))
			}
		})
		r.Impure("bop_sleep_for", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			s, err := storedSpan(valueOf(arg[0]))
			if err != nil {
				fail(ctx, err)
				return
			}
			us := float64(s.Months)*30*86400e6 + float64(s.Days)*86400e6 + float64(s.Micros)
			pgSleep(ctx, time.Duration(min(max(us, 0), 1e15))*time.Microsecond)
		})
		impure("bop_notify", 2, func(a []types.Value) (types.Value, error) {
			if env.Notify == nil {
				return types.Value{}, sqlerr.Unsupported("pg_notify outside of a session")
			}
			channel := pgStr(a[0])
			switch {
			case channel == "":
				return types.Value{}, sqlerr.New("22023", "channel name cannot be empty")
			case len(channel) > 63:
				return types.Value{}, sqlerr.New("22023", "channel name too long")
			case len(a[1].B) >= 8000:
				return types.Value{}, sqlerr.New("22023", "payload string too long")
			}
			return pgText(""), env.Notify(channel, pgStr(a[1]))
		})
		r.Pure("bop_size_pretty", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			d, err := pgDecimal(a[0])
			if err != nil {
				return types.Value{}, err
			}
			return pgText(pgSizePretty(d)), nil
		}))
		r.Pure("bop_size_bytes", 1, pgStrict(func(a []types.Value) (types.Value, error) { return pgSizeBytes(pgStr(a[0])) }))
		r.Impure("bop_txid", 0, func(ctx sqlite3.Context, _ Values) {
			// A number that is the same within a transaction and not again after it: its time in microseconds.
			ctx.ResultInt64(env.now().UnixMicro())
		})
	})
}

// pgSearchPath is the search path without the names that stand for others.
func (e *Env) pgSearchPath() []string {
	if e.SearchPath == nil {
		return []string{"public"}
	}
	out := make([]string, 0, len(e.SearchPath))
	for _, p := range e.SearchPath {
		if p != "$user" && p != "pg_temp" {
			out = append(out, p)
		}
	}
	return out
}

// pgSleep waits, but no longer than the statement lives.
func pgSleep(ctx sqlite3.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		ctx.ResultText("")
	case <-interruptOf(ctx).Done():
		fail(ctx, errInterrupted())
	}
}

var pgSizeUnits = []string{"bytes", "kB", "MB", "GB", "TB", "PB"}

// pgSizePretty prints a size in the smallest unit that needs fewer than five digits, rounded half away from zero.
func pgSizePretty(d types.Decimal) string {
	unit := 0
	limit := types.DecimalFromInt(10 * 1024)
	// Below the last step the size is kept in half units, so that the end rounds.
	if d.Abs().Cmp(limit) < 0 {
		return d.String() + " bytes"
	}
	half := types.DecimalFromInt(2)
	div := types.DecimalFromInt(512) // to half kilobytes
	d, _ = d.QuoTrunc(div, 0)
	for unit = 1; ; unit++ {
		if unit == len(pgSizeUnits)-1 || d.Abs().Cmp(types.DecimalFromInt(20*1024-1)) < 0 {
			break
		}
		d, _ = d.QuoTrunc(types.DecimalFromInt(1024), 0)
	}
	one := types.DecimalFromInt(int64(d.Sign()))
	d, _ = d.Add(one).QuoTrunc(half, 0)
	return d.String() + " " + pgSizeUnits[unit]
}

func pgSizeBytes(s string) (types.Value, error) {
	bad := func() error { return sqlerr.New("22023", "invalid size: \"%s\"", s) }
	t := strings.TrimSpace(s)
	i := 0
	for i < len(t) && strings.IndexByte("0123456789.+-eE", t[i]) >= 0 {
		if (t[i] == 'e' || t[i] == 'E') && (i+1 >= len(t) || t[i+1] < '+' || t[i+1] > '9') {
			break
		}
		i++
	}
	d, err := types.ParseDecimal([]byte(t[:i]))
	if err != nil {
		return types.Value{}, bad()
	}
	unit := strings.TrimSpace(t[i:])
	if unit != "" {
		n := -1
		for j, u := range pgSizeUnits {
			if strings.EqualFold(u, unit) || j == 0 && strings.EqualFold(unit, "b") {
				n = j
			}
		}
		if n < 0 {
			e := sqlerr.New("22023", "invalid size: \"%s\"", s)
			e.Detail = "Invalid size unit: \"" + unit + "\"."
			return types.Value{}, e.WithHint(`Valid units are "bytes", "B", "kB", "MB", "GB", "TB", and "PB".`)
		}
		for range n {
			d = d.Mul(types.DecimalFromInt(1024))
		}
	}
	v, ok := d.Int64()
	if !ok {
		return types.Value{}, errRange("bigint")
	}
	return types.IntValue(v), nil
}
