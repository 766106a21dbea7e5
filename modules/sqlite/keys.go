package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// A database's data keys, wrapped, are in its log, as transactions that change nothing else, and beside its page file, as
// of the newest checkpoint: docs/formats/pagefile.md has the bytes. So they travel with what they open.
const (
	keysName    = "keys"
	newKeysName = "keys.new"
	keysMagic   = "BOPDBKEY"
	keysHeader  = 8 + 16 + 8
	maxKeys     = 1 << 20

	// providerWait bounds what a key provider may take for one keyring.
	providerWait = time.Minute
)

// Errors about keys.
var (
	// ErrNoProvider: something is encrypted, and Options.Keys is nil.
	ErrNoProvider = crypt.ErrNoProvider
	// ErrNoKey: the key that something is encrypted by isn't there.
	ErrNoKey = crypt.ErrNoKey
	// ErrWrongKey: the wrapping key doesn't open the database's keys.
	ErrWrongKey = crypt.ErrWrongKey
)

// uses of a database's data keys for blocks.
const (
	usePages = crypt.Use("page")
	useImage = crypt.Use("image")
)

// blocksOf seals the page file of a database, nil if it is in the clear.
func blocksOf(k *crypt.Keyring, lineage uint64) *crypt.Blocks {
	if k == nil {
		return nil
	}
	return k.Blocks(usePages, lineage)
}

// openKeyring unwraps a database's keys.
func (h *Host) openKeyring(id pagefile.Identity, b []byte) (*crypt.Keyring, error) {
	ctx, cancel := context.WithTimeout(context.Background(), providerWait)
	defer cancel()
	return crypt.DecodeKeyring(ctx, h.o.Keys, id.Database, b)
}

// loadKeys reads the keys beside a page file, nil if there are none.
func (h *Host) loadKeys(dir string) (*crypt.Keyring, error) {
	name := filepath.Join(dir, keysName)
	b, err := readFile(h.o.FS, name, maxKeys)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) < keysHeader || string(b[:8]) != keysMagic {
		return nil, &DamageError{File: name, Reason: "it holds no keys"}
	}
	id := pagefile.Identity{Database: ID(b[8:24]), Lineage: binary.LittleEndian.Uint64(b[24:])}
	k, err := h.openKeyring(id, b[keysHeader:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// saveKeys writes the keys beside a page file: whole, or not at all.
func (h *Host) saveKeys(dir string, id pagefile.Identity, k *crypt.Keyring) error {
	b := append([]byte(keysMagic), id.Database[:]...)
	b = append(binary.LittleEndian.AppendUint64(b, id.Lineage), k.Encode()...)
	if err := h.o.FS.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	return writeFile(h.o.FS, dir, newKeysName, keysName, b)
}

// CheckKeys opens the keys of every database in a data folder, as Open does first of all: for those who touch the folder
// before they call Open. It changes nothing. A folder that isn't there is in order. Errors: ErrNoProvider, ErrNoKey,
// ErrWrongKey, ErrDamaged.
func CheckKeys(dir string, keys crypt.KeyProvider) error {
	h := &Host{o: Options{Dir: dir, FS: fsys.OS, Keys: keys}}
	return h.checkKeys()
}

// checkKeys opens the keys of every database before anything in the folder is changed.
func (h *Host) checkKeys() error {
	dir := filepath.Join(h.o.Dir, "db")
	names, err := h.o.FS.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", dir, err)
	}
	for _, name := range names {
		if _, err := strconv.ParseUint(name, 10, 64); err != nil {
			continue
		}
		if _, err := h.loadKeys(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// protect gives a database its first data key.
func (db *DB) protect(ctx context.Context) error {
	return db.changeKeys(ctx, func(old *crypt.Keyring) (*crypt.Keyring, error) {
		if old != nil {
			return nil, errKeysAsTheyWere
		}
		return crypt.NewKeyring(ctx, db.host.o.Keys, db.ID())
	})
}

// errKeysAsTheyWere ends a change of keys that has nothing to do.
var errKeysAsTheyWere = errors.New("the keys are as they should be")

// changeKeys commits another keyring.
func (db *DB) changeKeys(ctx context.Context, change func(old *crypt.Keyring) (*crypt.Keyring, error)) error {
	if db.host.o.Keys == nil {
		return ErrNoProvider
	}
	if db.refused != nil {
		return db.refused
	}
	err := db.current().CommitKeys(ctx, db.host.o.LockTimeout, change)
	if errors.Is(err, errKeysAsTheyWere) {
		return nil
	}
	return err
}

// keep puts the committed keyring beside the page file and lets the file be sealed by it. It is called by the owner, before
// what that keyring seals is written.
func (db *DB) keep() error {
	k := db.current().Keys()
	if k == nil || k == db.kept || drops(k, db.kept) {
		return nil
	}
	if err := db.host.saveKeys(db.dir, db.ident(), k); err != nil {
		return fmt.Errorf("keeping the keys of database %q: %w", db.Name(), err)
	}
	db.kept = k
	db.cold.keyed(k)
	if db.file != nil && db.file.Sealable() {
		db.file.Rekey(blocksOf(k, db.Lineage()))
		if db.owner != nil { // in the middle of a recovery there is none yet; it begins by itself
			db.beginReseal(db.owner)
		}
	}
	return nil
}

// Encrypted tells whether the database has data keys.
func (db *DB) Encrypted() bool { return db.current().Keys() != nil }

// readFile reads a whole small file.
func readFile(fs fsys.FS, name string, most int64) ([]byte, error) {
	f, err := fs.OpenFile(name, os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, &DamageError{File: name, Reason: fmt.Sprintf("it has %d bytes, at most %d are possible", size, most)}
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// writeFile replaces a small file durably.
func writeFile(fs fsys.FS, dir, temporary, name string, b []byte) error {
	tmp := filepath.Join(dir, temporary)
	f, err := fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", tmp, err)
	}
	if err := fs.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := fs.SyncDir(d); err != nil {
			return fmt.Errorf("syncing %s: %w", d, err)
		}
	}
	return nil
}
