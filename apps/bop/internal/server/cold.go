package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/cluster"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// beginning is what is known before the data folder is touched.
type beginning struct {
	keys   crypt.KeyProvider // nil: none
	bucket objstore.Bucket   // nil: none
	adopt  bool              // an empty folder goes on with what the bucket has
}

// begin opens keys and bucket, and refuses what can't go well as long as nothing was changed: keys that don't open what is
// in the folder or in the bucket, and a cluster that would begin anew beside what its bucket has.
func (s *server) begin(ctx context.Context) (b beginning, err error) {
	if s.o.KeyFile != "" {
		if b.keys, err = crypt.OpenProvider(ctx, string(s.o.KeyFile)); err != nil {
			return b, fmt.Errorf("--key-file: %w", err)
		}
	}
	folder, err := cluster.LookAt(s.o.DataDir)
	if err != nil {
		return b, fmt.Errorf("data folder %s: %w", s.o.DataDir, err)
	}
	if err := sqlite.CheckKeys(s.o.DataDir, b.keys); err != nil {
		return b, fmt.Errorf("data folder %s can't be opened, nothing in it was changed: %w", s.o.DataDir, err)
	}
	if s.o.Cold == "" {
		return b, nil
	}
	b.bucket, err = bucketurl.OpenWith(ctx, string(s.o.Cold), bucketurl.Options{Plain: true, MeterProvider: s.telemetry.Meter, TracerProvider: s.telemetry.Tracer})
	if err != nil {
		return b, fmt.Errorf("--cold: %w", err)
	}
	initial, err := s.o.Members()
	if err != nil {
		return b, err
	}
	b.adopt = folder.Alone && s.o.Join == "" && len(initial) <= 1
	if !folder.New || s.o.Join != "" {
		return b, nil
	}
	return b, s.foresee(ctx, b, initial)
}

// foresee looks into the bucket for what a new folder begins with.
func (s *server) foresee(ctx context.Context, b beginning, initial map[string]string) error {
	root, err := backup.LoadRoot(ctx, b.bucket)
	if errors.Is(err, backup.ErrNoBackup) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--cold: %w", err)
	}
	if !b.adopt {
		peers, err := peerTLS(s.o.PeerCA, s.o.PeerCert, s.o.PeerKey)
		if err != nil {
			return err
		}
		// The last one of those that begin a cluster together may find what the first ones have written by then.
		if cluster.Begun(ctx, s.o.Node, s.o.ClusterName, initial, peers, s.o.Insecure) {
			return nil
		}
		return fmt.Errorf("%s has the databases of a cluster, data folder %s is new, and none of the servers in --initial-cluster runs: start one node alone first, with the same --cold and neither --initial-cluster nor --join, so that it takes the databases over; then start the others with --join; for a new cluster name an empty place with --cold",
			b.bucket, s.o.DataDir)
	}
	space := backup.Open(backup.Options{Bucket: b.bucket, Database: root.System, Lineage: root.Lineage, Provider: b.keys, Logger: s.log})
	if _, _, err := space.Load(ctx); err != nil {
		return fmt.Errorf("data folder %s is new and %s has databases, which can't be taken over: %w", s.o.DataDir, b.bucket, err)
	}
	s.log.Info("the data folder is new, the databases are taken over from the bucket", "data_dir", s.o.DataDir, "bucket", b.bucket.String(), "last_leader", root.Cluster)
	return nil
}

// cold is what the settings say of the bucket.
func (s *server) cold(b beginning) sqlite.Cold {
	return sqlite.Cold{
		Bucket: b.bucket, Node: safeName(s.o.Node), Adopt: b.adopt,
		LocalBytes: int64(s.o.ColdBytes), LogBytes: int64(s.o.ColdLogBytes), LogInterval: s.o.ColdLogInterval, PageInterval: s.o.ColdPageInterval,
		Retention: backup.Retention(s.o.Retention), Schedule: sqlite.Schedule(s.o.Snapshots),
	}
}

// safeName makes a node's name one that can be part of an object's: what it had to give up is told by a few digits.
func safeName(node string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, node)
	if safe == node && len(safe) <= maxSafeName && strings.Trim(safe, ".") != "" {
		return safe
	}
	sum := sha256.Sum256([]byte(node))
	return safe[:min(len(safe), maxSafeName-9)] + "-" + hex.EncodeToString(sum[:4])
}

const maxSafeName = 64

// TakenOver is a database that a new data folder goes on with, out of the bucket.
type TakenOver struct {
	Database string    `json:"database"`
	TXID     uint64    `json:"txid"` // the newest transaction that the bucket had
	Time     time.Time `json:"time"` // when that was committed
}

// takenOver lists the databases that came from the bucket, but for the system database.
func takenOver(h *sqlite.Host) (list []TakenOver) {
	for _, a := range h.Adopted() {
		if a.Segment != h.System().Segment() {
			list = append(list, TakenOver{a.Name, uint64(a.TXID), a.Time.UTC()})
		}
	}
	return list
}
