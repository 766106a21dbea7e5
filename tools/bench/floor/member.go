package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"sync"
)

// headerBytes come before a record: its length (4), the CRC32C of what follows (4), its sequence number (8).
const headerBytes = 16

// maxRecord bounds what a follower believes of a length.
const maxRecord = 64 << 20

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errBroken  = errors.New("floor: bytes that no leader sends")
)

func appendRecord(b []byte, seq uint64, rec []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(rec)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, rec...)
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// nextRecord returns the first record of b and how many bytes it has with its header; n is 0 if it isn't complete yet.
func nextRecord(b []byte) (seq uint64, rec []byte, n int, err error) {
	if len(b) < headerBytes {
		return 0, nil, 0, nil
	}
	length := binary.LittleEndian.Uint32(b)
	if length > maxRecord {
		return 0, nil, 0, fmt.Errorf("%w: a record of %d bytes", errBroken, length)
	}
	n = headerBytes + int(length)
	if len(b) < n {
		return 0, nil, 0, nil
	}
	if crc32.Checksum(b[8:n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, 0, fmt.Errorf("%w: a wrong checksum", errBroken)
	}
	return binary.LittleEndian.Uint64(b[8:]), b[headerBytes:n], n, nil
}

// journal is a file of zeros that is written from its beginning to its end, and over again.
type journal struct {
	f    *os.File
	size int64
	at   int64
}

func createJournal(name string, size int64) (*journal, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("floor: making a member's file: %w", err)
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
	}
	if err = errors.Join(err, f.Sync()); err != nil {
		return nil, errors.Join(fmt.Errorf("floor: filling %s: %w", name, err), f.Close())
	}
	return &journal{f: f, size: size}, nil
}

// write makes whole records durable.
func (j *journal) write(b []byte) error {
	if j.at+int64(len(b)) > j.size {
		j.at = 0
	}
	if _, err := j.f.WriteAt(b, j.at); err != nil {
		return fmt.Errorf("floor: writing %s: %w", j.f.Name(), err)
	}
	j.at += int64(len(b))
	if err := datasync(j.f); err != nil {
		return fmt.Errorf("floor: syncing %s: %w", j.f.Name(), err)
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

// Follower writes what a leader sends and answers with the number of the last record that is on its disk. It follows one
// leader, once.
type Follower struct {
	listener net.Listener
	file     *journal
	done     chan struct{}

	mu   sync.Mutex
	conn net.Conn
	err  error // why it ended, other than that its leader went away
}

// Follow makes a follower's file and listens for its leader.
func Follow(name, address string, o Options) (*Follower, error) {
	o.defaults()
	file, err := createJournal(name, o.FileBytes)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("floor: listening: %w", err), file.close())
	}
	f := &Follower{listener: l, file: file, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer file.close()
		conn, err := l.Accept()
		l.Close()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conn = conn
		f.mu.Unlock()
		defer conn.Close()
		f.fail(f.follow(conn))
	}()
	return f, nil
}

func (f *Follower) follow(conn net.Conn) error {
	buf := make([]byte, 1<<20)
	var answer [8]byte
	have := 0
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return nil // the leader is gone
		}
		have += n
		for {
			whole, last, err := split(buf[:have])
			if err != nil {
				return err
			}
			if whole == 0 {
				break
			}
			if err := f.file.write(buf[:whole]); err != nil {
				return err
			}
			binary.LittleEndian.PutUint64(answer[:], last)
			if _, err := conn.Write(answer[:]); err != nil {
				return nil
			}
			have = copy(buf, buf[whole:have])
		}
		if have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// split returns how many bytes the first MaxBatch whole records of b have, and the number of the last of them.
func split(b []byte) (whole int, last uint64, err error) {
	for range MaxBatch {
		seq, _, n, err := nextRecord(b[whole:])
		if err != nil {
			return 0, 0, err
		}
		if n == 0 {
			break
		}
		whole, last = whole+n, seq
	}
	return whole, last, nil
}

func (f *Follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Addr is where it listens.
func (f *Follower) Addr() string { return f.listener.Addr().String() }

// Close ends the follower and returns what it has failed with.
func (f *Follower) Close() error {
	f.listener.Close()
	f.mu.Lock()
	if f.conn != nil {
		f.conn.Close()
	}
	f.mu.Unlock()
	<-f.done
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
