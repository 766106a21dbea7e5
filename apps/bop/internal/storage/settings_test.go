package storage

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/engine"
)

// set gives a database a setting.
func set(t *testing.T, e Engine, database, name, value string) {
	t.Helper()
	if err := e.ChangeSettings(t.Context(), database, func(own map[string]string) { own[name] = value }); err != nil {
		t.Fatal(err)
	}
}

// has checks a database's settings.
func has(t *testing.T, e Engine, database string, want map[string]string) {
	t.Helper()
	got, err := e.Settings(t.Context(), database)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%s has %v, %v; want %v", database, got, err, want)
	}
}

// entries counts what the system database has of settings.
func entries(t *testing.T, h *sqlite.Host) int {
	t.Helper()
	all, err := h.Entries(t.Context(), settingsSpace)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestSettingsAreADatabasesOwn(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	t.Cleanup(func() { h.Close(context.Background()) }) // the one that is open then
	e := Engine{Host: h, Kept: NewSettings(h)}
	for _, name := range []string{"shop", "other"} {
		if err := e.CreateDatabase(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	local := map[string]string{"bop.durability": "local"}
	set(t, e, "shop", "bop.durability", "local")
	t.Run("others have none of them", func(t *testing.T) {
		has(t, e, "shop", local)
		has(t, e, "other", nil)
	})
	t.Run("it takes them along when it is renamed, and nobody gets them with the old name", func(t *testing.T) {
		if err := h.Rename(t.Context(), "shop", "store"); err != nil {
			t.Fatal(err)
		}
		if err := e.CreateDatabase(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		has(t, e, "store", local)
		has(t, e, "shop", nil)
	})
	t.Run("they are there after reopening", func(t *testing.T) {
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		h = open(t, dir)
		e = Engine{Host: h, Kept: NewSettings(h)}
		has(t, e, "store", local)
	})
	t.Run("an unknown database has none to change", func(t *testing.T) {
		err := e.ChangeSettings(t.Context(), "nowhere", func(map[string]string) { t.Error("changed") })
		if !errors.Is(err, engine.ErrNoDatabase) {
			t.Error(err)
		}
		if _, err := e.Settings(t.Context(), "nowhere"); !errors.Is(err, engine.ErrNoDatabase) {
			t.Error(err)
		}
	})
	t.Run("those that are taken back leave nothing", func(t *testing.T) {
		set(t, e, "other", "timezone", "UTC")
		if n := entries(t, h); n != 2 {
			t.Errorf("%d entries", n)
		}
		if err := e.ChangeSettings(t.Context(), "other", func(own map[string]string) { clear(own) }); err != nil {
			t.Fatal(err)
		}
		if n := entries(t, h); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
	t.Run("they go with their database", func(t *testing.T) {
		if err := e.DropDatabase(t.Context(), "store"); err != nil {
			t.Fatal(err)
		}
		if n := entries(t, h); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		if err := e.CreateDatabase(t.Context(), "store"); err != nil {
			t.Fatal(err)
		}
		has(t, e, "store", nil)
	})
}

func TestSettingsAreReadAgainWhenTheSystemDatabaseHasChanged(t *testing.T) {
	h := open(t, t.TempDir())
	t.Cleanup(func() { h.Close(context.Background()) })
	here, elsewhere := Engine{Host: h, Kept: NewSettings(h)}, Engine{Host: h}
	if err := here.CreateDatabase(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	has(t, here, "db", nil)
	set(t, elsewhere, "db", "bop.durability", "async")
	has(t, here, "db", nil) // nobody has told it, so it asks nobody
	here.Kept.Changed()
	has(t, here, "db", map[string]string{"bop.durability": "async"})
	set(t, elsewhere, "db", "timezone", "UTC")
	set(t, here, "db", "my.own", "x") // a change stands on what is stored, not on what was read before
	has(t, elsewhere, "db", map[string]string{"bop.durability": "async", "timezone": "UTC", "my.own": "x"})
}

func TestTellingOfAChangeDoesNotWaitForWhoReads(t *testing.T) {
	s := NewSettings(nil)
	s.mu.Lock() // as who reads does
	defer s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.Changed()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}

func TestSettingsThatCannotBeReadKeepNobodyFromOtherDatabases(t *testing.T) {
	h := open(t, t.TempDir())
	t.Cleanup(func() { h.Close(context.Background()) })
	e := Engine{Host: h, Kept: NewSettings(h)}
	for _, name := range []string{"db", "other"} {
		if err := e.CreateDatabase(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	set(t, e, "other", "timezone", "UTC")
	db, err := h.DB("db")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Put(t.Context(), settingsSpace, settingsKey(db), []byte("{")); err != nil {
		t.Fatal(err)
	}
	e.Kept.Changed()
	has(t, e, "other", map[string]string{"timezone": "UTC"})
	if _, err := e.Settings(t.Context(), "db"); err == nil || !strings.Contains(err.Error(), settingsKey(db)) {
		t.Error(err)
	}
	if err := e.DropDatabase(t.Context(), "db"); err != nil {
		t.Error(err)
	}
	if n := entries(t, h); n != 1 {
		t.Errorf("%d entries", n)
	}
}
