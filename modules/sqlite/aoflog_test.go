package sqlite_test

import (
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/logtest"
)

func TestAOFLogKeepsTheContract(t *testing.T) {
	logtest.Run(t, func(t *testing.T, dir string) sqlite.Log {
		l, err := aof.Open(dir, aof.Options{SegmentBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		return sqlite.NewAOFLog(l)
	})
}
