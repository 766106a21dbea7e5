package tcpnet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// example is the message of docs/formats/raft-tcp.md.
func example() raft.Message {
	return raft.Message{Group: 300, Message: &pb.Message{Type: pb.MsgApp.Enum(), To: proto.Uint64(2), From: proto.Uint64(1), Term: proto.Uint64(5),
		LogTerm: proto.Uint64(4), Index: proto.Uint64(1000), Commit: proto.Uint64(999), Entries: []*pb.Entry{
			{Type: pb.EntryNormal.Enum(), Term: proto.Uint64(5), Index: proto.Uint64(1001), Data: []byte("set a")},
			{Type: pb.EntryConfChangeV2.Enum(), Term: proto.Uint64(5), Index: proto.Uint64(1002)}}}}
}

func TestBytesAreThoseOfTheDocument(t *testing.T) {
	b, err := appendMessage(nil, example())
	if err != nil {
		t.Fatal(err)
	}
	h := hello{low: 1, high: 1, class: Heartbeats, cluster: [16]byte{0xAA, 15: 0xBB}, from: 1, to: 2}
	for _, c := range []struct{ what, got, want string }{
		{"message", hex.EncodeToString(b), "ac02" + "fe41" + "030201" + "0504" + "e807" + "e707" + "02" + "75" + "05" + "05" + hex.EncodeToString([]byte("set a")) + "3f"},
		{"frame", hex.EncodeToString(appendFrame(nil, kindPing)), "00000000" + "02000000" + "0b914f33"},
		{"hello", hex.EncodeToString(h.encode()[:60]), hex.EncodeToString([]byte("BOPRAFTP")) + "0100" + "0100" + "0100" + "0000" +
			"aa0000000000000000000000000000bb" + "0100000000000000" + "0200000000000000" + strings.Repeat("00", 12)},
	} {
		if c.got != c.want {
			t.Errorf("%s is\n%s, want\n%s", c.what, c.got, c.want)
		}
	}
}

// randomMessage has any of the fields.
func randomMessage(r *rand.Rand) raft.Message {
	number := func() *uint64 {
		switch r.IntN(4) {
		case 0:
			return nil
		case 1:
			return proto.Uint64(math.MaxUint64 - uint64(r.IntN(2)))
		}
		return proto.Uint64(r.Uint64() >> r.IntN(64))
	}
	data := func() []byte {
		if r.IntN(3) == 0 {
			return nil
		}
		return bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(20))
	}
	m := &pb.Message{To: number(), From: number(), Term: number(), LogTerm: number(), Index: number(), Commit: number(), Vote: number(),
		RejectHint: number(), Context: data()}
	if r.IntN(3) > 0 {
		m.Type = pb.MessageType(r.IntN(24)).Enum()
	}
	if r.IntN(3) == 0 {
		m.Reject = proto.Bool(r.IntN(2) == 0)
	}
	for range r.IntN(4) {
		e := &pb.Entry{Term: number(), Index: number(), Data: data()}
		if r.IntN(2) == 0 {
			e.Type = pb.EntryType(r.IntN(3)).Enum()
		}
		m.Entries = append(m.Entries, e)
	}
	if r.IntN(10) == 0 {
		m.Snapshot = &pb.Snapshot{Data: data(), Metadata: &pb.SnapshotMetadata{Index: number(), ConfState: &pb.ConfState{Voters: []uint64{1}}}}
	}
	if r.IntN(10) == 0 {
		m.Responses = []*pb.Message{{To: number()}}
	}
	return raft.Message{Group: raft.GroupID(r.Uint64()>>r.IntN(64) | 1), Message: m}
}

func TestAnyMessageComesBackAsItWasAndTakesNoMoreThanItsRoom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		want := []raft.Message{randomMessage(r), randomMessage(r)}
		var b []byte
		for _, m := range want {
			was := len(b)
			var err error
			if b, err = appendMessage(b, m); err != nil {
				t.Fatal(err)
			}
			if len(b)-was > roomOf(m) {
				t.Fatalf("%d bytes where at most %d were announced: %v", len(b)-was, roomOf(m), m)
			}
		}
		got, err := decodeMessages(b)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d messages, %v: %v", len(got), err, want)
		}
		clear(b) // nothing may refer to it
		for i, m := range got {
			if m.Group != want[i].Group || !proto.Equal(m.Message, want[i].Message) {
				t.Fatalf("got  %d %v\nwant %d %v", m.Group, m.Message, want[i].Group, want[i].Message)
			}
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	good, err := appendMessage(nil, example())
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"group 0":                       {0, 0},
		"no fields":                     {1},
		"a field that doesn't exist":    {1, 0x80, 0x80, 1},
		"rejected without saying so":    {1, 0x80, 0x10},
		"protobuf and fields":           {1, 3, 0},
		"protobuf that isn't":           {1, 1, 2, 0xff, 0xff},
		"entries, of which there are 0": {1, 0x80, 0x40, 0},
		"more entries than bytes":       {1, 0x80, 0x40, 0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"data longer than the frame":    {1, 0x80, 0x40, 1, 0x40, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"the same term as no term":      {1, 0x80, 0x40, 1, 8},
		"a bit that no entry has":       {1, 0x80, 0x40, 1, 0x80},
		"a type beyond 31 bits":         {1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"a number without end":          bytes.Repeat([]byte{0xff}, 20),
		"the last byte missing":         good[:len(good)-1],
	} {
		if list, err := decodeMessages(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

func TestFramesThatLieAreRefused(t *testing.T) {
	good := appendFrame(nil, kindMessages, []byte("payload"))
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] ^= v
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"a flipped bit of the payload":  {with(15, 1), ErrProtocol},
		"a flipped bit of the checksum": {with(9, 1), ErrProtocol},
		"another kind":                  {with(4, 2), ErrProtocol},
		"a kind that doesn't exist":     {with(4, 0x40), ErrProtocol},
		"a reserved byte":               {with(6, 1), ErrProtocol},
		"a length above the limit":      {with(3, 1), ErrProtocol},
		"a length that isn't there":     {with(1, 1), io.ErrUnexpectedEOF},
		"a torn header":                 {good[:5], io.ErrUnexpectedEOF},
		"nothing":                       {nil, io.EOF},
	} {
		f := frameReader{r: bytes.NewReader(c.b), limit: 1 << 20}
		if _, _, err := f.next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if cap(f.buf) > 512<<10 {
			t.Errorf("%s: it cost %d bytes", name, cap(f.buf))
		}
	}
	long := bytes.Repeat([]byte("0123456789"), 300<<10)
	stream := append(appendFrame(nil, kindChunk, long), good...)
	f := frameReader{r: bytes.NewReader(stream), limit: 4 << 20}
	if _, p, err := f.next(); err != nil || !bytes.Equal(p, long) {
		t.Errorf("a long frame: %d bytes, %v", len(p), err)
	}
	if _, p, err := f.next(); err != nil || string(p) != "payload" || cap(f.buf) > 1<<20 {
		t.Errorf("a short one after it: %q, %v, %d bytes kept", p, err, cap(f.buf))
	}
}

// FuzzMessages decodes what a peer may send. What is taken means the same when it is encoded again.
func FuzzMessages(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		b, err := appendMessage(nil, randomMessage(r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeMessages(b)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for _, m := range list {
			if again, err = appendMessage(again, m); err != nil {
				t.Fatal(err)
			}
		}
		twice, err := decodeMessages(again)
		if err != nil || len(twice) != len(list) {
			t.Fatalf("%d messages became %d, %v", len(list), len(twice), err)
		}
		for i, m := range twice {
			if m.Group != list[i].Group || !proto.Equal(m.Message, list[i].Message) {
				t.Fatalf("%v became %v", list[i], m)
			}
		}
	})
}

// FuzzFrames reads what a peer may send: it ends, and takes no more memory than what came.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, kindPing), kindMessages, []byte("payload")))
	f.Add([]byte{0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := frameReader{r: bytes.NewReader(b), limit: 1 << 24}
		for {
			_, p, err := r.next()
			if cap(r.buf) > 4*len(b)+512<<10 {
				t.Fatalf("%d bytes of memory for %d of input", cap(r.buf), len(b))
			}
			if err != nil {
				return
			}
			decodeMessages(p)
		}
	})
}

// FuzzHello decodes what comes first on a connection.
func FuzzHello(f *testing.F) {
	f.Add(hello{low: 1, high: 1, from: 1, to: 2}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		if err == nil {
			if again, err := decodeHello(h.encode()); err != nil || again != h {
				t.Fatalf("%v became %v, %v", h, again, err)
			}
		}
	})
}

func BenchmarkMessages(b *testing.B) {
	m := example()
	for range 62 {
		e := proto.Clone(m.Entries[0]).(*pb.Entry)
		e.Data = make([]byte, 128)
		e.Index = proto.Uint64(m.Entries[len(m.Entries)-1].GetIndex() + 1)
		m.Entries = append(m.Entries, e)
	}
	buf, err := appendMessage(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	wire, err := proto.Marshal(m.Message)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			buf, _ = appendMessage(buf[:0], m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			decodeMessages(buf)
		}
	})
	b.Run("decode protobuf", func(b *testing.B) {
		b.SetBytes(int64(len(wire)))
		b.ReportAllocs()
		for b.Loop() {
			proto.Unmarshal(wire, &pb.Message{})
		}
	})
}
