package tcpnet

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// link is a connection after its handshake: frames in both directions, either of which may find the peer dead.
type link struct {
	conn  net.Conn
	raw   net.Conn // below TLS; closing it never waits
	in    *bufio.Reader
	frame frameReader
	dead  time.Duration
	sent  atomic.Int64 // when the peer last took much, in nanoseconds since epoch

	writing sync.Mutex // held while a frame is written
	taken   int        // bytes since sent was set; guarded by writing

	closing sync.Once
	gone    chan struct{} // closed when the link is
	ended   chan struct{} // closed when whoever serves an incoming link is done with it
}

// epoch is the origin of monotonic times.
var epoch = time.Now()

func newLink(conn, raw net.Conn, dead time.Duration, maxPayload int) *link {
	l := &link{conn: conn, raw: raw, dead: dead, gone: make(chan struct{}), ended: make(chan struct{})}
	l.in = bufio.NewReaderSize((*progress)(l), 64<<10)
	l.frame = frameReader{r: l.in, limit: maxPayload}
	return l
}

func (l *link) close() {
	l.closing.Do(func() {
		close(l.gone)
		l.raw.Close()
	})
}

// progress reads for a link. It waits as long as the peer at least takes what is sent to it: an answer may be due only
// behind all of that.
type progress link

func (p *progress) Read(b []byte) (int, error) {
	for {
		if err := p.conn.SetReadDeadline(time.Now().Add(p.dead)); err != nil {
			return 0, err
		}
		n, err := p.conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if time.Since(epoch)-time.Duration(p.sent.Load()) > p.dead {
			return 0, fmt.Errorf("%w for %v", ErrDead, p.dead)
		}
	}
}

// write sends bytes, in pieces: each of them must be taken in time, but all together may last longer.
func (l *link) write(b []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	const piece = 256 << 10
	for len(b) > 0 {
		if err := l.conn.SetWriteDeadline(time.Now().Add(l.dead)); err != nil {
			return err
		}
		n, err := l.conn.Write(b[:min(piece, len(b))])
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("%w: it took nothing for %v", ErrDead, l.dead)
			}
			return err
		}
		b = b[n:]
		// The kernel takes a little even for a peer that is gone, but not much.
		if l.taken += n; l.taken >= piece {
			l.taken = 0
			l.sent.Store(int64(time.Since(epoch)))
		}
	}
	return nil
}

var (
	pingFrame = appendFrame(nil, kindPing)
	pongFrame = appendFrame(nil, kindPong)
)

// keepAlive pings until the link or stop is closed: for times in which this side works and has nothing to say.
func (l *link) keepAlive(every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-l.gone:
			return
		case <-tick.C:
			if l.write(pingFrame) != nil {
				l.close()
				return
			}
		}
	}
}

// next returns the next frame that isn't a ping.
func (l *link) next() (kind, []byte, error) {
	for {
		k, p, err := l.frame.next()
		if err != nil || k != kindPing {
			return k, p, err
		}
	}
}

// expect returns the payload of the next frame, which must be of one kind and, unless size is -1, of one size.
func (l *link) expect(want kind, size int) ([]byte, error) {
	k, p, err := l.next()
	if err != nil {
		return nil, err
	}
	if k != want || size >= 0 && len(p) != size {
		return nil, fmt.Errorf("%w: frame of kind %d with %d bytes where %d was due", ErrProtocol, k, len(p), want)
	}
	return p, nil
}
