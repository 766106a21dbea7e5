package backup

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// Manifest names all that a bucket has of one lineage of a database. One that was loaded or committed must not be
// changed; Writer.Commit gives out copies for that.
type Manifest struct {
	Sequence uint64  `json:"-"` // one more, at least, with each manifest; goes on in a new lineage
	Epoch    uint64  `json:"-"` // of the writer
	Database page.ID `json:"-"`
	Lineage  uint64  `json:"-"`

	Name      string    `json:"name,omitempty"`      // of the database, for people
	Parent    *Fork     `json:"parent,omitempty"`    // nil: the database began in this lineage
	Successor uint64    `json:"successor,omitempty"` // lineage that took over; 0: none
	Objects   []Object  `json:"objects,omitempty"`   // page objects, in the order of their addition
	Logs      []LogRef  `json:"logs,omitempty"`      // log objects, in the order of their addition
	Position  uint64    `json:"position,omitempty"`  // in the cluster's log: of the newest transaction that page objects hold
	Garbage   []Garbage `json:"garbage,omitempty"`   // kept by Writer.Commit

	Keyring []byte `json:"-"` // encoded; nil: the database isn't encrypted

	writer [16]byte // who wrote it
}

// Fork is where a lineage came from.
type Fork struct {
	Lineage uint64    `json:"lineage"`
	TXID    page.TXID `json:"txid"` // the newest transaction that both have
}

// Purpose says why a page object was made.
type Purpose string

// What page objects are made for. Full, incremental and differential ones are snapshots: someone wants to get back to
// them, and Retention says for how long. The others are there as long as something needs them.
const (
	PurposeUpload       Purpose = "upload"
	PurposeFull         Purpose = "full"
	PurposeIncremental  Purpose = "incremental"
	PurposeDifferential Purpose = "differential"
	PurposeMerged       Purpose = "merged"
)

// Snapshot tells whether objects made for this are restore points that Retention is about.
func (p Purpose) Snapshot() bool {
	return p == PurposeFull || p == PurposeIncremental || p == PurposeDifferential
}

func (p Purpose) valid() bool {
	return p.Snapshot() || p == PurposeUpload || p == PurposeMerged
}

// Levels of page objects. They are Litestream's: its restore begins with an object of LevelFull and takes from the others
// what leads furthest.
const (
	LevelUpload = 0
	LevelMost   = 8 // of objects that aren't full
	LevelFull   = 9
)

// Object is a page object. One with Min 1 holds all pages of the database.
type Object struct {
	pageobj.Ref
	ID       string    // 8 random hexadecimal digits
	Purpose  Purpose   //
	Label    string    // what people call it, may be empty
	Created  time.Time // when it was put
	Position uint64    // of transaction Max in the cluster's log
	Sequence uint64    // of the first manifest that names it; Writer.Commit sets it
	DataKey  uint32    // number of the data key that seals it, 0: it is in the clear
}

// objectJSON is an Object as it is stored: pageobj.Ref may have an encoding of its own, which Object must not inherit.
type objectJSON struct {
	Ref      pageobj.Ref `json:"ref"`
	ID       string      `json:"id"`
	Purpose  Purpose     `json:"purpose"`
	Label    string      `json:"label,omitempty"`
	Created  time.Time   `json:"created"`
	Position uint64      `json:"position,omitempty"`
	Sequence uint64      `json:"sequence"`
	DataKey  uint32      `json:"datakey,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (o Object) MarshalJSON() ([]byte, error) {
	return json.Marshal(objectJSON{o.Ref, o.ID, o.Purpose, o.Label, o.Created, o.Position, o.Sequence, o.DataKey})
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(b []byte) error {
	var j objectJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*o = Object{j.Ref, j.ID, j.Purpose, j.Label, j.Created, j.Position, j.Sequence, j.DataKey}
	return nil
}

// LogRef names a log object: whole transactions, one after the other.
type LogRef struct {
	Key       string    `json:"key"`
	Size      int64     `json:"size"`
	CRC       uint32    `json:"crc"`    // CRC32C of the object
	Header    []byte    `json:"header"` // with which the object begins; it has random bytes, so no other object begins so
	First     page.TXID `json:"first"`
	Last      page.TXID `json:"last"`      // what the object has beyond doesn't count
	Position  uint64    `json:"position"`  // of the last part of Last in the cluster's log
	Epoch     uint64    `json:"epoch"`     // of transaction Last
	FirstTime int64     `json:"firsttime"` // when First was committed, microseconds since 1970
	LastTime  int64     `json:"lasttime"`  // when Last was
	Records   int       `json:"records"`
	Lineage   uint64    `json:"lineage"`            // that the records name
	Sequence  uint64    `json:"sequence"`           // of the first manifest that names it; Writer.Commit sets it
	DataKeys  []uint32  `json:"datakeys,omitempty"` // numbers of the data keys that seal its records, ascending; 0: in the clear
}

// Garbage is an object that the manifest doesn't name any more.
type Garbage struct {
	Key       string    `json:"key"`
	Since     time.Time `json:"since"`
	Named     uint64    `json:"named"`              // sequence of the first manifest that named it; 0: none did
	Sequence  uint64    `json:"sequence"`           // of the first one that didn't any more
	Condemned time.Time `json:"condemned,omitzero"` // when it was decided to delete it
	Deleted   bool      `json:"deleted,omitempty"`  // it is gone; its name must not be given again for some time
}

// Add adds a page object, and brings Position up to date.
func (m *Manifest) Add(o Object) {
	newest := o.Max >= m.newestObject()
	m.Objects = append(m.Objects, o)
	if newest {
		m.Position = max(m.Position, o.Position)
	}
}

func (m *Manifest) newestObject() page.TXID {
	var t page.TXID
	for i := range m.Objects {
		t = max(t, m.Objects[i].Max)
	}
	return t
}

// AddLog adds a log object.
func (m *Manifest) AddLog(l LogRef) { m.Logs = append(m.Logs, l) }

// Remove takes objects out, page objects and log objects, by their keys. Writer.Commit makes garbage of them.
func (m *Manifest) Remove(keys ...string) {
	gone := make(map[string]bool, len(keys))
	for _, k := range keys {
		gone[k] = true
	}
	m.Objects = slices.DeleteFunc(m.Objects, func(o Object) bool { return gone[o.Key] })
	m.Logs = slices.DeleteFunc(m.Logs, func(l LogRef) bool { return gone[l.Key] })
}

// Snapshots lists the page objects that are snapshots, the oldest first.
func (m *Manifest) Snapshots() []Object {
	var list []Object
	for _, o := range m.Objects {
		if o.Purpose.Snapshot() {
			list = append(list, o)
		}
	}
	slices.SortStableFunc(list, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Max, b.Max), a.Created.Compare(b.Created))
	})
	return list
}

// DataKeys tells how many bytes of what the manifest names are sealed by each data key, by its number; 0: in the clear.
// The bytes of a log object count for each key that seals any of its records. As long as a key is there, it must stay in
// the keyring.
func (m *Manifest) DataKeys() map[uint32]int64 {
	keys := map[uint32]int64{}
	seen := map[string]bool{}
	for i := range m.Objects {
		if o := &m.Objects[i]; !seen[o.Key] {
			seen[o.Key] = true
			keys[o.DataKey] += o.Size + o.Index.Size
		}
	}
	for i := range m.Logs {
		for _, k := range m.Logs[i].DataKeys {
			keys[k] += m.Logs[i].Size
		}
	}
	return keys
}

// Clone returns a copy that can be changed.
func (m *Manifest) Clone() *Manifest {
	c := *m
	if m.Parent != nil {
		c.Parent = new(*m.Parent)
	}
	c.Objects = slices.Clone(m.Objects)
	c.Logs = slices.Clone(m.Logs)
	c.Garbage = slices.Clone(m.Garbage)
	return &c
}

// keys calls yield for each key that the manifest names.
func (m *Manifest) keys(yield func(string) bool) {
	for i := range m.Objects {
		if !yield(m.Objects[i].Key) || !yield(m.Objects[i].Index.Key) {
			return
		}
	}
	for i := range m.Logs {
		if !yield(m.Logs[i].Key) {
			return
		}
	}
}

// names are the keys that the manifest names, and since which manifest.
func (m *Manifest) names() map[string]uint64 {
	set := make(map[string]uint64, 2*len(m.Objects)+len(m.Logs))
	add := func(key string, sequence uint64) {
		if old, ok := set[key]; !ok || sequence < old {
			set[key] = sequence
		}
	}
	for i := range m.Objects {
		o := &m.Objects[i]
		add(o.Key, o.Sequence)
		add(o.Index.Key, o.Sequence)
	}
	for i := range m.Logs {
		add(m.Logs[i].Key, m.Logs[i].Sequence)
	}
	return set
}

// has tells whether a set of names has a key.
func has[V any](set map[string]V, key string) bool { _, ok := set[key]; return ok }

// What no manifest comes near: sums of them don't overflow.
const (
	maxTXID   = 1 << 62
	maxObject = 1 << 50 // bytes
)

// check finds what can't be in a manifest.
func (m *Manifest) check() error {
	for i := range m.Objects {
		o := &m.Objects[i]
		switch {
		case !o.Purpose.valid():
			return damaged("page object %q: unknown purpose %q", o.Key, o.Purpose)
		case o.Min < 1 || o.Min > o.Max || o.Max != o.State.TXID || o.Max > maxTXID:
			return damaged("page object %q: impossible transactions %d to %d", o.Key, o.Min, o.Max)
		case !page.ValidSize(o.State.Size) || o.State.Pages == 0:
			return damaged("page object %q: impossible size of the database", o.Key)
		case o.Size < 0 || o.Size > maxObject || o.Index.Size < 0 || o.Index.Size > maxObject || o.Level < 0 || o.Level > LevelFull:
			return damaged("page object %q: impossible size or level", o.Key)
		}
		for _, key := range []string{o.Key, o.Index.Key} {
			if err := checkKey(key); err != nil {
				return err
			}
		}
	}
	for i := range m.Logs {
		l := &m.Logs[i]
		if l.First < 1 || l.First > l.Last || l.Last > maxTXID || l.Size < logHeaderBytes+logFooterBytes || l.Size > maxObject || l.FirstTime > l.LastTime || len(l.Header) != logHeaderBytes {
			return damaged("log object %q: impossible size or transactions", l.Key)
		}
		if err := checkKey(l.Key); err != nil {
			return err
		}
	}
	for _, g := range m.Garbage {
		if err := checkKey(g.Key); err != nil {
			return err
		}
	}
	return nil
}

// checkKey refuses keys that don't begin with a lineage, which nothing in a manifest has: deleting by such a key could
// hit anything.
func checkKey(key string) error {
	if _, err := lineageOf(key); err != nil || objstore.CheckKey(key) != nil || folderOf(key) == "" || folderOf(key) == "pins" {
		return damaged("impossible key %q", key)
	}
	return nil
}

// lineageOf and folderOf take keys apart: <lineage>/<folder>/… A manifest is in no folder.
func lineageOf(key string) (uint64, error) {
	first, _, _ := strings.Cut(key, "/")
	return parseLineage(first)
}

func folderOf(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	folder, _, found := strings.Cut(rest, "/")
	if !found {
		return ""
	}
	return folder
}

func lineageName(lineage uint64) string { return fmt.Sprintf("%016x", lineage) }

func parseLineage(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err == nil && lineageName(n) != s {
		err = strconv.ErrSyntax
	}
	return n, err
}
