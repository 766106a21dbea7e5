package funcs

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Comparison of the kinds whose stored text isn't in order: bop_cmp(a, b, kind) gives -1, 0 or 1, and bop_sort_key(x) a
// value that SQLite sorts as PostgreSQL sorts x.

func init() {
	for _, op := range comparisons {
		for _, k := range []types.Kind{types.Interval, types.TimeTZ, types.Inet, types.JSONB, types.Record} {
			defineOp(pg, infix(op, k, k, types.Bool, "bop_cmp($1, $2, "+strconv.Itoa(int(k))+") "+op+" 0"))
		}
		defineOp(pg, infix(op, AnyArray, AnyArray, types.Bool, "bop_cmp($1, $2, "+strconv.Itoa(int(types.Array))+") "+op+" 0"))
	}
	sortKey := func(k types.Kind) *Signature {
		return &Signature{Name: "bop_sort_key", Args: []types.Kind{k}, Result: types.Bytes, SQL: "bop_sort_key($1, " + strconv.Itoa(int(k)) + ")"}
	}
	define(pg, sortKey(types.Interval), sortKey(types.TimeTZ), sortKey(types.Inet), sortKey(types.Cidr))

	implement(func(r *Registrar) {
		r.Pure("bop_cmp", 3, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			c, err := compare(valueOf(arg[0]), valueOf(arg[1]), types.Kind(arg[2].Int64()))
			if err != nil {
				fail(ctx, err)
				return
			}
			ctx.ResultInt(c)
		})
		r.Pure("bop_sort_key", 2, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			key, err := sortKeyOf(valueOf(arg[0]), types.Kind(arg[1].Int64()))
			if err != nil {
				fail(ctx, err)
				return
			}
			ctx.ResultBlob(key)
		})
	})
}

func compare(a, b types.Value, k types.Kind) (int, error) {
	if bytes.Equal(a.B, b.B) && a.Class == types.String && b.Class == types.String {
		return 0, nil
	}
	switch k {
	case types.Interval:
		x, err := storedSpan(a)
		if err != nil {
			return 0, err
		}
		y, err := storedSpan(b)
		if err != nil {
			return 0, err
		}
		return x.Cmp(y), nil
	case types.TimeTZ, types.Inet:
		x, err := sortKeyOf(a, k)
		if err != nil {
			return 0, err
		}
		y, err := sortKeyOf(b, k)
		if err != nil {
			return 0, err
		}
		return bytes.Compare(x, y), nil
	case types.JSONB:
		x, err := types.ParseJSON(a.B)
		if err != nil {
			return 0, err
		}
		y, err := types.ParseJSON(b.B)
		if err != nil {
			return 0, err
		}
		return x.Cmp(y), nil
	case types.Array:
		return compareArrays(a, b)
	}
	return bytes.Compare(a.B, b.B), nil
}

// compareArrays compares element by element; of two that begin alike the shorter is less. NULLs are largest.
func compareArrays(a, b types.Value) (int, error) {
	x, ok1 := types.ParseStoredArray(a.B, types.Unknown)
	y, ok2 := types.ParseStoredArray(b.B, types.Unknown)
	if !ok1 || !ok2 {
		return 0, sqlerr.New("22P02", "malformed array: %s", clip(a.B))
	}
	for i := range min(len(x.Elems), len(y.Elems)) {
		if c := compareElements(x.Elems[i], y.Elems[i]); c != 0 {
			return c, nil
		}
	}
	if c := len(x.Elems) - len(y.Elems); c != 0 {
		return sign(c), nil
	}
	if c := len(x.Dims) - len(y.Dims); c != 0 {
		return sign(c), nil
	}
	for i := range x.Dims {
		if c := x.Dims[i] - y.Dims[i]; c != 0 {
			return sign(c), nil
		}
	}
	return 0, nil
}

func compareElements(a, b types.Value) int {
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull():
		return 1
	case b.IsNull():
		return -1
	case a.Class == types.String && b.Class == types.String:
		// Numerics are strings of digits; text that looks like numbers on both sides is ordered by value only when it
		// is written differently, which canonical numerics are.
		return bytes.Compare(a.B, b.B)
	case a.Class == types.Int && b.Class == types.Int:
		switch {
		case a.I < b.I:
			return -1
		case a.I > b.I:
			return 1
		}
		return 0
	}
	x, y := floatValue(a), floatValue(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func sign(i int) int {
	switch {
	case i < 0:
		return -1
	case i > 0:
		return 1
	}
	return 0
}

// sortKeyOf returns bytes that sort as the value does.
func sortKeyOf(v types.Value, k types.Kind) ([]byte, error) {
	switch k {
	case types.Interval:
		s, err := storedSpan(v)
		if err != nil {
			return nil, err
		}
		days := int64(s.Months)*30 + int64(s.Days)
		us := s.Micros % types.MicrosPerDay
		days += s.Micros / types.MicrosPerDay
		if us < 0 {
			us += types.MicrosPerDay
			days--
		}
		key := binary.BigEndian.AppendUint64(nil, uint64(days)^1<<63)
		return binary.BigEndian.AppendUint64(key, uint64(us)), nil
	case types.TimeTZ:
		us, off, ok := types.ParseStoredTimeTZ(v.B)
		if !ok {
			return nil, badStored(types.T(k), v.B)
		}
		key := binary.BigEndian.AppendUint64(nil, uint64(us-int64(off)*types.MicrosPerSecond)^1<<63)
		// Of the same instant the zone further east comes first.
		return binary.BigEndian.AppendUint32(key, uint32(-off)^1<<31), nil
	}
	n, ok := types.ParseInet(v.B, k == types.Cidr)
	if !ok {
		return nil, badStored(types.T(types.Inet), v.B)
	}
	key := []byte{byte(n.Addr.BitLen())}
	p, err := n.Addr.Prefix(n.Bits)
	if err != nil {
		return nil, badStored(types.T(types.Inet), v.B)
	}
	key = append(key, p.Addr().AsSlice()...)
	key = append(key, byte(n.Bits))
	return append(key, n.Addr.AsSlice()...), nil
}
