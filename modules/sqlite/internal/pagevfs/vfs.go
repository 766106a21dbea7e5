package pagevfs

import (
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// VFS gives SQLite the databases that Open knows, and temporary files.
type VFS struct {
	// Main opens a database by the name that SQLite was given.
	Main func(name string) (*File, error)
	// Temp is where temporary files go when they outgrow TempMemory.
	Temp pagestore.Temp
	// TempMemory is how many bytes of a temporary file or journal are kept in memory.
	TempMemory int64
}

// ErrHostFile: a statement names a file of the host, or wants to write to two databases.
var ErrHostFile = errors.New("files of the host can't be opened from SQL")

// Open implements vfs.VFS.
func (v *VFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	const private = vfs.OPEN_MAIN_JOURNAL | vfs.OPEN_TEMP_DB | vfs.OPEN_TRANSIENT_DB | vfs.OPEN_TEMP_JOURNAL | vfs.OPEN_SUBJOURNAL
	switch {
	case flags&vfs.OPEN_SUPER_JOURNAL != 0:
		return nil, flags, vfs.SystemError(errors.New("a transaction can't write to two databases"), sqlite3.CANTOPEN)
	case name == "" || flags&private != 0:
		// Nobody else ever opens a journal: what it protects against, a crash in the middle of a commit, can't happen
		// to pages that nobody sees before the commit.
		return &tempFile{temp: v.Temp, limit: v.TempMemory}, flags, nil
	case flags&vfs.OPEN_MAIN_DB == 0:
		return nil, flags, vfs.SystemError(fmt.Errorf("%w: %q", ErrHostFile, name), sqlite3.CANTOPEN)
	}
	f, err := v.Main(name)
	if err != nil {
		return nil, flags, vfs.SystemError(err, sqlite3.CANTOPEN)
	}
	if f.ReadOnly {
		flags = flags&^vfs.OPEN_READWRITE | vfs.OPEN_READONLY
	}
	return f, flags, nil
}

// Delete implements vfs.VFS: journals vanish with their handle.
func (v *VFS) Delete(string, bool) error { return nil }

// Access implements vfs.VFS: there is never a journal to roll back.
func (v *VFS) Access(string, vfs.AccessFlag) (bool, error) { return false, nil }

// FullPathname implements vfs.VFS: names are names.
func (v *VFS) FullPathname(name string) (string, error) { return name, nil }
