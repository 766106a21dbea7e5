package seglog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

func logEntry(index, term uint64, data string, kind pb.EntryType) *pb.Entry {
	e := &pb.Entry{Index: &index, Term: &term, Type: kind.Enum()}
	if data != "" {
		e.Data = []byte(data)
	}
	return e
}

// rounds are those of docs/formats/seglog.md, and others.
var rounds = map[string]struct {
	updates []update
	bytes   string // hex, where it is given
}{
	"the example of the documentation": {
		[]update{
			{
				Update: raft.Update{
					Group: 7, HardState: &raft.HardState{Term: 5, Vote: 2, Commit: 300},
					Entries: []*pb.Entry{logEntry(301, 4, "abc", pb.EntryNormal), logEntry(302, 5, "", pb.EntryNormal)},
				},
				start: &raft.Position{Index: 290, Term: 4},
			},
			{Update: raft.Update{Group: 9}, removed: true},
		},
		"03 02" +
			"07 1a a202 04 05 02 ac02 ad02 02 00 04 03 616263 00 01 00" +
			"09 20",
	},
	"nobody":         {nil, "03 00"},
	"the beginning":  {[]update{{Update: raft.Update{Group: 1, Snapshot: raft.Position{Index: 1, Term: 1}, Members: &pb.ConfState{Voters: []uint64{1, 2}}, HardState: &raft.HardState{Term: 1, Commit: 1}}}}, "03 01 01 0d 01 01 04 08 01 08 02 01 00 01"},
	"no cut as yet":  {[]update{{Update: raft.Update{Group: 1, Members: &pb.ConfState{}, HardState: &raft.HardState{}}, start: &raft.Position{}}}, ""},
	"large numbers":  {[]update{{Update: raft.Update{Group: math.MaxUint64, Entries: []*pb.Entry{logEntry(1<<40, math.MaxUint64, "x", pb.EntryConfChangeV2)}}}}, ""},
	"a longer entry": {[]update{{Update: raft.Update{Group: 3, Entries: []*pb.Entry{logEntry(1, 1, strings.Repeat("long ", 100), pb.EntryNormal)}}}}, ""},
}

func TestARoundComesBackAsItWas(t *testing.T) {
	for name, c := range rounds {
		t.Run(name, func(t *testing.T) {
			b, err := appendRound(nil, c.updates)
			if err != nil {
				t.Fatal(err)
			}
			if want, err := hex.DecodeString(strings.ReplaceAll(c.bytes, " ", "")); err != nil || c.bytes != "" && !bytes.Equal(b, want) {
				t.Errorf("% x, %v; want % x", b, err, want)
			}
			got, err := decodeRound(b, true)
			if err != nil || !slices.EqualFunc(got, c.updates, sameUpdate) {
				t.Errorf("%+v, %v; want %+v", got, err, c.updates)
			}
			for n := range b {
				if _, err := decodeRound(b[:n], false); err == nil {
					t.Errorf("its first %d bytes are taken for a round", n)
				}
			}
		})
	}
}

func TestARoundWhoseTermsGoBackIsNotWritten(t *testing.T) {
	u := update{Update: raft.Update{Group: 1, Entries: []*pb.Entry{logEntry(1, 5, "", 0), logEntry(2, 4, "", 0)}}}
	if _, err := appendRound(nil, []update{u}); err == nil {
		t.Error("it was encoded")
	}
}

func sameUpdate(a, b update) bool {
	same := func(a, b *raft.Position) bool { return a == b || a != nil && b != nil && *a == *b }
	hard := a.HardState == b.HardState || a.HardState != nil && b.HardState != nil && *a.HardState == *b.HardState
	members := (a.Members == nil) == (b.Members == nil) && proto.Equal(a.Members, b.Members)
	return a.Group == b.Group && a.removed == b.removed && a.Snapshot == b.Snapshot && same(a.start, b.start) && hard && members &&
		slices.EqualFunc(a.Entries, b.Entries, func(a, b *pb.Entry) bool { return proto.Equal(a, b) })
}

// FuzzRound: bytes are refused, or are a round that comes back the same when it is written.
func FuzzRound(f *testing.F) {
	for _, c := range rounds {
		b, err := appendRound(nil, c.updates)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := decodeRound(b, true)
		if err != nil {
			return
		}
		again, err := appendRound(nil, first)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		canonical, err := decodeRound(again, false)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(first, canonical, sameUpdate) {
			t.Fatalf("%+v came back as %+v", first, canonical)
		}
	})
}

var manifests = map[string]struct {
	at    raft.Position
	parts []part
	bytes string
}{
	"the example of the documentation": {
		raft.Position{Index: 500, Term: 3},
		[]part{{1, raft.Position{Index: 500, Term: 3}, 4096}, {300, raft.Position{Index: 499, Term: 3}, 0}},
		"424f50534547534e 01000000 10000000 f403 03 02 01 f403 03 8020 ac02 f303 03 00",
	},
	"no segments":   {raft.Position{Index: 1, Term: 1}, nil, ""},
	"large numbers": {raft.Position{Index: math.MaxUint64, Term: math.MaxUint64}, []part{{math.MaxUint64, raft.Position{Index: 1}, math.MaxInt64}}, ""},
}

func TestAManifestComesBackAsItWas(t *testing.T) {
	for name, c := range manifests {
		t.Run(name, func(t *testing.T) {
			b := encodeManifest(c.at, c.parts)
			if want, err := hex.DecodeString(strings.ReplaceAll(c.bytes, " ", "")); err != nil || c.bytes != "" && !bytes.Equal(b[:len(b)-4], want) {
				t.Errorf("% x, %v; want % x and a checksum", b, err, want)
			}
			rest := strings.NewReader(string(b) + "images")
			at, parts, err := decodeManifest(rest)
			if err != nil || at != c.at || !slices.Equal(parts, c.parts) || rest.Len() != len("images") {
				t.Errorf("%v, %v, %d bytes left, %v", at, parts, rest.Len(), err)
			}
			for n := range b {
				if _, _, err := decodeManifest(bytes.NewReader(b[:n])); !errors.Is(err, ErrSnapshot) {
					t.Errorf("its first %d bytes: %v; want ErrSnapshot", n, err)
				}
				flipped := slices.Clone(b)
				flipped[n] ^= 1 << (n % 8)
				if _, _, err := decodeManifest(io.MultiReader(bytes.NewReader(flipped), strings.NewReader("images"))); err == nil {
					t.Errorf("a flipped bit in byte %d isn't noticed", n)
				}
			}
		})
	}
}

func TestASnapshotOfANewerVersionIsSaidToBeOne(t *testing.T) {
	b := encodeManifest(raft.Position{}, nil)
	b[8] = 2
	if _, _, err := decodeManifest(bytes.NewReader(b)); !errors.Is(err, ErrNewer) {
		t.Errorf("%v; want ErrNewer", err)
	}
}

// FuzzManifest: bytes are refused in words, or are a manifest that comes back the same.
func FuzzManifest(f *testing.F) {
	for _, c := range manifests {
		f.Add(encodeManifest(c.at, c.parts))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at, parts, err := decodeManifest(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrSnapshot) && !errors.Is(err, ErrNewer) {
				t.Fatalf("%v is neither ErrSnapshot nor ErrNewer", err)
			}
			return
		}
		at2, parts2, err := decodeManifest(bytes.NewReader(encodeManifest(at, parts)))
		if err != nil || at != at2 || !slices.Equal(parts, parts2) {
			t.Fatalf("%v %v came back as %v %v, %v", at, parts, at2, parts2, err)
		}
	})
}

// FuzzSegmentEntry: bytes are refused, or are an entry whose data are the rest.
func FuzzSegmentEntry(f *testing.F) {
	f.Add([]byte{kindEntry, 0xac, 0x02, 3, 'h', 'i'})
	f.Add([]byte{kindEntry, 1})
	f.Add([]byte{kindEntry + 1, 1, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		at, data, err := (&segment{id: 1}).decode(aof.Position(9), b)
		newer := len(b) > 0 && b[0] > kindEntry
		if errors.Is(err, ErrNewer) != newer {
			t.Fatalf("% x: %v", b, err)
		}
		if err == nil && !bytes.HasSuffix(b, data) {
			t.Fatalf("% x: %v, % x", b, at, data)
		}
	})
}

// FuzzCommand: what names a segment comes back from the command that is made of it.
func FuzzCommand(f *testing.F) {
	f.Add([]byte{0xac, 0x02, 'x'})
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 11))
	f.Fuzz(func(t *testing.T, b []byte) {
		seg, data, err := splitCommand(b)
		if err != nil {
			return
		}
		again, rest, err := splitCommand(Command(seg, data))
		if err != nil || again != seg || !bytes.Equal(rest, data) {
			t.Fatalf("% x: segment %d with % x, then %d with % x, %v", b, seg, data, again, rest, err)
		}
	})
}

// TestACompositeReadsTheSameFromAnyOffset is what makes a snapshot's transfer resumable.
func TestACompositeReadsTheSameFromAnyOffset(t *testing.T) {
	c := &composite{}
	var all string
	for _, s := range []string{"manifest", "", "first image", "x", "", "the last image of all", ""} {
		c.add(strings.NewReader(s), int64(len(s)))
		all += s
	}
	for off := len(all) + 2; off >= 0; off-- {
		for _, whence := range []int{io.SeekStart, io.SeekCurrent, io.SeekEnd} {
			to := int64(off) - [...]int64{0, c.at, c.size}[whence]
			if at, err := c.Seek(to, whence); err != nil || at != int64(off) {
				t.Fatalf("seek to %d: %d, %v", off, at, err)
			}
			if n, err := c.Read(nil); n != 0 || err != nil {
				t.Fatalf("reading nothing at %d: %d, %v", off, n, err)
			}
			got, err := io.ReadAll(c)
			if want := all[min(off, len(all)):]; err != nil || string(got) != want {
				t.Fatalf("from %d: %q, %v; want %q", off, got, err, want)
			}
		}
	}
	if _, err := c.Seek(-1, io.SeekStart); err == nil {
		t.Error("there is something before the beginning")
	}
	if _, err := c.Seek(0, 7); err == nil {
		t.Error("there is an eighth way to seek")
	}
	c = &composite{}
	c.add(strings.NewReader("short"), 9)
	if _, err := io.ReadAll(c); !errors.Is(err, ErrSnapshot) {
		t.Errorf("an image that is shorter than it said: %v; want ErrSnapshot", err)
	}
}
