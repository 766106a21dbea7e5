package funcs

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	alias := func(name string, f myFunc) myFunc { f.as = "my_" + f.name; f.name = name; return f }
	text := func(name string, f func(e *Env) string) myFunc {
		return myFunc{name: name, result: tText, session: true, call: func(e *Env, _ []types.Value) (types.Value, error) {
			s := f(e)
			if s == "" {
				return null, nil
			}
			return types.StringValue(s), nil
		}}
	}
	database := text("database", func(e *Env) string { return e.Database })
	account := func(name string) string {
		if strings.Contains(name, "@") {
			return name
		}
		return name + "@%"
	}
	current := text("current_user", func(e *Env) string { return account(e.User) })
	user := text("user", func(e *Env) string {
		name := e.SessionUser
		if name == "" {
			name = e.User
		}
		host := "localhost"
		if a, err := netip.ParseAddrPort(e.ClientAddr); err == nil && !a.Addr().IsLoopback() {
			host = a.Addr().String()
		}
		return name + "@" + host
	})
	sum := func(name string, f func([]byte) []byte) []myFunc {
		call := func(_ *Env, a []types.Value) (types.Value, error) {
			return textValue([]byte(hex.EncodeToString(f(a[0].B)))), nil
		}
		return []myFunc{
			{name: name, args: kinds(tText), result: tText, as: "my_" + name, call: call},
			{name: name, args: kinds(tBytes), result: tText, as: "my_" + name},
		}
	}
	sha1sum := func(b []byte) []byte { s := sha1.Sum(b); return s[:] }
	implementMy(sum("md5", func(b []byte) []byte { s := md5.Sum(b); return s[:] })...)
	implementMy(sum("sha1", sha1sum)...)
	implementMy(sum("sha", sha1sum)...)
	implementMy(
		database, alias("schema", database), current,
		user, alias("session_user", user), alias("system_user", user),
		text("current_role", func(*Env) string { return "NONE" }),
		text("version", func(e *Env) string {
			if v := e.setting("version"); v != "" {
				return v
			}
			return "8.0.36-BOP"
		}),
		myFunc{name: "connection_id", result: tInt, session: true, resultOf: func([]types.Type) types.Type {
			return types.Type{Kind: types.Int8, Unsigned: true}
		}, call: func(e *Env, _ []types.Value) (types.Value, error) {
			return types.IntValue(int64(e.ConnectionID)), nil
		}},
		myFunc{name: "last_insert_id", args: kinds(tInt), optional: 1, result: tInt, effect: true, keepNull: true, resultOf: func([]types.Type) types.Type {
			return types.Type{Kind: types.Int8, Unsigned: true}
		}, call: func(e *Env, a []types.Value) (types.Value, error) {
			if len(a) > 0 {
				e.LastInsertID = uint64(a[0].I)
				return a[0], nil
			}
			return types.IntValue(int64(e.LastInsertID)), nil
		}},
		myFunc{name: "found_rows", result: tInt, session: true, call: func(e *Env, _ []types.Value) (types.Value, error) {
			return types.IntValue(e.FoundRows), nil
		}},
		myFunc{name: "row_count", result: tInt, session: true, call: func(e *Env, _ []types.Value) (types.Value, error) {
			return types.IntValue(e.RowCount), nil
		}},
		myFunc{name: "benchmark", args: kinds(tInt, Any), result: tInt, sql: "0"},
		myFunc{name: "collation", args: kinds(tText), result: tText, sql: "'utf8mb4_0900_ai_ci'"},
		myFunc{name: "collation", args: kinds(tBytes), result: tText, sql: "'binary'"},
		myFunc{name: "coercibility", args: kinds(Any), result: tInt, sql: "4"},
		myFunc{name: "sha2", args: kinds(tText, tInt), result: tText, as: "my_sha2", call: sha2},
		myFunc{name: "sha2", args: kinds(tBytes, tInt), result: tText, as: "my_sha2"},
		myFunc{name: "random_bytes", args: kinds(tInt), result: tBytes, effect: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].I < 1 || a[0].I > 1024 {
				return null, sqlerr.New("22003", "length out of range").My(1690, "length value is out of range in 'random_bytes'")
			}
			b := make([]byte, a[0].I)
			rand.Read(b)
			return types.BlobValue(b), nil
		}},
		myFunc{name: "uuid", result: tText, effect: true, call: func(*Env, []types.Value) (types.Value, error) {
			return types.StringValue(newUUID()), nil
		}},
		myFunc{name: "uuid_short", result: tInt, effect: true, call: func(*Env, []types.Value) (types.Value, error) {
			return types.IntValue(uuidShort.Add(1)), nil
		}},
		myFunc{name: "is_uuid", args: kinds(tText), result: types.Bool, call: func(_ *Env, a []types.Value) (types.Value, error) {
			_, err := types.ParseText(types.T(types.UUID), a[0].B, nil)
			return types.BoolValue(err == nil), nil
		}},
		myFunc{name: "uuid_to_bin", args: kinds(tText, tInt), optional: 1, result: tBytes, call: func(_ *Env, a []types.Value) (types.Value, error) {
			v, err := types.ParseText(types.T(types.UUID), a[0].B, nil)
			if err != nil {
				return null, sqlerr.New("22P02", "invalid uuid").My(1411, "Incorrect string value: '%s' for function uuid_to_bin", clip(a[0].B))
			}
			b, err := types.AppendPGBinary(nil, types.T(types.UUID), v, nil)
			if err == nil && len(a) > 1 && a[1].I != 0 {
				b = slices.Concat(b[6:8], b[4:6], b[0:4], b[8:])
			}
			return types.BlobValue(b), err
		}},
		myFunc{name: "bin_to_uuid", args: kinds(tBytes, tInt), optional: 1, result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			b := a[0].B
			if len(b) != 16 {
				return null, sqlerr.New("22P02", "invalid uuid").My(1411, "Incorrect string value: '%x' for function bin_to_uuid", b)
			}
			if len(a) > 1 && a[1].I != 0 {
				b = slices.Concat(b[4:8], b[2:4], b[0:2], b[8:])
			}
			return types.DecodePGBinary(types.T(types.UUID), b)
		}},
		myFunc{name: "inet_aton", args: kinds(tText), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			ip, err := netip.ParseAddr(string(a[0].B))
			if err != nil || !ip.Is4() {
				return null, nil
			}
			b := ip.As4()
			return types.IntValue(int64(binary.BigEndian.Uint32(b[:]))), nil
		}},
		myFunc{name: "inet_ntoa", args: kinds(tInt), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].I < 0 || a[0].I > 1<<32-1 {
				return null, nil
			}
			b := binary.BigEndian.AppendUint32(nil, uint32(a[0].I))
			return types.StringValue(netip.AddrFrom4([4]byte(b)).String()), nil
		}},
		myFunc{name: "inet6_aton", args: kinds(tText), result: tBytes, call: func(_ *Env, a []types.Value) (types.Value, error) {
			ip, err := netip.ParseAddr(string(a[0].B))
			if err != nil || ip.Zone() != "" {
				return null, nil
			}
			return types.BlobValue(ip.AsSlice()), nil
		}},
		myFunc{name: "inet6_ntoa", args: kinds(tBytes), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			ip, ok := netip.AddrFromSlice(a[0].B)
			if !ok {
				return null, nil
			}
			return types.StringValue(ip.String()), nil
		}},
		myFunc{name: "is_ipv4", args: kinds(tText), result: types.Bool, call: func(_ *Env, a []types.Value) (types.Value, error) {
			ip, err := netip.ParseAddr(string(a[0].B))
			return types.BoolValue(err == nil && ip.Is4()), nil
		}},
		myFunc{name: "is_ipv6", args: kinds(tText), result: types.Bool, call: func(_ *Env, a []types.Value) (types.Value, error) {
			ip, err := netip.ParseAddr(string(a[0].B))
			return types.BoolValue(err == nil && ip.Is6()), nil
		}},
		myFunc{name: "any_value", args: kinds(Any), result: Same, sql: "$1"},
		myFunc{name: "name_const", args: kinds(tText, Any), result: Same, resultOf: func(ts []types.Type) types.Type { return ts[1] }, sql: "$2"},

		myFunc{name: "bop_user_var", args: kinds(tText), result: tText, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			if e.UserVariable == nil {
				return null, nil
			}
			return anyValue(e.UserVariable(string(a[0].B))), nil
		}},
		myFunc{name: "bop_set_user_var", args: kinds(tText, Any), result: Same, effect: true, keepNull: true, resultOf: func(ts []types.Type) types.Type { return ts[1] },
			call: func(e *Env, a []types.Value) (types.Value, error) {
				if e.SetSetting == nil {
					return null, sqlerr.Unsupported("user variables here")
				}
				text := types.AppendMySQLText(nil, types.T(types.Unknown), a[1], nil)
				return a[1], e.SetSetting("@"+string(a[0].B), string(text), a[1].IsNull(), false)
			}},
		myFunc{name: "bop_sys_var", args: kinds(tText, tText), result: tText, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			name := strings.ToLower(string(a[0].B))
			if e.Setting != nil {
				if v, ok := e.Setting(name); ok {
					if i, err := strconv.ParseInt(v, 10, 64); err == nil {
						return types.IntValue(i), nil
					}
					return types.StringValue(v), nil
				}
			}
			return null, sqlerr.New("42704", "unrecognized configuration parameter \"%s\"", name).My(1193, "Unknown system variable '%s'", name)
		}},

		myFunc{name: "release_lock", args: kinds(tText), result: types.Bool, effect: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			owner, held := namedLocks.owner(string(a[0].B))
			if !held {
				return null, nil
			}
			return types.BoolValue(owner == e.ConnectionID && namedLocks.release(string(a[0].B), e.ConnectionID)), nil
		}},
		myFunc{name: "release_all_locks", result: tInt, effect: true, call: func(e *Env, _ []types.Value) (types.Value, error) {
			return types.IntValue(ReleaseNamedLocks(e.ConnectionID)), nil
		}},
		myFunc{name: "is_free_lock", args: kinds(tText), result: types.Bool, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			_, held := namedLocks.owner(string(a[0].B))
			return types.BoolValue(!held), nil
		}},
		myFunc{name: "is_used_lock", args: kinds(tText), result: tInt, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			owner, held := namedLocks.owner(string(a[0].B))
			if !held {
				return null, nil
			}
			return types.IntValue(int64(owner)), nil
		}},
		myFunc{name: "get_lock", args: kinds(tText, tFloat), result: types.Bool, effect: true},
		myFunc{name: "sleep", args: kinds(tFloat), result: tInt, effect: true},
	)
	implement(func(r *Registrar) {
		env := r.Env
		r.Impure("my_get_lock", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			name := strings.ToLower(arg[0].Text())
			if name == "" || len(name) > 64 {
				fail(ctx, sqlerr.New("22023", "incorrect lock name").My(3057, "Incorrect user-level lock name '%s'.", name))
				return
			}
			wait := time.Duration(-1)
			if s := arg[1].Float(); s >= 0 {
				wait = time.Duration(min(s, 1e8) * float64(time.Second))
			}
			got, err := namedLocks.acquire(interruptOf(ctx), name, env.ConnectionID, wait)
			if err != nil {
				fail(ctx, errInterrupted())
				return
			}
			ctx.ResultBool(got)
		})
		r.Impure("my_sleep", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) || arg[0].Float() < 0 {
				fail(ctx, sqlerr.New("22023", "incorrect arguments to sleep").My(1210, "Incorrect arguments to sleep."))
				return
			}
			t := time.NewTimer(time.Duration(min(arg[0].Float(), 1e8) * float64(time.Second)))
			defer t.Stop()
			select {
			case <-t.C:
				ctx.ResultInt(0)
			case <-interruptOf(ctx).Done():
				fail(ctx, errInterrupted())
			}
		})
	})
}

// interruptOf returns the context that ends what the connection does.
func interruptOf(ctx sqlite3.Context) context.Context { return ctx.Conn().GetInterrupt() }

func errInterrupted() error {
	return sqlerr.New("57014", "canceling statement due to user request").My(1317, "Query execution was interrupted")
}

// anyValue makes a value of what a session keeps for a user variable.
func anyValue(x any) types.Value {
	switch x := x.(type) {
	case int64:
		return types.IntValue(x)
	case int:
		return types.IntValue(int64(x))
	case float64:
		return types.FloatValue(x)
	case string:
		return types.StringValue(x)
	case []byte:
		return types.BlobValue(x)
	case bool:
		return types.BoolValue(x)
	case types.Value:
		return x
	}
	return null
}

func sha2(_ *Env, a []types.Value) (types.Value, error) {
	var sum []byte
	switch a[1].I {
	case 224:
		s := sha256.Sum224(a[0].B)
		sum = s[:]
	case 0, 256:
		s := sha256.Sum256(a[0].B)
		sum = s[:]
	case 384:
		s := sha512.Sum384(a[0].B)
		sum = s[:]
	case 512:
		s := sha512.Sum512(a[0].B)
		sum = s[:]
	default:
		return null, nil
	}
	return textValue([]byte(hex.EncodeToString(sum))), nil
}

// uuidShort counts from the time the program started.
var uuidShort = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(time.Now().Unix() << 24)
	return &n
}()

// uuidNode is the node part of version 1 UUIDs: random, as MySQL does where there is no network card to ask.
var uuidNode = func() (n [8]byte) {
	rand.Read(n[:])
	n[0] = n[0]&0x3f | 0x80
	n[2] |= 1
	return n
}()

var uuidClock atomic.Int64

// newUUID returns a version 1 UUID, as MySQL's UUID() does.
func newUUID() string {
	const gregorian = 0x01b21dd213814000 // 1582-10-15 in units of 100 ns before 1970
	now := time.Now().UnixNano()/100 + gregorian
	for {
		last := uuidClock.Load()
		next := max(now, last+1)
		if uuidClock.CompareAndSwap(last, next) {
			now = next
			break
		}
	}
	var u [16]byte
	binary.BigEndian.PutUint32(u[0:], uint32(now))
	binary.BigEndian.PutUint16(u[4:], uint16(now>>32))
	binary.BigEndian.PutUint16(u[6:], uint16(now>>48)&0x0fff|0x1000)
	copy(u[8:], uuidNode[:])
	v, err := types.DecodePGBinary(types.T(types.UUID), u[:])
	if err != nil {
		return ""
	}
	return string(v.B)
}
