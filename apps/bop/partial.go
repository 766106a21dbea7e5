package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

const (
	partialFormat = 1
	// syncEvery is how much of a file may come again after the machine has failed.
	syncEvery = 64 << 20
)

// partial is the file of a restore that may have broken off: FILE.part has its first bytes, and FILE.part.json says of
// which version they are and how many are on disk. FILE appears when it is whole and its checksum came out.
type partial struct {
	name  string
	f     *os.File
	known partialState // as FILE.part.json has it
	v     admin.Version
	from  int64 // where this try began
	at    int64
}

type partialState struct {
	Format   int    `json:"format"`
	Database string `json:"database"`
	TXID     uint64 `json:"txid"`
	Version  string `json:"version"`
	Bytes    int64  `json:"bytes"`
}

func (p *partial) part() string  { return p.name + ".part" }
func (p *partial) state() string { return p.name + ".part.json" }

// openPartial begins the restore of a database to a file, or goes on with one that broke off.
func openPartial(name, database string, force, restart bool) (_ *partial, err error) {
	if _, err := os.Stat(name); err == nil && !force {
		return nil, fmt.Errorf("%s is there already: choose another name or give --force", name)
	}
	p := &partial{name: name}
	if p.f, err = os.OpenFile(p.part(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.f.Close())
		}
	}()
	text, err := os.ReadFile(p.state())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	st, err := p.f.Stat()
	if err != nil {
		return nil, err
	}
	var s partialState
	if json.Unmarshal(text, &s) == nil && s.Format == partialFormat && s.Database == database && s.Bytes > 0 && s.Bytes <= st.Size() && !restart {
		p.known = s
	}
	return p, nil
}

// begun is what there is.
func (p *partial) begun() admin.Begun {
	return admin.Begun{Version: p.known.Version, Bytes: p.known.Bytes}
}

// found is told which version comes, and from which byte on.
func (p *partial) found(database string, v admin.Version, from int64) error {
	p.v, p.from, p.at = v, from, from
	if err := p.f.Truncate(from); err != nil {
		return err
	}
	p.known = partialState{partialFormat, database, v.TXID, v.ID(), from}
	return p.note()
}

func (p *partial) Write(b []byte) (int, error) {
	n, err := p.f.WriteAt(b, p.at)
	p.at += int64(n)
	if err == nil && p.at-p.known.Bytes >= syncEvery {
		err = p.sync()
	}
	return n, err
}

// sync makes what came durable, and then notes how much that is.
func (p *partial) sync() error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	p.known.Bytes = p.at
	return p.note()
}

func (p *partial) note() error {
	text, err := json.Marshal(p.known)
	if err != nil {
		return err
	}
	return newFile(p.state(), true, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

// end gives the file its name, if failed is nil, or leaves what there is for the next try.
func (p *partial) end(failed error) error {
	if failed != nil {
		err := errors.Join(failed, p.leave())
		if p.at == 0 {
			return err
		}
		return fmt.Errorf("%w; %s of it are in %s: the same command goes on from there, with --restart from the beginning", err, size(p.at), p.part())
	}
	err := backup.Check(io.NewSectionReader(p.f, 0, p.at), p.v.PageSize, p.v.Checksum)
	if err == nil && p.at != p.v.Bytes {
		err = fmt.Errorf("%d of %d bytes came", p.at, p.v.Bytes)
	}
	if err != nil {
		p.at, p.known.Bytes = 0, 0
		return fmt.Errorf("what came to %s isn't the database: %w; give the command again", p.part(), errors.Join(err, p.leave()))
	}
	if err := errors.Join(p.f.Sync(), p.f.Close()); err != nil {
		return err
	}
	if err := os.Rename(p.part(), p.name); err != nil {
		return err
	}
	if err := os.Remove(p.state()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(p.name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// leave closes the files; those without a byte go.
func (p *partial) leave() error {
	if p.at == 0 && p.known.Bytes == 0 {
		return errors.Join(p.f.Close(), os.Remove(p.part()), removeIfThere(p.state()))
	}
	if p.v.Bytes == 0 { // nothing was found, so what an earlier try left is as it was
		return p.f.Close()
	}
	return errors.Join(p.sync(), p.f.Close())
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
