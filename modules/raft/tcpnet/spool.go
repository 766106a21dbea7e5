package tcpnet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

// body names a snapshot.
type body struct {
	group raft.GroupID
	at    raft.Position
}

func (b body) file() string {
	return fmt.Sprintf("%016x-%016x-%016x.part", uint64(b.group), b.at.Index, b.at.Term)
}

// spool is a folder with what has come of snapshots' bodies. Nothing in it is synced: what a crash does to a file shows
// in its SHA-256, which is compared before the file is used.
type spool struct {
	dir  string
	own  bool // made by openSpool
	keep time.Duration

	mu      sync.Mutex
	active  map[body]*reception
	waiting int // calls of claim that wait for another reception's end
}

// reception is a snapshot that is being received.
type reception struct {
	link       *link
	installing bool          // guarded by spool.mu
	done       chan struct{} // closed at its end
	err        error         // of the installation; set before done is closed
	installed  bool          // the same
}

func openSpool(dir string, keep time.Duration) (*spool, error) {
	s := &spool{dir: dir, keep: keep, active: map[body]*reception{}}
	var err error
	if dir == "" {
		s.own = true
		s.dir, err = os.MkdirTemp("", "bop-raft-snapshots-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	return s, err
}

func (s *spool) close() error {
	if !s.own {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// claim makes a link the one on which a snapshot comes. An older one that is still receiving is cut off; if it is being
// installed already, claim waits and returns what came of it.
func (s *spool) claim(b body, l *link) (r *reception, earlier *reception) {
	for {
		s.mu.Lock()
		old := s.active[b]
		if old == nil {
			r = &reception{link: l, done: make(chan struct{})}
			s.active[b] = r
			s.mu.Unlock()
			return r, nil
		}
		installing := old.installing
		s.waiting++
		s.mu.Unlock()
		if !installing {
			old.link.close()
		}
		<-old.done
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
		if old.installed {
			return nil, old
		}
	}
}

// installs notes that the body is complete: nobody may cut it off any more.
func (s *spool) installs(r *reception) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.installing = true
}

func (s *spool) release(b body, r *reception) {
	s.mu.Lock()
	delete(s.active, b)
	s.mu.Unlock()
	close(r.done)
}

// sweep removes what nobody will go on with: other snapshots of the group, and files that are old.
func (s *spool) sweep(b body) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	busy := map[string]bool{b.file(): true}
	for other := range s.active {
		busy[other.file()] = true
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		name := f.Name()
		if busy[name] || filepath.Ext(name) != ".part" {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && (len(name) == len(b.file()) && name[:16] == b.file()[:16] || time.Since(info.ModTime()) > s.keep) {
			err = os.Remove(filepath.Join(s.dir, name))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// partial is a body's file and the hash of what is in it.
type partial struct {
	f    *os.File
	size int64
	sum  hash.Hash
}

// open returns what there is of a body.
func (s *spool) open(b body) (*partial, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, b.file()), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	p := &partial{f: f, sum: sha256.New()}
	if p.size, err = io.Copy(p.sum, f); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *partial) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	return n, err
}

// restart throws away what there is.
func (p *partial) restart() error {
	p.size = 0
	p.sum.Reset()
	_, err := p.f.Seek(0, io.SeekStart)
	return errors.Join(err, p.f.Truncate(0))
}

func (s *spool) remove(b body) error { return os.Remove(filepath.Join(s.dir, b.file())) }
