package aof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

const (
	manifestKey    = "manifest.json"
	segmentsPrefix = "segments/"
	manifestFormat = 1
	maxManifest    = 64 << 20
)

// manifest says what the bucket holds of a log: docs/formats/aof.md. It is replaced under the condition that nobody
// else replaced it, which is what fences off deposed owners.
type manifest struct {
	Format   int             `json:"format"`
	Epoch    uint64          `json:"epoch"`
	Segments []manifestEntry `json:"segments"`
}

// manifestEntry is one object: the compressed image of a segment.
type manifestEntry struct {
	Key      string   `json:"key"`
	Bytes    int64    `json:"bytes"`
	CRC32C   uint32   `json:"crc32c"`
	Sequence uint64   `json:"sequence"`
	Salt     hex64    `json:"salt"`
	Base     Position `json:"base"`
	Next     Position `json:"next"`
	Count    uint64   `json:"count"`
	End      int64    `json:"end"` // of the segment's batches, uncompressed
	Sum      uint32   `json:"sum"`
	Prev     uint32   `json:"prev"`
	Created  int64    `json:"created"`
}

// hex64 is a number that JSON readers would round.
type hex64 uint64

func (h hex64) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }
func (h *hex64) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%016x", (*uint64)(h))
	return err
}

// objectKey is where a segment's object is. The salt makes it one that no other use of the number has.
func objectKey(h *segmentHeader) string {
	return fmt.Sprintf("%s%016x-%016x%s", segmentsPrefix, h.sequence, h.salt, warmSuffix)
}

func entryOf(foot *footer, bytes int64, crc uint32) manifestEntry {
	h := &foot.header
	return manifestEntry{
		Key: objectKey(h), Bytes: bytes, CRC32C: crc, Sequence: h.sequence, Salt: hex64(h.salt), Base: h.base, Next: foot.next,
		Count: foot.count, End: foot.end, Sum: foot.sum, Prev: h.prev, Created: h.created,
	}
}

// segment makes the segment that an entry speaks of, with its cold form.
func (e *manifestEntry) segment(dir string) *segment {
	s := &segment{
		name:   segmentName(dir, e.Sequence),
		header: segmentHeader{salt: uint64(e.Salt), sequence: e.Sequence, base: e.Base, prev: e.Prev, created: e.Created},
		base:   e.Base, next: e.Next, count: e.Count, end: e.End, sum: e.Sum, sealed: true,
	}
	s.forms[Cold] = newForm(Cold, e.Key, e.Bytes)
	return s
}

// valid tells whether an entry can be what a log wrote.
func (e *manifestEntry) valid() error {
	h := segmentHeader{salt: uint64(e.Salt), sequence: e.Sequence}
	switch {
	case e.Key != objectKey(&h):
		return fmt.Errorf("segment %d has the key %q", e.Sequence, e.Key)
	case e.Bytes <= 0 || e.Sequence == 0 || e.Base == 0 || e.Next < e.Base || e.End < dataStart:
		return fmt.Errorf("segment %d has sizes or positions that can't be", e.Sequence)
	}
	return nil
}

func decodeManifest(b []byte) (*manifest, error) {
	m := new(manifest)
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(m); err != nil {
		return nil, &DamageError{Damage{File: manifestKey, Offset: d.InputOffset(), Reason: err.Error()}}
	}
	if m.Format > manifestFormat {
		return nil, &NewerFormatError{manifestKey, m.Format, manifestFormat}
	}
	for i := range m.Segments {
		err := m.Segments[i].valid()
		if err == nil && i > 0 && m.Segments[i].Sequence <= m.Segments[i-1].Sequence {
			err = fmt.Errorf("segment %d comes after segment %d", m.Segments[i].Sequence, m.Segments[i-1].Sequence)
		}
		if err != nil {
			return nil, &DamageError{Damage{File: manifestKey, Reason: err.Error()}}
		}
	}
	return m, nil
}

// readManifest returns the bucket's manifest and its version; nil if there is none.
func readManifest(ctx context.Context, b objstore.Bucket) (*manifest, string, error) {
	body, info, err := b.Get(ctx, manifestKey, 0, -1)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, "", err
	}
	if len(text) > maxManifest {
		return nil, "", fmt.Errorf("%s is longer than %d bytes", manifestKey, maxManifest)
	}
	m, err := decodeManifest(text)
	return m, info.ETag, err
}

// writeManifest replaces the manifest that has the version etag, "" for none. ErrChanged and ErrExists of package
// objstore: it has another one.
func writeManifest(ctx context.Context, b objstore.Bucket, m *manifest, etag string) (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := crc(0, text)
	info, err := b.Put(ctx, manifestKey, bytes.NewReader(text), int64(len(text)), objstore.PutOptions{IfAbsent: etag == "", IfMatch: etag, CRC32C: &sum})
	return info.ETag, err
}

// listManifest makes a manifest anew of the objects that are in the bucket.
func listManifest(ctx context.Context, b objstore.Bucket) (*manifest, error) {
	m := &manifest{Format: manifestFormat}
	for info, err := range b.List(ctx, segmentsPrefix, "") {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(info.Key, warmSuffix) {
			continue
		}
		_, foot, err := readPacked(&rangeReader{ctx, b, info.Key}, info.Key, info.Size)
		if err != nil {
			return nil, err
		}
		if info.CRC32C == nil {
			sum, err := objstore.Checksum(ctx, b, info.Key, info.Size)
			if err != nil {
				return nil, err
			}
			info.CRC32C = &sum
		}
		e := entryOf(foot, info.Size, *info.CRC32C)
		if e.Key != info.Key {
			return nil, &DamageError{Damage{File: info.Key, Reason: "the object isn't the segment that its key names"}}
		}
		if n := len(m.Segments); n > 0 && m.Segments[n-1].Sequence == e.Sequence {
			return nil, fmt.Errorf("the bucket holds two segments with the number %d, %s and %s: remove the one that isn't this log's", e.Sequence, m.Segments[n-1].Key, e.Key)
		}
		m.Segments = append(m.Segments, e)
	}
	return m, nil
}

// rangeReader reads an object past the cache.
type rangeReader struct {
	ctx context.Context
	b   objstore.Bucket
	key string
}

func (r *rangeReader) ReadAt(p []byte, off int64) (int, error) {
	body, _, err := r.b.Get(r.ctx, r.key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, p)
	return n, errors.Join(err, body.Close())
}
