package aof

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// exampleSalt and exampleBatch are the worked example of docs/formats/aof.md.
const exampleSalt = 0x1122334455667788

func exampleBatch() []byte {
	b := make([]byte, batchBytes)
	for _, rec := range []string{"hello", "log"} {
		b = appendRecord(b, []byte(rec))
	}
	h := batchHeader{payload: len(b) - batchBytes, count: 2, first: 41, durable: 40, prev: 0xcafe1234}
	b = append(b, make([]byte, h.size()-int64(len(b)))...)
	h.encode(b, exampleSalt)
	return b
}

func TestBatchFormat(t *testing.T) {
	var dump strings.Builder
	for i, line := 0, exampleBatch(); i < len(line); i += 16 {
		part := line[i:min(i+16, len(line))]
		fmt.Fprintf(&dump, "%04x  % x\n", i, part)
	}
	golden := filepath.Join("testdata", "batch.hex")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(dump.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if dump.String() != string(want) {
		t.Fatalf("the format of a batch changed:\n%swant\n%s", &dump, want)
	}
	// Outside of the repository there is no specification to compare with.
	if spec, err := os.ReadFile("../../docs/formats/aof.md"); err == nil && !strings.Contains(string(spec), string(want)) {
		t.Errorf("docs/formats/aof.md doesn't have the example as it is:\n%s", want)
	}
}

func TestBatchDecoding(t *testing.T) {
	whole := exampleBatch()
	t.Run("a batch comes back as it was encoded", func(t *testing.T) {
		h, ok := decodeBatchHeader(whole, exampleSalt)
		if !ok || !h.verify(whole) || h.first != 41 || h.last() != 42 || h.durable != 40 || h.size() != int64(len(whole)) {
			t.Fatalf("%+v, %v", h, ok)
		}
		rec, rest, ok := nextRecord(whole[batchBytes : batchBytes+h.payload])
		if !ok || string(rec) != "hello" {
			t.Fatalf("%q", rec)
		}
		if rec, rest, ok = nextRecord(rest); !ok || string(rec) != "log" || len(rest) != 0 {
			t.Fatalf("%q, %d left", rec, len(rest))
		}
	})
	t.Run("every flipped bit but the padding's is noticed", func(t *testing.T) {
		h, _ := decodeBatchHeader(whole, exampleSalt)
		for bit := range 8 * (batchBytes + h.payload) {
			b := bytes.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			if h, ok := decodeBatchHeader(b, exampleSalt); ok && h.verify(b) {
				t.Fatalf("bit %d of byte %d", bit%8, bit/8)
			}
		}
	})
	t.Run("another use of the file, or another place in the chain, doesn't match", func(t *testing.T) {
		if _, ok := decodeBatchHeader(whole, exampleSalt+1); ok {
			t.Fatal("with another salt")
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add(exampleBatch())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := decodeBatchHeader(b, exampleSalt)
		if !ok || !h.verify(b) {
			return
		}
		payload := b[batchBytes : batchBytes+h.payload]
		for len(payload) > 0 {
			_, rest, ok := nextRecord(payload)
			if !ok {
				return
			}
			payload = rest
		}
	})
}

func FuzzSegmentParts(f *testing.F) {
	h := segmentHeader{salt: exampleSalt, sequence: 3, base: 41, prev: 7, created: 1}
	foot := footer{header: h, next: 43, count: 2, end: 4200, sum: 9, index: []indexEntry{{41, dataStart}}}
	f.Add(h.encode())
	f.Add(foot.encode())
	f.Add(encodeTrailer(exampleSalt, 4200, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, _ := decodeSegmentHeader(b); h != nil && !bytes.HasPrefix(h.encode()[:56], b[:8]) {
			t.Error("a header that isn't one")
		}
		if got, ok := decodeFooter(b); ok && !bytes.Equal(got.encode(), b) {
			t.Errorf("a footer that encodes otherwise: %s", hex.EncodeToString(b))
		}
		if salt, off, length, ok := decodeTrailer(b); ok && len(encodeTrailer(salt, off, length)) != len(b) {
			t.Error("a trailer of another length")
		}
	})
}
