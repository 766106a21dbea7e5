package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// A pin says which manifest a node reads by. It protects every object that this manifest names: those that it or an earlier
// one named first, and a later one ceased to name, which Garbage tells.
type pin struct {
	Node     string    `json:"node"`
	Sequence uint64    `json:"sequence"`
	Until    time.Time `json:"until"`
	all      bool      // it protects everything
}

const maxPin = 4 << 10

func (s *Space) pinKey(node string) (string, error) {
	if node == "" || len(node) > 128 || strings.Trim(node, ".") == "" || strings.Trim(node, pinAlphabet) != "" {
		return "", fmt.Errorf("%q can't be the name of a pin: letters, digits, '.', '_' and '-' only", node)
	}
	return s.folder() + "pins/" + node, nil
}

const pinAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// Pin says that a node reads by the manifest with that sequence, for PinTTL from now on; it replaces the node's pin.
// Then it looks whether all that m names is still there: if not, it fails with ErrPinLost, and the pin stays for the
// node to replace. m may be nil if the manifest was loaded within the grace.
func (s *Space) Pin(ctx context.Context, node string, sequence uint64, m *Manifest) error {
	key, err := s.pinKey(node)
	if err != nil {
		return err
	}
	b, err := json.Marshal(pin{Node: node, Sequence: sequence, Until: s.o.Clock().Add(s.o.PinTTL).UTC()})
	if err != nil {
		return err
	}
	if _, err := put(ctx, s.objects, key, b, objstore.PutOptions{}); err != nil {
		return fmt.Errorf("pinning manifest %d for %s: %w", sequence, node, err)
	}
	if m == nil {
		return nil
	}
	// The order matters: whoever deletes condemns first, by a new manifest, and then reads the pins.
	newest, _, err := s.Load(ctx)
	if err != nil {
		return fmt.Errorf("pinning manifest %d for %s: %w", sequence, node, err)
	}
	there := newest.names()
	for _, g := range newest.Garbage {
		if g.Condemned.IsZero() {
			there[g.Key] = g.Named
		}
	}
	for k := range m.keys {
		if !has(there, k) {
			return fmt.Errorf("pinning manifest %d for %s: %w: %s is gone, and the newest is manifest %d", sequence, node, ErrPinLost, k, newest.Sequence)
		}
	}
	return nil
}

// Unpin takes a node's pin away.
func (s *Space) Unpin(ctx context.Context, node string) error {
	key, err := s.pinKey(node)
	if err != nil {
		return err
	}
	if err := s.objects.Delete(ctx, key); err != nil {
		return fmt.Errorf("unpinning for %s: %w", node, err)
	}
	return nil
}

// pins reads the pins of a lineage that hold. seen has the keys of those that were there at an earlier time, in case a
// list doesn't show them; it is added to.
func (s *Space) pins(ctx context.Context, lineage uint64, seen map[string]bool) ([]pin, error) {
	prefix := lineageName(lineage) + "/pins/"
	for info, err := range s.objects.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("listing pins: %w", err)
		}
		seen[info.Key] = true
	}
	now := s.o.Clock()
	var list []pin
	for key := range seen {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		b, info, err := get(ctx, s.objects, key, maxPin)
		if errors.Is(err, objstore.ErrNotFound) {
			delete(seen, key)
			continue
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, fmt.Errorf("reading pin %s: %w", key, err)
		}
		var p pin
		if err != nil || json.Unmarshal(b, &p) != nil || p.Until.IsZero() {
			// Nobody can tell what it protects: everything, as long as it could hold.
			p = pin{Node: key, Until: info.Modified.Add(s.o.PinTTL), all: true}
			s.o.Logger.Warn("a pin can't be read, so it protects everything", "key", key, "until", p.Until)
		}
		if p.Until.After(now) {
			list = append(list, p)
		}
	}
	return list, nil
}

// protects tells whether the pin's manifest names what later became garbage.
func (p pin) protects(g *Garbage) bool {
	return p.all || g.Named <= p.Sequence && p.Sequence < g.Sequence
}
