package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	tidwall "github.com/tidwall/wal"
	etcdwal "go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/bop-platform/bop/modules/aof"
)

// library is a log as all of them can be used: batches go in and are on disk when append returns.
type library interface {
	append(recs [][]byte) error
	// trim lets go of what was appended, but for the end, as the owner of a long-lived log would.
	trim() error
	close() error
}

// kind is a way to open one. A log that is there can be appended to when open returns.
type kind struct {
	name string
	open func(dir string) (library, error)
}

// kinds are the log of this repository and its peers, each with its own defaults. All sync before they answer.
var kinds = []kind{
	{"aof", openAOF},
	{"tidwall/wal 1.2.1", openTidwall},
	{"etcd wal 3.7.3", openEtcd},
	{"raft-wal 0.4.2", openRaftWAL},
}

type aofLog struct{ *aof.Log }

func openAOF(dir string) (library, error) {
	l, err := aof.Open(dir, aof.Options{Logger: slog.New(slog.DiscardHandler)})
	return aofLog{l}, err
}

func (l aofLog) append(recs [][]byte) error {
	_, err := l.AppendBatch(context.Background(), recs, aof.Fsync)
	return err
}
func (l aofLog) trim() error  { return l.TruncateBefore(l.Durable()) }
func (l aofLog) close() error { return l.Close() }

type tidwallLog struct {
	*tidwall.Log
	last  uint64
	batch tidwall.Batch
}

func openTidwall(dir string) (library, error) {
	l, err := tidwall.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	last, err := l.LastIndex()
	return &tidwallLog{Log: l, last: last}, err
}

func (l *tidwallLog) append(recs [][]byte) error {
	if len(recs) == 1 {
		l.last++
		return l.Write(l.last, recs[0])
	}
	l.batch.Clear()
	for _, r := range recs {
		l.last++
		l.batch.Write(l.last, r)
	}
	return l.WriteBatch(&l.batch)
}
func (l *tidwallLog) trim() error  { return l.TruncateFront(l.last) }
func (l *tidwallLog) close() error { return l.Close() }

type etcdLog struct {
	*etcdwal.WAL
	dir     string
	last    uint64
	entries []*raftpb.Entry
}

// openEtcd has to read a log that is there, which nothing can be appended to before.
func openEtcd(dir string) (library, error) {
	if !etcdwal.Exist(dir) {
		w, err := etcdwal.Create(zap.NewNop(), dir, nil)
		return &etcdLog{WAL: w, dir: dir}, err
	}
	w, err := etcdwal.Open(zap.NewNop(), dir, &walpb.Snapshot{})
	if err != nil {
		return nil, err
	}
	_, _, entries, err := w.ReadAll()
	return &etcdLog{WAL: w, dir: dir, last: uint64(len(entries))}, err
}

func (l *etcdLog) append(recs [][]byte) error {
	for len(l.entries) < len(recs) {
		l.entries = append(l.entries, &raftpb.Entry{Term: new(uint64(1)), Index: new(uint64(0))})
	}
	for i, r := range recs {
		l.last++
		*l.entries[i].Index, l.entries[i].Data = l.last, r
	}
	return l.Save(nil, l.entries[:len(recs)])
}

// trim does what etcd's purging does: files whose locks were released are removed.
func (l *etcdLog) trim() error {
	if err := l.ReleaseLockTo(l.last); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(l.dir, "*.wal"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names[:max(0, len(names)-2)] {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}
func (l *etcdLog) close() error { return l.Close() }

type raftLog struct {
	*raftwal.WAL
	last uint64
	logs []*raft.Log
}

func openRaftWAL(dir string) (library, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w, err := raftwal.Open(dir)
	if err != nil {
		return nil, err
	}
	last, err := w.LastIndex()
	return &raftLog{WAL: w, last: last}, err
}

func (l *raftLog) append(recs [][]byte) error {
	for len(l.logs) < len(recs) {
		l.logs = append(l.logs, &raft.Log{Term: 1})
	}
	for i, r := range recs {
		l.last++
		l.logs[i].Index, l.logs[i].Data = l.last, r
	}
	return l.StoreLogs(l.logs[:len(recs)])
}

func (l *raftLog) trim() error {
	first, err := l.FirstIndex()
	if err != nil || first >= l.last {
		return err
	}
	return l.DeleteRange(first, l.last-1)
}
func (l *raftLog) close() error { return l.Close() }

// fillLog appends records of 1 KiB, batch at a time, until the log holds so many bytes of them.
func fillLog(l library, bytes int64, batch int, record func(n int) []byte) error {
	recs := make([][]byte, batch)
	for n := 0; int64(n) < bytes>>10; n += batch {
		for i := range recs {
			recs[i] = record(n + i)
		}
		if err := l.append(recs); err != nil {
			return fmt.Errorf("appending record %d: %w", n, err)
		}
	}
	return nil
}

// filesOf lists the files below dir.
func filesOf(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// folder is a folder's name for a library.
func folder(name string) string { return strings.NewReplacer(" ", "-", "/", "-").Replace(name) }
