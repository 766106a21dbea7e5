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
	for _, c := range []struct {
		name string
		opts boltlog.Options
	}{
		{"with the newest entries in memory", boltlog.Options{}},
		{"with a few of the newest entries in memory", boltlog.Options{CacheBytes: 1 << 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			logtest.Run(t, logtest.Store{Open: opener(c.opts)})
		})
	}
}
