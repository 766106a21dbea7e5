package catalog

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() { pgFill("pg_catalog", "pg_proc", fill{static: procs}) }

// ownProcOID begins the OIDs of functions that PostgreSQL 15 doesn't have.
const ownProcOID = 9000

// pseudoTypes are the OIDs of what signatures have in place of types.
var pseudoTypes = map[types.Kind]uint32{funcs.Any: 2276, funcs.AnyElem: 2283, funcs.AnyArray: 2277, funcs.Same: 2283}

// known returns the functions that clients can call: those of the registered signatures, under the OIDs of the recorded
// ones with the same name and number of arguments, and the input and output functions of types.
var known = sync.OnceValue(func() *procedures {
	out := &procedures{byOID: map[uint32]*procedure{}, byName: map[string][]*procedure{}}
	recorded := recordedProcs()
	names := funcs.Names(ir.Postgres)
	var order []string
	for name := range names {
		order = append(order, name)
	}
	slices.Sort(order)
	next := uint32(ownProcOID)
	for _, name := range order {
		if !strings.HasPrefix(name, "bop_") && len(recorded.byName[name]) > 0 {
			for _, p := range recorded.byName[name] {
				out.add(p)
			}
			continue
		}
		for _, sig := range names[name] {
			if strings.HasPrefix(name, "bop_") {
				continue
			}
			p := &procedure{oid: next, name: name, kind: "f", volatile: "i", result: signatureType(sig.Result), set: sig.Form == funcs.SetReturning,
				strict: !sig.KeepNull, defaults: sig.Optional}
			if sig.Form == funcs.Aggregate {
				p.kind = "a"
			}
			if sig.Volatile {
				p.volatile = "v"
			}
			for _, k := range sig.Args {
				p.args = append(p.args, signatureType(k))
			}
			if sig.Variadic && len(p.args) > 0 {
				p.variadic = p.args[len(p.args)-1]
			}
			next++
			out.add(p)
		}
	}
	for i := range types.Builtins() {
		b := &types.Builtins()[i]
		for _, name := range []string{b.Input, b.Output, b.Receive, b.Send, b.ModIn, b.ModOut, b.Subscript} {
			for _, p := range recorded.byName[name] {
				if out.byOID[p.oid] == nil {
					out.add(p)
				}
			}
		}
	}
	slices.SortFunc(out.list, func(a, b *procedure) int { return cmp.Compare(a.oid, b.oid) })
	return out
})

func signatureType(k types.Kind) uint32 {
	if oid, ok := pseudoTypes[k]; ok {
		return oid
	}
	return types.T(k).PGOID()
}

func procs(t *table) {
	for _, p := range known().list {
		rows, variadic := 0.0, p.variadic
		if p.set {
			rows = 1000
		}
		args := make([]string, len(p.args))
		for i, a := range p.args {
			args[i] = strconv.FormatUint(uint64(a), 10)
		}
		t.add("oid", p.oid, "proname", p.name, "pronamespace", oidCatalog, "proowner", oidOwner, "prolang", 12, "procost", 1.0,
			"prorows", rows, "provariadic", variadic, "prokind", p.kind, "proisstrict", p.strict, "proretset", p.set,
			"provolatile", p.volatile, "proparallel", "s", "pronargs", len(p.args), "pronargdefaults", p.defaults,
			"prorettype", p.result, "proargtypes", strings.Join(args, " "), "prosrc", p.name)
	}
}
