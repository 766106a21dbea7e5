package filedb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/wire/engine"
)

// ErrSingleFile: an Engine over one file has no other databases.
var ErrSingleFile = errors.New("the engine serves a single file")

// Options adjust an Engine. The zero value is good.
type Options struct {
	// LockTimeout is how long a transaction waits for the writer's place. Default 30 s; a negative one doesn't wait.
	LockTimeout time.Duration
	// MaxConns is how many connections to one database are open at most; more have to wait. Default 256.
	MaxConns int
	// MaxIdle is how many of them stay open while nobody uses them. Default 8.
	MaxIdle int
	// CheckpointPages is the length of the WAL from which a commit moves it into the file. Default 1000.
	CheckpointPages int
}

// Engine is a set of SQLite files.
type Engine struct {
	o      Options
	dir    string
	single string // name of the only database; "": every file of the folder is one

	mu     sync.Mutex
	open   map[string]*database
	closed bool
}

var _ engine.Engine = (*Engine)(nil)

// suffix of the files in a folder.
const suffix = ".db"

// Open opens a folder, which is made if it isn't there, or a single SQLite file, if path names one or ends in ".db",
// ".sqlite" or ".sqlite3". The database in a single file has the file's name without that ending.
func Open(path string, o Options) (*Engine, error) {
	if o.LockTimeout == 0 {
		o.LockTimeout = 30 * time.Second
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 256
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = 8
	}
	if o.CheckpointPages <= 0 {
		o.CheckpointPages = 1000
	}
	e := &Engine{o: o, dir: path, open: map[string]*database{}}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return e, nil
	case err == nil, isFileName(path):
		if err != nil {
			if err := touch(path); err != nil {
				return nil, fmt.Errorf("creating a database file: %w", err)
			}
		}
		e.single = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		e.open[e.single] = newDatabase(e.single, path, &e.o)
		return e, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("opening a folder of databases: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("creating a folder of databases: %w", err)
	}
	return e, nil
}

func isFileName(path string) bool {
	return slices.Contains([]string{suffix, ".sqlite", ".sqlite3"}, filepath.Ext(path))
}

// touch makes an empty file, which to SQLite is an empty database.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Databases lists the names in order.
func (e *Engine) Databases(context.Context) ([]string, error) {
	if e.single != "" {
		return []string{e.single}, nil
	}
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return nil, fmt.Errorf("listing databases: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := nameOf(entry.Name()); ok && entry.Type().IsRegular() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Database returns the database of that name.
func (e *Engine) Database(_ context.Context, name string) (engine.Database, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("%w: the engine is closed", engine.ErrUnavailable)
	}
	if d := e.open[name]; d != nil {
		return d, nil
	}
	if e.single != "" {
		return nil, noDatabase(name)
	}
	path, err := e.path(name)
	if err != nil {
		return nil, noDatabase(name)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, noDatabase(name)
	} else if err != nil {
		return nil, fmt.Errorf("%w: opening database %q: %w", engine.ErrUnavailable, name, err)
	}
	d := newDatabase(name, path, &e.o)
	e.open[name] = d
	return d, nil
}

func noDatabase(name string) error { return fmt.Errorf("%w: %q", engine.ErrNoDatabase, name) }

// CreateDatabase makes an empty database. ErrSingleFile where there can be no other.
func (e *Engine) CreateDatabase(_ context.Context, name string) error {
	if e.single != "" {
		return fmt.Errorf("creating database %q: %w", name, ErrSingleFile)
	}
	path, err := e.path(name)
	if err != nil {
		return fmt.Errorf("creating database %q: %w", name, err)
	}
	switch err := touch(path); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %q", engine.ErrDatabaseExists, name)
	case err != nil:
		return fmt.Errorf("creating database %q: %w", name, err)
	}
	return syncDir(e.dir)
}

// DropDatabase removes a database with its file. Connections that are lent stay usable until they are given back; what
// they commit is gone with the file.
func (e *Engine) DropDatabase(_ context.Context, name string) error {
	if e.single != "" {
		return fmt.Errorf("dropping database %q: %w", name, ErrSingleFile)
	}
	path, err := e.path(name)
	if err != nil {
		return noDatabase(name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.open[name]; d != nil {
		d.close(noDatabase(name))
		delete(e.open, name)
	}
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return noDatabase(name)
	case err != nil:
		return fmt.Errorf("dropping database %q: %w", name, err)
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dropping database %q: %w", name, err)
		}
	}
	return syncDir(e.dir)
}

// Writable is always true.
func (e *Engine) Writable() (bool, string) { return true, "" }

// Close closes the connections that nobody uses; the others follow as they are given back.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, d := range e.open {
		d.close(fmt.Errorf("%w: the engine is closed", engine.ErrUnavailable))
	}
	return nil
}

// syncDir makes a change of the folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing the folder of databases: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing the folder of databases: %w", err)
	}
	return nil
}

// path is the file of a database.
func (e *Engine) path(name string) (string, error) {
	file, err := fileName(name)
	if err != nil {
		return "", err
	}
	return filepath.Join(e.dir, file), nil
}
