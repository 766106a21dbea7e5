package aof

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func entry(sequence uint64, base, next Position) manifestEntry {
	h := segmentHeader{salt: 1<<63 + 5, sequence: sequence, base: base, created: 1}
	return entryOf(&footer{header: h, next: next, count: uint64(next - base), end: dataStart + 100, sum: 7}, 1000, 0xdeadbeef)
}

func TestManifest(t *testing.T) {
	m := &manifest{Format: manifestFormat, Epoch: 1<<64 - 1, Segments: []manifestEntry{entry(1, 1, 10), entry(3, 10, 25)}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("what is written is read", func(t *testing.T) {
		got, err := decodeManifest(text)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	for _, c := range []struct {
		name, old, new string
		want           error
	}{
		{"a newer format is refused", `"format":1`, `"format":2`, ErrNewerFormat},
		{"what isn't JSON is damage", `"epoch":`, `"epoch"`, ErrDamaged},
		{"a key of another segment is damage", `"sequence":3`, `"sequence":4`, ErrDamaged},
		{"segments out of order are damage", `"sequence":1,`, `"sequence":9,`, ErrDamaged},
		{"positions that can't be are damage", `"next":25`, `"next":5`, ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := strings.Replace(string(text), c.old, c.new, 1)
			if bad == string(text) {
				t.Fatal("nothing was replaced")
			}
			if _, err := decodeManifest([]byte(bad)); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	text, _ := json.Marshal(&manifest{Format: manifestFormat, Segments: []manifestEntry{entry(1, 1, 10), entry(3, 10, 25)}})
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		for i := range m.Segments {
			m.Segments[i].segment("/log")
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeManifest(again); err != nil || len(back.Segments) != len(m.Segments) {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
