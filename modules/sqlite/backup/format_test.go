package backup

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// put32 and put64 write numbers as docs/formats/bucket.md has them.
func put32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func put64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func crc(parts ...[]byte) uint32 {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum32()
}

// The bytes are put together as the specification says, not by the code that writes them.
func TestAManifestIsReadAsSpecified(t *testing.T) {
	z, err := compressor()
	if err != nil {
		t.Fatal(err)
	}
	body := z.EncodeAll([]byte(`{
		"name": "shop", "parent": {"lineage": 18446744073709551615, "txid": 3}, "position": 17, "future": [1],
		"objects": [{"ref": {"key": "0123456789abcdef/ltx/9/a.ltx", "size": 10, "crc": 1, "level": 9, "min": 1, "max": 5,
			"state": {"TXID": 5, "Epoch": 2, "Size": 512, "Pages": 7, "Checksum": 18446744073709551615, "Time": 1700000000000000},
			"pages": 7, "index": {"key": "0123456789abcdef/idx/9/a.idx", "size": 5}, "lineage": 81985529216486895},
			"id": "00112233", "purpose": "full", "label": "l", "created": "2026-03-01T12:00:00Z", "position": 17, "sequence": 4, "datakey": 1}],
		"logs": [{"key": "0123456789abcdef/log/a.log", "size": 200, "crc": 9, "header": "`+"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="+`",
			"first": 6, "last": 8, "position": 20, "epoch": 2, "firsttime": 1, "lasttime": 2, "records": 3, "lineage": 81985529216486895, "sequence": 5, "datakeys": [0, 1]}],
		"garbage": [{"key": "0123456789abcdef/log/b.log", "since": "2026-03-01T12:00:00Z", "named": 1, "sequence": 2, "condemned": "2026-03-01T13:00:00Z", "deleted": true}]
	}`), nil)
	b := []byte("BOPMANIF")
	b = put32(put32(b, 1), 0)
	b = append(b, testID[:]...)
	b = put64(put64(put64(b, testLineage), 3), 6)
	b = append(b, make([]byte, 16)...)
	b = put32(put32(b, 0), uint32(len(body)))
	b = append(b, body...)
	b = put32(b, crc(b))
	m, err := Open(Options{Bucket: objstore.NewMemory(), Database: testID, Lineage: testLineage}).Decode(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	o, l := m.Objects[0], m.Logs[0]
	if m.Epoch != 3 || m.Sequence != 6 || m.Name != "shop" || m.Parent.Lineage != 1<<64-1 || m.Position != 17 ||
		o.Max != 5 || o.State.Checksum != 1<<64-1 || o.State.Pages != 7 || o.ID != "00112233" || o.Purpose != PurposeFull || o.Sequence != 4 || o.DataKey != 1 ||
		l.Last != 8 || l.Records != 3 || len(l.DataKeys) != 2 || !m.Garbage[0].Deleted || m.Garbage[0].Named != 1 {
		t.Errorf("%+v", m)
	}
}

func TestALogObjectIsReadAsSpecified(t *testing.T) {
	h := []byte("BOPSQLOG")
	h = put32(put32(h, 1), 0)
	h = append(h, testID[:]...)
	h = append(put64(h, testLineage), "sixteen random b"...)
	h = put32(h, 0)
	h = put32(h, crc(h))
	b := append([]byte(nil), h...)
	group := func(number uint32, records uint32, body []byte) {
		head := put32(put32(nil, uint32(len(body))), records)
		b = append(b, head...)
		b = put32(b, crc(h, put32(nil, number), head, body))
		b = append(b, body...)
	}
	uv := func(b []byte, vs ...uint64) []byte {
		for _, v := range vs {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	first := append(append(uv(nil, 3, 1000, 7, 2), 0), "abc"...)
	first = append(append(uv(first, 2, 5, 0, 0), 1), "de"...)
	group(0, 2, first)
	group(1, 1, append(append(uv(nil, 1, 1010, 8, 3), 1), 'f'))
	f := []byte("BOPLOGND")
	for _, v := range []uint64{3, 7, 8, 1010, 2} {
		f = put64(f, v)
	}
	b = append(b, f...)
	b = put32(b, crc(h, f))
	mem := objstore.NewMemory()
	ref := LogRef{Key: "x", Size: int64(len(b)), CRC: crc(b), Header: h, First: 7, Last: 8}
	if _, err := put(t.Context(), mem, "x", b, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(t, mem, ref)
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	want := []LogRecord{{7, 1000, 2, 0, false, []byte("abc")}, {7, 1005, 2, 0, true, []byte("de")}, {8, 1010, 3, 0, true, []byte("f")}}
	for i, r := range got {
		w := want[i]
		if r.TXID != w.TXID || r.Position != w.Position || r.Epoch != w.Epoch || r.Last != w.Last || string(r.Data) != string(w.Data) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}
