package filedb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/engine"
)

// database is one file.
type database struct {
	name string
	path string
	o    *Options
	id   [16]byte // drawn each time the file is opened: it names what plans stand on, and they live no longer

	queue  queue
	cookie atomic.Uint32 // SQLite's schema cookie as last seen
	seen   atomic.Int64  // when, in nanoseconds of the clock
	slots  chan struct{} // one message for each connection that may be lent

	// mu guards what follows.
	mu    sync.Mutex
	idle  []*conn // the one that came back last is lent first: its page cache is warm
	ended error   // why it lends no more
	txid  uint64
	moved chan struct{} // closed when txid changes
}

var _ engine.Database = (*database)(nil)

func newDatabase(name, path string, o *Options) *database {
	d := &database{name: name, path: path, o: o, slots: make(chan struct{}, o.MaxConns), moved: make(chan struct{}),
		txid: uint64(time.Now().UnixMicro())}
	rand.Read(d.id[:])
	return d
}

// Name is the database's name.
func (d *database) Name() string { return d.name }

// Version tells what plans stand on. Changes by other processes are noticed within a second.
func (d *database) Version() engine.Version {
	return engine.Version{Database: d.id, Schema: d.cookie.Load()}
}

// Borrow lends a connection.
func (d *database) Borrow(ctx context.Context) (engine.Conn, error) {
	select {
	case d.slots <- struct{}{}:
	default:
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a connection to database %q: %w", d.name, context.Cause(ctx))
		}
	}
	c, err := d.take(ctx)
	if err != nil {
		<-d.slots
		return nil, err
	}
	return c, nil
}

func (d *database) take(ctx context.Context) (*conn, error) {
	d.mu.Lock()
	if d.ended != nil {
		d.mu.Unlock()
		return nil, d.ended
	}
	var c *conn
	if n := len(d.idle); n > 0 {
		c = d.idle[n-1]
		d.idle[n-1] = nil
		d.idle = d.idle[:n-1]
	}
	d.mu.Unlock()
	if c == nil {
		var err error
		if c, err = d.connect(ctx); err != nil {
			return nil, err
		}
	}
	c.SetContext(ctx)
	if time.Now().UnixNano()-d.seen.Load() > int64(time.Second) {
		if err := c.readCookie(); err != nil {
			c.raw.Close()
			return nil, fmt.Errorf("%w: reading database %q: %w", engine.ErrUnavailable, d.name, err)
		}
	}
	return c, nil
}

// connect opens another connection.
func (d *database) connect(ctx context.Context) (*conn, error) {
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		return nil, noDatabase(d.name)
	}
	path, err := filepath.Abs(d.path)
	if err != nil {
		return nil, fmt.Errorf("%w: opening database %q: %w", engine.ErrUnavailable, d.name, err)
	}
	// modeof gives the WAL the permissions of the file.
	uri := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"modeof": {path}, "mode": {"rw"}}.Encode()}
	raw, err := sqlite3.OpenContext(ctx, uri.String())
	if err != nil {
		return nil, fmt.Errorf("%w: opening database %q: %w", engine.ErrUnavailable, d.name, err)
	}
	c := &conn{db: d, raw: raw}
	if err := c.prepare(); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w: opening database %q: %w", engine.ErrUnavailable, d.name, err)
	}
	return c, nil
}

// giveBack takes a lent connection.
func (d *database) giveBack(c *conn, bad bool) {
	defer func() { <-d.slots }()
	if !bad {
		d.mu.Lock()
		if d.ended == nil && len(d.idle) < d.o.MaxIdle {
			d.idle = append(d.idle, c)
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
	}
	c.close()
}

// close ends lending.
func (d *database) close(why error) {
	d.mu.Lock()
	idle := d.idle
	d.idle, d.ended = nil, why
	d.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// committed numbers a commit.
func (d *database) committed() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.txid++
	close(d.moved)
	d.moved = make(chan struct{})
	return d.txid
}

// waitTXID waits until that transaction is committed.
func (d *database) waitTXID(ctx context.Context, txid uint64) error {
	for {
		d.mu.Lock()
		reached, moved := d.txid >= txid, d.moved
		d.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("waiting for transaction %d of database %q: %w", txid, d.name, context.Cause(ctx))
		}
	}
}
