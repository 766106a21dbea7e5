package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

func someManifest() *Manifest {
	m := manifest(object(1, 10, as(PurposeFull)), object(11, 20), logOf(5, 25))
	m.Sequence, m.Epoch, m.Name, m.Position = 7, 3, "the secret name", 99
	m.Objects[0].Label, m.Objects[0].Header = "before the holidays", []byte("a header")
	m.Parent = &Fork{Lineage: 1<<64 - 1, TXID: 4}
	m.Garbage = []Garbage{{Key: lineageName(testLineage) + "/log/x", Since: second(5), Named: 2, Sequence: 6}, {Key: lineageName(1) + "/idx/y", Since: second(5), Condemned: second(6), Deleted: true}}
	m.writer = [16]byte{9, 9, 9}
	return m
}

func testSpaces(t testing.TB) (clear, sealed *Space, keys crypt.KeyProvider) {
	p, ring := newKeys(t)
	o := Options{Bucket: objstore.NewMemory(), Database: testID, Lineage: testLineage}
	clear = Open(o)
	o.Keys, o.Provider = func() *crypt.Keyring { return ring }, p
	return clear, Open(o), p
}

func TestAManifestComesBackAsItWas(t *testing.T) {
	clear, sealed, keys := testSpaces(t)
	for _, s := range []*Space{clear, sealed} {
		m := someManifest()
		b, err := s.Encode(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Decode(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		m.Keyring = got.Keyring
		if !reflect.DeepEqual(got, m) {
			t.Errorf("got  %+v\nwant %+v", got, m)
		}
		if s == clear {
			continue
		}
		if bytes.Contains(b, []byte("secret")) || bytes.Contains(b, []byte("holidays")) {
			t.Error("the name is in the clear")
		}
		// Who has the wrapping key needs nothing else.
		other := Open(Options{Bucket: objstore.NewMemory(), Database: testID, Lineage: testLineage, Provider: keys})
		if got, err := other.Decode(t.Context(), b); err != nil || got.Name != m.Name {
			t.Errorf("opened with the wrapping key alone: %v", err)
		}
		if _, err := Open(Options{Database: testID, Lineage: testLineage, Bucket: objstore.NewMemory()}).Decode(t.Context(), b); !errors.Is(err, crypt.ErrNoProvider) {
			t.Errorf("opened without any key: %v", err)
		}
		stranger, _ := newKeys(t)
		if _, err := Open(Options{Database: testID, Lineage: testLineage, Bucket: objstore.NewMemory(), Provider: stranger}).Decode(t.Context(), b); !errors.Is(err, crypt.ErrWrongKey) {
			t.Errorf("opened with a wrong key: %v", err)
		}
	}
}

// Each byte is flipped; then each is flipped and the checksum put right, which only the seal can notice.
func TestAFlippedByteOfAManifestIsFound(t *testing.T) {
	clear, sealed, _ := testSpaces(t)
	for _, s := range []*Space{clear, sealed} {
		b, err := s.Encode(t.Context(), someManifest())
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			bad := slices.Clone(b)
			bad[i] ^= 0x10
			if _, err := s.Decode(t.Context(), bad); err == nil {
				t.Fatalf("byte %d", i)
			}
			if s == clear || i >= len(b)-4 {
				continue
			}
			binary.LittleEndian.PutUint32(bad[len(bad)-4:], checksum(bad[:len(bad)-4]))
			if _, err := s.Decode(t.Context(), bad); err == nil {
				t.Fatalf("byte %d with its checksum", i)
			}
		}
		for i := range b {
			if _, err := s.Decode(t.Context(), b[:i]); err == nil {
				t.Fatalf("cut after %d bytes", i)
			}
		}
		if _, err := s.Decode(t.Context(), append(b, 0)); err == nil {
			t.Fatal("with a byte more")
		}
	}
}

func TestAManifestOfAnotherPlaceOrANewerProgramIsRefused(t *testing.T) {
	s, _, _ := testSpaces(t)
	m := someManifest()
	m.Lineage = 5
	b, _ := encode(m, nil)
	if _, err := s.Decode(t.Context(), b); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "0000000000000005") {
		t.Error(err)
	}
	b, _ = encode(someManifest(), nil)
	b[8] = 2
	if _, err := s.Decode(t.Context(), b); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

func TestAManifestThatCantBeIsRefused(t *testing.T) {
	s, _, _ := testSpaces(t)
	for name, spoil := range map[string]func(*Manifest){
		"a key without a lineage": func(m *Manifest) { m.Objects[0].Key = "ltx/0/x" },
		"a key that climbs":       func(m *Manifest) { m.Logs[0].Key = lineageName(1) + "/log/../x" },
		"a manifest as garbage":   func(m *Manifest) { m.Garbage[0].Key = lineageName(1) + "/manifest" },
		"a pin as garbage":        func(m *Manifest) { m.Garbage[0].Key = lineageName(1) + "/pins/n1" },
		"an index nowhere":        func(m *Manifest) { m.Objects[0].Index.Key = "" },
		"transactions backwards":  func(m *Manifest) { m.Objects[1].Min = 30 },
		"another transaction":     func(m *Manifest) { m.Objects[1].State.TXID = 30 },
		"a page size":             func(m *Manifest) { m.Objects[1].State.Size = 1000 },
		"a purpose":               func(m *Manifest) { m.Objects[1].Purpose = "fun" },
		"a negative size":         func(m *Manifest) { m.Objects[1].Size = -1 },
		"a log backwards":         func(m *Manifest) { m.Logs[0].First = 30 },
		"a log object too short":  func(m *Manifest) { m.Logs[0].Size = 5 },
		"a log without a header":  func(m *Manifest) { m.Logs[0].Header = nil },
	} {
		m := someManifest()
		spoil(m)
		b, err := encode(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Decode(t.Context(), b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	s, sealed, _ := testSpaces(f)
	for _, sp := range []*Space{s, sealed} {
		b, err := sp.Encode(f.Context(), someManifest())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:100])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = sealed.Decode(t.Context(), b)
		// With a right checksum more of it is read.
		if len(b) > 4 {
			b = binary.LittleEndian.AppendUint32(b[:len(b)-4:len(b)-4], checksum(b[:len(b)-4]))
		}
		m, err := s.Decode(t.Context(), b)
		if err != nil {
			return
		}
		for _, r := range m.Restorable() {
			if _, err := m.Plan(Target{TXID: r.Last}); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
		_ = NextMerge(m, Policy{})
		_, _ = Expired(m, Retention{Last: 1}, second(1000))
	})
}

// FuzzManifestBody gets past compression.
func FuzzManifestBody(f *testing.F) {
	f.Add([]byte(`{"name":"x","objects":[{"ref":{"key":"0123456789abcdef/ltx/0/a","min":1,"max":2,"state":{"TXID":2,"Size":512,"Pages":1}},"purpose":"full"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		z, err := compressor()
		if err != nil {
			t.Fatal(err)
		}
		m := &Manifest{}
		if err := m.decodeBody(z.EncodeAll(text, nil)); err != nil {
			return
		}
		for _, r := range m.Restorable() {
			if _, err := m.Plan(Target{TXID: r.Last}); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
		_ = NextMerge(m, Policy{Chain: 1})
		_, _ = Expired(m, Retention{Last: 1}, second(1000))
	})
}
