package boltlog_test

import (
	"path/filepath"
	"testing"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/boltlog"
	"github.com/bop-platform/bop/modules/raft/logtest"
)

func opener(o boltlog.Options) func(testing.TB, string) raft.LogStore {
	return func(t testing.TB, dir string) raft.LogStore {
		t.Helper()
		s, err := boltlog.Open(filepath.Join(dir, "raft.db"), o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestBoltIsALogStore(t *testing.T) {
	// So few of the newest entries are in memory that many come from the file.
	logtest.Run(t, logtest.Store{Open: opener(boltlog.Options{CacheBytes: 4 << 10})})
}
