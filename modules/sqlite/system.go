package sqlite

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// The system database keeps small things for the program that runs the host, beside the registry: who the servers are,
// and the like. They are replicated like everything else.
const entriesSchema = `
CREATE TABLE IF NOT EXISTS entries (
	space TEXT NOT NULL,
	key   TEXT NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID`

// System is the system database. It is an ordinary database that no list shows.
func (h *Host) System() *DB { return h.registry }

// Put keeps a value of the program's in the system database. nil removes it. On a server that doesn't lead:
// ErrNotLeader.
func (h *Host) Put(ctx context.Context, space, key string, value []byte) error {
	h.ddl.Lock()
	defer h.ddl.Unlock()
	err := h.transact(ctx, func(c *sqlite3.Conn) error {
		if err := c.Exec(entriesSchema); err != nil {
			return err
		}
		if value == nil {
			return query(c, `DELETE FROM entries WHERE space = ? AND key = ?`, nil, space, key)
		}
		return query(c, `INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value`, nil, space, key, value)
	})
	if err != nil {
		return fmt.Errorf("keeping %s %q in the system database: %w", space, key, err)
	}
	return nil
}

// Entries returns the values that Put has kept in a space, as this server knows them.
func (h *Host) Entries(ctx context.Context, space string) (map[string][]byte, error) {
	found := map[string][]byte{}
	if h.registry.current().Heads().Committed.TXID == 0 {
		return found, nil
	}
	err := h.inspect(ctx, func(c *sqlite3.Conn) error {
		there := false
		if err := query(c, `SELECT 1 FROM sqlite_schema WHERE name = 'entries'`, func(*sqlite3.Stmt) error {
			there = true
			return nil
		}); err != nil || !there {
			return err
		}
		return query(c, `SELECT key, value FROM entries WHERE space = ?`, func(s *sqlite3.Stmt) error {
			found[s.ColumnText(0)] = append([]byte{}, s.ColumnRawBlob(1)...)
			return nil
		}, space)
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s from the system database: %w", space, err)
	}
	return found, nil
}
