package catalog

import (
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/schema"
)

// rowSet is a set of rows of a relation with indexes that are made when they are first asked for. A value is nil, an
// int64, a float64 or a string; truth values are 0 and 1.
type rowSet struct {
	rel  *relation
	rows [][]any

	mu      sync.Mutex
	indexes map[int]map[any][]int32
}

// lookup returns the rows whose column has the value, in order.
func (r *rowSet) lookup(column int, value any) []int32 { return r.index(column)[r.rel.key(value)] }

// distinct returns how many values a column has.
func (r *rowSet) distinct(column int) int { return len(r.index(column)) }

func (r *rowSet) index(column int) map[any][]int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x, ok := r.indexes[column]; ok {
		return x
	}
	x := make(map[any][]int32, len(r.rows))
	for i, row := range r.rows {
		if v := row[column]; v != nil {
			k := r.rel.key(v)
			x[k] = append(x[k], int32(i))
		}
	}
	if r.indexes == nil {
		r.indexes = map[int]map[any][]int32{}
	}
	r.indexes[column] = x
	return x
}

// key returns what a value is found by: MySQL compares the names in its catalogs without case.
func (r *relation) key(v any) any {
	if s, ok := v.(string); ok && r.folded {
		return strings.ToLower(s)
	}
	return v
}

// table is how fill functions add rows: by the names of columns. What isn't given is NULL, or nothing (0, "") where the
// column is never NULL.
type table struct {
	set *rowSet
}

// add adds a row of column names and values in turn.
func (t *table) add(pairs ...any) {
	rel := t.set.rel
	row := make([]any, len(rel.zero))
	copy(row, rel.zero)
	for i := 0; i+1 < len(pairs); i += 2 {
		n, ok := rel.index[pairs[i].(string)]
		if !ok {
			panic("catalog: relation " + rel.name + " has no column " + pairs[i].(string))
		}
		row[n] = value(pairs[i+1])
	}
	t.set.rows = append(t.set.rows, row)
}

// value brings what fill functions give into the forms that rows hold.
func value(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case int:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return int64(v)
	case byte:
		return string([]byte{v})
	}
	return v
}

// view is what fill functions read.
type view struct {
	src Source
	s   *schema.Schema
	db  conn
}

// memoKey is the key under which rows are kept with a schema snapshot.
type memoKey struct {
	rel      *relation
	database string
}

// sets returns the relation's rows as they are now.
func (r *relation) sets(v *view) []*rowSet {
	var out []*rowSet
	if r.static != nil {
		r.once.Do(func() {
			r.fixed = &rowSet{rel: r}
			r.static(&table{r.fixed})
		})
		out = append(out, r.fixed)
	}
	if r.logical != nil && v.s != nil {
		out = append(out, v.s.Memo(memoKey{rel: r}, func() any {
			set := &rowSet{rel: r}
			r.logical(&table{set}, v.s)
			return set
		}).(*rowSet))
	}
	if r.named != nil && v.s != nil {
		name := v.src.Database()
		out = append(out, v.s.Memo(memoKey{r, name}, func() any {
			set := &rowSet{rel: r}
			r.named(&table{set}, v.s, name)
			return set
		}).(*rowSet))
	}
	if r.live != nil {
		set := &rowSet{rel: r}
		r.live(&table{set}, v)
		out = append(out, set)
	}
	return out
}
