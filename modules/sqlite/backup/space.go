package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// manifestName is the manifest's name in the folder of its lineage.
const manifestName = "manifest"

// Options say where a database's backup is, and how it is sealed.
type Options struct {
	Bucket   objstore.Bucket
	Database page.ID
	Lineage  uint64
	// Keys gives the data keys as they are now; nil from it: the database isn't encrypted. Without Keys the manifest's own
	// keyring is taken, opened by Provider.
	Keys     func() *crypt.Keyring
	Provider crypt.KeyProvider
	TempDir  string           // of temporary files, which are nameless and encrypted; default: the system's
	Logger   *slog.Logger     // default: none
	Clock    func() time.Time // default: the machine's
	Grace    time.Duration    // between an object's last naming and its deletion; default 1 h
	PinTTL   time.Duration    // how long a pin holds without being renewed; default 24 h
}

// Space is one lineage of one database in a bucket. It is safe for concurrent use.
type Space struct {
	o       Options
	objects objstore.Bucket // of the database: keys begin with a lineage

	mu   sync.Mutex
	ring *crypt.Keyring // opened by Provider
	from []byte         // encoded, what ring was opened from
}

// Open makes a Space. It asks nothing of the bucket.
func Open(o Options) *Space {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Grace <= 0 {
		o.Grace = time.Hour
	}
	if o.PinTTL <= 0 {
		o.PinTTL = 24 * time.Hour
	}
	return &Space{o: o, objects: objstore.Prefix(o.Bucket, o.Database.String())}
}

// Objects is the part of the bucket that the keys of page and log objects belong to.
func (s *Space) Objects() objstore.Bucket { return s.objects }

// Lineage is the one given to Open.
func (s *Space) Lineage() uint64 { return s.o.Lineage }

// Database is the one given to Open.
func (s *Space) Database() page.ID { return s.o.Database }

func (s *Space) folder() string { return lineageName(s.o.Lineage) + "/" }

func (s *Space) manifestKey() string { return s.folder() + manifestName }

// Load reads the manifest. It fails with ErrNoBackup if there is none, with ErrDamaged, ErrNewer, or as the keys do.
func (s *Space) Load(ctx context.Context) (*Manifest, string, error) {
	b, etag, err := s.loadRaw(ctx)
	if err != nil {
		return nil, "", err
	}
	m, err := s.Decode(ctx, b)
	if err != nil {
		return nil, "", fmt.Errorf("%s in %s: %w", s.manifestKey(), s.objects, err)
	}
	return m, etag, nil
}

func (s *Space) loadRaw(ctx context.Context) ([]byte, string, error) {
	b, info, err := get(ctx, s.objects, s.manifestKey(), maxManifest)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, "", fmt.Errorf("%w: %s in %s isn't there", ErrNoBackup, s.manifestKey(), s.objects)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the manifest: %w", err)
	}
	return b, info.ETag, nil
}

// get reads a whole object of at most limit bytes. One that is replaced meanwhile is read again.
func get(ctx context.Context, b objstore.Bucket, key string, limit int64) ([]byte, objstore.Info, error) {
	for attempt := 1; ; attempt++ {
		body, info, err := b.Get(ctx, key, 0, -1)
		if err != nil {
			return nil, info, err
		}
		data, err := io.ReadAll(io.LimitReader(body, limit+1))
		err = errors.Join(err, body.Close())
		switch {
		case errors.Is(err, objstore.ErrChanged) && attempt < 5:
			continue
		case err != nil:
			return nil, info, err
		case int64(len(data)) > limit:
			return nil, info, damaged("%s in %s has more than %d bytes", key, b, limit)
		case int64(len(data)) != info.Size:
			return nil, info, fmt.Errorf("%w: %d of %d bytes of %s came", objstore.ErrUnavailable, len(data), info.Size, key)
		}
		return data, info, nil
	}
}

// put writes a small object.
func put(ctx context.Context, b objstore.Bucket, key string, data []byte, o objstore.PutOptions) (objstore.Info, error) {
	o.CRC32C = new(checksum(data))
	return b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), o)
}

// Keyring returns the data keys of a database whose keyring, encoded, the manifest has: those of Options.Keys unless the
// manifest has newer ones. It is nil if the database isn't encrypted.
func (s *Space) Keyring(ctx context.Context, encoded []byte) (*crypt.Keyring, error) {
	var own *crypt.Keyring
	if s.o.Keys != nil {
		own = s.o.Keys()
	}
	if len(encoded) == 0 {
		return own, nil
	}
	if own != nil {
		_, generation, err := crypt.PeekKeyring(encoded)
		if err != nil {
			return nil, err
		}
		if own.Generation() >= generation || s.o.Provider == nil {
			return own, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring != nil && bytes.Equal(s.from, encoded) {
		return s.ring, nil
	}
	ring, err := crypt.DecodeKeyring(ctx, s.o.Provider, s.o.Database, encoded)
	if err != nil {
		return nil, err
	}
	s.ring, s.from = ring, bytes.Clone(encoded)
	return ring, nil
}

// keys is what readers of objects ask for keys.
func (s *Space) keys(ctx context.Context, m *Manifest) (func() *crypt.Keyring, error) {
	ring, err := s.Keyring(ctx, m.Keyring)
	if err != nil {
		return nil, err
	}
	return func() *crypt.Keyring {
		if s.o.Keys != nil {
			if own := s.o.Keys(); own != nil && (ring == nil || own.Generation() > ring.Generation()) {
				return own
			}
		}
		return ring
	}, nil
}

// Found is a lineage of a database in a bucket.
type Found struct {
	Database page.ID
	Lineage  uint64
	Epoch    uint64
	Sequence uint64
	Sealed   bool  // the database is encrypted
	Size     int64 // bytes of the manifest
	Err      error // the manifest isn't one: ErrDamaged, ErrNewer
}

// List finds the databases and lineages of which a bucket has manifests. It needs no keys, and about two requests for
// each.
func List(ctx context.Context, bucket objstore.Bucket) ([]Found, error) {
	var list []Found
	for after := ""; ; {
		key, err := firstAfter(ctx, bucket, after)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", bucket, err)
		}
		if key == "" {
			return list, nil
		}
		// '0' comes after '/', so nothing that begins with the folder comes after this.
		database, rest, ok := strings.Cut(key, "/")
		id, err := parseID(database)
		if !ok || err != nil {
			after = key
			if ok {
				after = database + "0"
			}
			continue
		}
		folder, _, ok := strings.Cut(rest, "/")
		lineage, err := parseLineage(folder)
		if !ok || err != nil {
			after = key
			if ok {
				after = database + "/" + folder + "0"
			}
			continue
		}
		after = database + "/" + folder + "0"
		f, err := find(ctx, bucket, id, lineage)
		if err != nil {
			return nil, err
		}
		if f != nil {
			list = append(list, *f)
		}
	}
}

func firstAfter(ctx context.Context, bucket objstore.Bucket, after string) (string, error) {
	for info, err := range bucket.List(ctx, "", after) {
		return info.Key, err
	}
	return "", nil
}

// find reads the head of a manifest; nil: there is none.
func find(ctx context.Context, bucket objstore.Bucket, id page.ID, lineage uint64) (*Found, error) {
	key := id.String() + "/" + lineageName(lineage) + "/" + manifestName
	body, info, err := bucket.Get(ctx, key, 0, envelopeBytes)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, nil
	}
	f := &Found{Database: id, Lineage: lineage, Size: info.Size}
	if errors.Is(err, objstore.ErrRange) {
		f.Err = damaged("%s in %s is empty", key, bucket)
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the head of a manifest: %w", err)
	}
	head, err := io.ReadAll(io.LimitReader(body, envelopeBytes))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("reading the head of a manifest: %w", err)
	}
	e, err := parseEnvelope(head)
	if err != nil {
		f.Err = fmt.Errorf("%s in %s: %w", key, bucket, err)
		return f, nil
	}
	f.Epoch, f.Sequence, f.Sealed = e.epoch, e.sequence, e.sealed
	return f, nil
}
