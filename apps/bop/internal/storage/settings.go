package storage

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/engine"
)

// settingsSpace is where the system database has the databases' settings: a JSON object of strings for each that has
// some, by the database's id. So a database keeps them when it is renamed, and another one of its name doesn't get them.
const settingsSpace = "settings"

// Settings are what databases say that variables are for their sessions.
type Settings struct {
	host *sqlite.Host

	changing sync.Mutex // one change after the other

	mu  sync.Mutex
	all map[string]map[string]string // by id; nil: to be read
}

// NewSettings returns the settings of a host's databases.
func NewSettings(h *sqlite.Host) *Settings { return &Settings{host: h} }

// Changed is to be called when the system database has changed.
func (s *Settings) Changed() {
	s.mu.Lock()
	s.all = nil
	s.mu.Unlock()
}

// of are a database's. The map isn't changed.
func (s *Settings) of(ctx context.Context, id string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all != nil {
		return s.all[id], nil
	}
	entries, err := s.host.Entries(ctx, settingsSpace)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for id, text := range entries {
		own := map[string]string{}
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, fmt.Errorf("the settings of database %s can't be read: %w", id, err)
		}
		all[id] = own
	}
	s.all = all
	return all[id], nil
}

// change lets change have a database's.
func (s *Settings) change(ctx context.Context, id string, change func(map[string]string)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.Changed()
	old, err := s.of(ctx, id)
	if err != nil {
		return err
	}
	own := map[string]string{}
	for name, value := range old {
		own[name] = value
	}
	change(own)
	defer s.Changed()
	if len(own) == 0 {
		return s.host.Put(ctx, settingsSpace, id, nil)
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	return s.host.Put(ctx, settingsSpace, id, text)
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
	db, err := e.Host.DB(database)
	if err != nil {
		return translate(err)
	}
	return translate(e.settings().change(ctx, settingsKey(db), change))
}

func (e Engine) settings() *Settings {
	if e.Kept != nil {
		return e.Kept
	}
	return NewSettings(e.Host)
}
