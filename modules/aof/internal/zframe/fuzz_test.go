package zframe

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"
)

// sealed corrects the checksum of the summary in a file, so that what is changed in it gets past the check.
func sealed(file []byte) []byte {
	if len(file) < seekFoot+4 {
		return file
	}
	end := len(file) - frameHead - seekEntry*int(binary.LittleEndian.Uint32(file[len(file)-seekFoot:])) - seekFoot
	if end < minSummary || end > len(file) {
		return file
	}
	size := int(binary.LittleEndian.Uint32(file[end-summaryFoot:]))
	if size < minSummary || size > end {
		return file
	}
	file = bytes.Clone(file)
	binary.LittleEndian.PutUint32(file[end-4:], crc(file[end-size:end-4]))
	return file
}

func FuzzReadSummary(f *testing.F) {
	var file bytes.Buffer
	Write(&file, bytes.NewReader(sample(5000, 2)), 5000, Options{FrameBytes: 1 << 10, Meta: []byte("meta")})
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		b = sealed(b)
		s, err := ReadSummary(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		r := NewReader(bytes.NewReader(b), s)
		buf := make([]byte, 100)
		for _, off := range []int64{0, s.Size / 2, s.Size - 1} {
			if off >= 0 {
				r.ReadAt(buf, off)
			}
		}
		Verify(context.Background(), bytes.NewReader(b), int64(len(b)))
	})
}

func FuzzDecode(f *testing.F) {
	plain := sample(1000, 2)
	file, s := write(f, plain, Options{FrameBytes: 1 << 10})
	_, n := s.Range(0, 1)
	f.Add(file[:n])
	f.Fuzz(func(t *testing.T, packed []byte) {
		s := &Summary{Size: 1000, FrameBytes: 1 << 10, frames: []frame{{0, uint32(len(packed)), crc(packed)}}, at: int64(len(packed))}
		got, err := s.Decode(nil, 0, packed)
		if err == nil && len(got) != 1000 {
			t.Fatalf("%d bytes", len(got))
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(sample(5000, 2), []byte("meta"))
	f.Fuzz(func(t *testing.T, plain, meta []byte) {
		file, _ := write(t, plain, Options{FrameBytes: 1 << 10, Meta: meta})
		s, err := Verify(context.Background(), bytes.NewReader(file), int64(len(file)))
		if err != nil || !bytes.Equal(s.Meta, meta) {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(NewReader(bytes.NewReader(file), s), 0, s.Size))
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatal(err)
		}
	})
}
