package seglog_test

import (
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/logtest"
	"github.com/bop-platform/bop/modules/seglog"
)

func TestTheStoreKeepsTheContractOfLogStores(t *testing.T) {
	logtest.Run(t, logtest.Store{
		Open: func(t testing.TB, dir string) raft.LogStore {
			s, err := seglog.OpenStore(dir, seglog.StoreOptions{AOF: aof.Options{SegmentBytes: 64 << 10, Spare: -1}, CacheBytes: 1})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	})
}

var _ = crashfs.New
