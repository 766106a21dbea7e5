package crashfs

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
)

// Mode says what survives a crash of what was not synced.
type Mode uint8

// The modes.
const (
	Lost      Mode = iota // nothing
	Kept                  // everything: the process died, the machine didn't
	Torn                  // the first changes in order, the last of them up to some sector
	Reordered             // any sectors and names, whatever their order
)

func (m Mode) String() string { return [...]string{"lost", "kept", "torn", "reordered"}[m] }

// Image returns a new disk that looks as this one may after a crash. seed chooses among the states of Torn and
// Reordered; the same seed gives the same image. No lock is held on it.
func (f *FS) Image(mode Mode, seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	random := rand.New(rand.NewPCG(seed, uint64(mode)))
	names := maps.Clone(f.durable)
	moves := f.moves
	switch mode {
	case Lost:
		moves = nil
	case Torn:
		moves = moves[:random.IntN(len(moves)+1)]
	case Reordered:
		moves = slices.DeleteFunc(slices.Clone(moves), func(move) bool { return random.IntN(2) == 0 })
	}
	for _, m := range moves {
		m.apply(names)
	}
	image := New()
	maps.Copy(image.dirs, f.dirs)
	done := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) { // in order, so that a seed means one image
		node := names[name]
		if done[node] == nil {
			data := node.after(mode, random)
			done[node] = &inode{data: data, safe: slices.Clone(data)}
		}
		image.names[name] = done[node]
	}
	maps.Copy(image.durable, image.names)
	return image
}

// Images yields the lost and the kept image, and n each of the torn and reordered ones, with what they are.
func (f *FS) Images(n uint64) iter.Seq2[Mode, *FS] {
	return func(yield func(Mode, *FS) bool) {
		for _, mode := range []Mode{Lost, Kept, Torn, Reordered} {
			count := n
			if mode <= Kept {
				count = 1
			}
			for seed := range count {
				if !yield(mode, f.Image(mode, seed)) {
					return
				}
			}
		}
	}
}

// after returns a file's bytes after a crash.
func (n *inode) after(mode Mode, random *rand.Rand) []byte {
	data := slices.Clone(n.safe)
	switch mode {
	case Kept:
		return slices.Clone(n.data)
	case Torn:
		count := random.IntN(len(n.pending) + 1)
		for i, c := range n.pending[:count] {
			if i == count-1 && c.data != nil {
				c.data = c.data[:sectorCut(c, random)]
				if len(c.data) == 0 {
					continue
				}
			}
			data = c.apply(data)
		}
	case Reordered:
		return n.reordered(random)
	}
	return data
}

// reordered chooses for each sector how many of the changes to it happened: a sector on the disk is one that the cache
// held at some moment, so a later change is never there without the earlier ones. The length is chosen likewise.
func (n *inode) reordered(random *rand.Rand) []byte {
	cache := slices.Clone(n.safe)
	versions := map[int64][][]byte{} // of sectors, the safe one first
	lengths := []int64{int64(len(cache))}
	longest := len(cache)
	keep := func(sector int64) {
		var b [Sector]byte
		if off := sector * Sector; off < int64(len(cache)) {
			copy(b[:], cache[off:])
		}
		versions[sector] = append(versions[sector], b[:])
	}
	for _, c := range n.pending {
		from, to := c.off, c.off+int64(len(c.data))
		if c.data == nil { // what is between the two lengths becomes zeros
			from, to = min(c.size, int64(len(cache))), int64(len(cache))
		}
		for sector := from / Sector; sector*Sector < to; sector++ {
			if versions[sector] == nil {
				keep(sector)
			}
		}
		cache = c.apply(cache)
		for sector := from / Sector; sector*Sector < to; sector++ {
			keep(sector)
		}
		lengths = append(lengths, int64(len(cache)))
		longest = max(longest, len(cache))
	}
	data := resized(slices.Clone(n.safe), int64(longest))
	for _, sector := range slices.Sorted(maps.Keys(versions)) { // in order, so that a seed means one image
		choices := versions[sector]
		if off := sector * Sector; off < int64(longest) {
			copy(data[off:], choices[random.IntN(len(choices))])
		}
	}
	return resized(data, lengths[random.IntN(len(lengths))])
}

// sectorCut returns how many bytes of a write happen when it is torn at a sector's end.
func sectorCut(c change, random *rand.Rand) int {
	first := Sector - int(c.off%Sector)
	whole := 1
	if len(c.data) > first {
		whole += (len(c.data) - first + Sector - 1) / Sector
	}
	k := random.IntN(whole + 1)
	if k == 0 {
		return 0
	}
	return min(first+(k-1)*Sector, len(c.data))
}
