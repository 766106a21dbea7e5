package main

import (
	"fmt"
	"slices"
	"sync"
)

// outcome is what a client knows of what it asked for.
type outcome uint8

const (
	acknowledged outcome = iota
	refused              // it certainly did not happen
	unknown              // it may have happened, or may yet
)

func (o outcome) String() string { return [...]string{"ok", "refused", "unknown"}[o] }

// book is what the clients know of the rows they inserted, by their unique ids.
type book struct {
	mu   sync.Mutex
	rows map[int64]outcome
}

// enter records how an insert ended.
func (b *book) enter(id int64, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rows == nil {
		b.rows = map[int64]outcome{}
	}
	b.rows[id] = o
}

// audit is how a database differs from a book.
type audit struct {
	Lost       []int64 `json:"lost"`       // acknowledged, and not there
	Duplicates []int64 `json:"duplicates"` // there more than once
	Refused    []int64 `json:"refused"`    // said not to be committed, and there
	Strange    []int64 `json:"strange"`    // there, and nobody inserted them
}

// audit holds the ids of a database, in any order, against the book.
func (b *book) audit(ids []int64) audit {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := make(map[int64]int, len(ids))
	for _, id := range ids {
		count[id]++
	}
	var a audit
	for id, n := range count {
		o, ok := b.rows[id]
		switch {
		case !ok:
			a.Strange = append(a.Strange, id)
		case o == refused:
			a.Refused = append(a.Refused, id)
		}
		if n > 1 {
			a.Duplicates = append(a.Duplicates, id)
		}
	}
	for id, o := range b.rows {
		if o == acknowledged && count[id] == 0 {
			a.Lost = append(a.Lost, id)
		}
	}
	for _, l := range [][]int64{a.Lost, a.Duplicates, a.Refused, a.Strange} {
		slices.Sort(l)
	}
	return a
}

// err says what is wrong, nil nothing.
func (a audit) err() error {
	if len(a.Lost)+len(a.Duplicates)+len(a.Refused)+len(a.Strange) == 0 {
		return nil
	}
	few := func(ids []int64) string {
		if len(ids) > 5 {
			return fmt.Sprintf("%d, of which the first are %d", len(ids), ids[:5])
		}
		return fmt.Sprintf("%d %d", len(ids), ids)
	}
	return fmt.Errorf("inserts: acknowledged and lost %s; there more than once %s; refused and there %s; never asked for and there %s",
		few(a.Lost), few(a.Duplicates), few(a.Refused), few(a.Strange))
}
