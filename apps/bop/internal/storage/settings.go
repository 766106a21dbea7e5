package storage

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/engine"
)

// settingsSpace is where the system database has the databases' settings: a JSON object of strings for each that has
// some, by the database's id. So a database keeps them when it is renamed, and another one of its name doesn't get them.
const settingsSpace = "settings"

// Settings are what databases say that variables are for their sessions.
type Settings struct {
	mirror[kept]            // by id
	changing     sync.Mutex // one change after the other, and no change of a database that is being dropped
}

// kept are the settings of one database. One that can't be read keeps nobody from the others.
type kept struct {
	own map[string]string
	err error
}

// NewSettings returns the settings of a host's databases.
func NewSettings(h *sqlite.Host) *Settings {
	return &Settings{mirror: mirror[kept]{host: h, space: settingsSpace, decode: func(id string, text []byte) (k kept, ok bool) {
		if err := json.Unmarshal(text, &k.own); err != nil {
			k = kept{err: fmt.Errorf("the settings of database %s can't be read: %w", id, err)}
		}
		return k, true
	}}}
}

// of are a database's. The map isn't changed.
func (s *Settings) of(ctx context.Context, id string) (map[string]string, error) {
	all, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	k := all[id]
	return k.own, k.err
}

// keep keeps a database's. changing is held.
func (s *Settings) keep(ctx context.Context, id string, own map[string]string) error {
	if len(own) == 0 {
		return s.put(ctx, id, nil)
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	return s.put(ctx, id, text)
}

func settingsKey(db *sqlite.DB) string {
	id := db.ID()
	return hex.EncodeToString(id[:])
}

var _ engine.Configured = Engine{}

// Settings are a database's.
func (e Engine) Settings(ctx context.Context, database string) (map[string]string, error) {
	db, err := e.Host.DB(database)
	if err != nil {
		return nil, translate(err)
	}
	own, err := e.settings().of(ctx, settingsKey(db))
	return own, translate(err)
}

// ChangeSettings changes a database's.
func (e Engine) ChangeSettings(ctx context.Context, database string, change func(map[string]string)) error {
	s := e.settings()
	s.changing.Lock()
	defer s.changing.Unlock()
	db, err := e.Host.DB(database)
	if err != nil {
		return translate(err)
	}
	// A server that begins to lead has everything that was changed before; one that follows may not.
	if err := e.Host.Writable(); err != nil {
		return translate(err)
	}
	s.Changed()
	own, err := s.of(ctx, settingsKey(db))
	if err != nil {
		return translate(err)
	}
	if own = maps.Clone(own); own == nil {
		own = map[string]string{}
	}
	change(own)
	return translate(s.keep(ctx, settingsKey(db), own))
}

// DropDatabase removes a database, and what is kept of it.
func (e Engine) DropDatabase(ctx context.Context, name string) error {
	s := e.settings()
	s.changing.Lock()
	defer s.changing.Unlock()
	db, err := e.Host.DB(name)
	if err != nil {
		return translate(err)
	}
	if err := e.Host.Drop(ctx, name); err != nil {
		return translate(err)
	}
	own, err := s.of(ctx, settingsKey(db))
	if err == nil && len(own) == 0 {
		return nil
	}
	if err := s.put(ctx, settingsKey(db), nil); err != nil {
		return translate(fmt.Errorf("database %q is dropped, what is left are its settings, which no other gets: %w", name, err))
	}
	return nil
}

func (e Engine) settings() *Settings {
	if e.Kept != nil {
		return e.Kept
	}
	return NewSettings(e.Host)
}
