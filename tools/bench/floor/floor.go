// Package floor replicates records to three files over TCP with nothing that a consensus needs: no terms, no elections,
// no index, no restart. It is what replication with the same durability costs at least.
//
// The leader writes and syncs while both followers do, and answers when two of the three files have a record. Each of
// the three takes whatever has come while it was busy, up to MaxBatch records, as one write and one fdatasync.
package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// MaxBatch is how many records a member makes durable at once.
const MaxBatch = 1024

// These errors are returned by Commit.
var (
	// ErrClosed: Close was called.
	ErrClosed = errors.New("floor: closed")
	// ErrNoMajority: two members have failed. Whether the record is in a file isn't known.
	ErrNoMajority = errors.New("floor: two of three members have failed")
	// ErrTooLarge: a record doesn't fit into a file.
	ErrTooLarge = errors.New("floor: record is larger than a file")
)

const (
	members     = 3
	local       = 0       // the leader's own file; the others are the followers
	maxWaiting  = 8 << 20 // bytes that may wait for a member before proposers do
	defaultFile = 64 << 20
)

// Options configure a Group. Their zero value is useful.
type Options struct {
	// FileBytes is the size of each file, which is filled with zeros first and written over again and again. Default 64 MiB.
	FileBytes int64
}

func (o *Options) defaults() {
	if o.FileBytes <= 0 {
		o.FileBytes = defaultFile
	}
}

// Leader takes records and sends them to its two followers.
type Leader struct {
	o       Options
	file    *journal // the leader's
	conns   [members - 1]net.Conn
	running sync.WaitGroup

	mu      sync.Mutex
	room    sync.Cond // something was taken from a queue, or a member is gone
	last    uint64    // sequence number of the newest record
	queues  [members]queue
	durable [members]uint64 // up to which record each has everything
	waiting []waiter        // in order
	err     error           // why nothing more is taken
}

// queue is what a member has to write yet.
type queue struct {
	batches []batch // all but the last have MaxBatch records
	bytes   int
	wake    chan struct{}
	gone    bool
}

type batch struct {
	data  []byte
	count int
	last  uint64
}

type waiter struct {
	seq  uint64
	done chan error
}

var answers = sync.Pool{New: func() any { return make(chan error, 1) }}

// Lead makes the leader's file and connects to two followers that listen already.
func Lead(name string, followers [2]string, o Options) (*Leader, error) {
	o.defaults()
	g := &Leader{o: o}
	g.room.L = &g.mu
	for i := range g.queues {
		g.queues[i].wake = make(chan struct{}, 1)
	}
	var err error
	if g.file, err = createJournal(name, o.FileBytes); err != nil {
		return nil, err
	}
	for i, address := range followers {
		if g.conns[i], err = net.DialTimeout("tcp", address, 5*time.Second); err != nil {
			return nil, errors.Join(fmt.Errorf("floor: connecting to a follower: %w", err), g.release())
		}
	}
	g.running.Go(g.write)
	for i, c := range g.conns {
		g.running.Go(func() { g.send(i+1, c) })
		g.running.Go(func() { g.receive(i+1, c) })
	}
	return g, nil
}

// Commit returns when two of the three files have the record on disk. Errors: ErrClosed, ErrNoMajority, ErrTooLarge.
func (g *Leader) Commit(rec []byte) error {
	size := headerBytes + len(rec)
	if int64(size) > g.o.FileBytes {
		return ErrTooLarge
	}
	done := answers.Get().(chan error)
	g.mu.Lock()
	for g.err == nil && g.full() {
		g.room.Wait()
	}
	if g.err != nil {
		defer g.mu.Unlock()
		return g.err
	}
	g.last++
	for i := range g.queues {
		if q := &g.queues[i]; !q.gone {
			q.add(g.last, rec)
		}
	}
	g.waiting = append(g.waiting, waiter{g.last, done})
	g.mu.Unlock()
	err := <-done
	answers.Put(done)
	return err
}

func (g *Leader) full() bool {
	for i := range g.queues {
		if q := &g.queues[i]; !q.gone && q.bytes >= maxWaiting {
			return true
		}
	}
	return false
}

func (q *queue) add(seq uint64, rec []byte) {
	if n := len(q.batches); n == 0 || q.batches[n-1].count == MaxBatch {
		q.batches = append(q.batches, batch{data: buffers.Get().([]byte)[:0]})
	}
	b := &q.batches[len(q.batches)-1]
	b.data = appendRecord(b.data, seq, rec)
	b.count, b.last = b.count+1, seq
	q.bytes += headerBytes + len(rec)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

var buffers = sync.Pool{New: func() any { return make([]byte, 0, 64<<10) }}

// take waits for a batch. It returns false when there will be none.
func (g *Leader) take(member int) (batch, bool) {
	q := &g.queues[member]
	for {
		g.mu.Lock()
		if g.err != nil || q.gone {
			g.mu.Unlock()
			return batch{}, false
		}
		if len(q.batches) > 0 {
			b := q.batches[0]
			copy(q.batches, q.batches[1:])
			q.batches = q.batches[:len(q.batches)-1]
			if q.bytes >= maxWaiting {
				g.room.Broadcast()
			}
			q.bytes -= len(b.data)
			g.mu.Unlock()
			return b, true
		}
		g.mu.Unlock()
		<-q.wake
	}
}

// write makes what comes durable in the leader's own file.
func (g *Leader) write() {
	for {
		b, ok := g.take(local)
		if !ok {
			return
		}
		if err := g.file.write(b.data); err != nil {
			g.lose(local)
			return
		}
		buffers.Put(b.data)
		g.has(local, b.last)
	}
}

// send hands a follower what comes, without waiting for its answers.
func (g *Leader) send(member int, c net.Conn) {
	for {
		b, ok := g.take(member)
		if !ok {
			return
		}
		if _, err := c.Write(b.data); err != nil {
			g.lose(member)
			return
		}
		buffers.Put(b.data)
	}
}

// receive takes a follower's answers: the number of the last record on its disk.
func (g *Leader) receive(member int, c net.Conn) {
	var answer [8]byte
	for {
		if _, err := io.ReadFull(c, answer[:]); err != nil {
			g.lose(member)
			return
		}
		g.has(member, binary.LittleEndian.Uint64(answer[:]))
	}
}

// has notes that a member has everything up to seq and answers those whose records two members have now.
func (g *Leader) has(member int, seq uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.durable[member] = max(g.durable[member], seq)
	d := g.durable
	committed := max(min(d[0], d[1]), min(d[1], d[2]), min(d[0], d[2])) // the second of the three
	n := 0
	for n < len(g.waiting) && g.waiting[n].seq <= committed {
		g.waiting[n].done <- nil
		n++
	}
	g.waiting = g.waiting[:copy(g.waiting, g.waiting[n:])]
}

// lose goes on without a member, or ends the group when it was the second.
func (g *Leader) lose(member int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queues[member].gone = true
	g.queues[member].batches = nil
	wake(g.queues[member].wake)
	g.room.Broadcast()
	gone := 0
	for i := range g.queues {
		if g.queues[i].gone {
			gone++
		}
	}
	if gone > members/2 {
		g.end(ErrNoMajority)
	}
}

// end answers everybody who waits. mu is held.
func (g *Leader) end(err error) {
	if g.err != nil {
		return
	}
	g.err = err
	for _, w := range g.waiting {
		w.done <- err
	}
	g.waiting = nil
	for i := range g.queues {
		wake(g.queues[i].wake)
	}
	g.room.Broadcast()
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close ends the leader, and with it what its followers have to do. Those who wait in Commit get ErrClosed.
func (g *Leader) Close() error {
	g.mu.Lock()
	g.end(ErrClosed)
	g.mu.Unlock()
	return g.release()
}

// release closes what Open has opened.
func (g *Leader) release() error {
	for _, c := range g.conns {
		if c != nil {
			c.Close()
		}
	}
	g.running.Wait()
	if err := g.file.close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("floor: closing the leader's file: %w", err)
	}
	return nil
}
