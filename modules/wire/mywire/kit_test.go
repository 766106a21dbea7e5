package mywire_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/mywire"
	"github.com/bop-platform/bop/modules/wire/session"
)

// kit is a server with a database named db.
type kit struct {
	testing.TB
	addr   string
	server *mywire.Server
	done   chan error // what Serve returned
}

func start(t testing.TB, o mywire.Options) *kit {
	t.Helper()
	files, err := filedb.Open(t.TempDir(), filedb.Options{LockTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	if err := files.CreateDatabase(context.Background(), "db"); err != nil {
		t.Fatal(err)
	}
	if o.Sessions == nil {
		if o.Sessions, err = session.NewServer(session.Options{Engine: files}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(o.Sessions.Close)
	s, err := mywire.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &kit{TB: t, addr: ln.Addr().String(), server: s, done: make(chan error, 1)}
	go func() { k.done <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("shutting down:", err)
		}
	})
	return k
}

// config is a go-sql-driver configuration for the server.
func (k *kit) config(change ...func(*mysql.Config)) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.ParseTime = "ada", "secret", "tcp", k.addr, "db", true
	c.Logger = &mysql.NopLogger{}
	for _, f := range change {
		f(c)
	}
	return c
}

// open returns one connection of go-sql-driver.
func (k *kit) open(change ...func(*mysql.Config)) *sql.Conn {
	k.Helper()
	c, err := k.try(change...)
	if err != nil {
		k.Fatal(err)
	}
	return c
}

func (k *kit) try(change ...func(*mysql.Config)) (*sql.Conn, error) {
	k.Helper()
	connector, err := mysql.NewConnector(k.config(change...))
	if err != nil {
		k.Fatal(err)
	}
	db := sql.OpenDB(connector)
	k.Cleanup(func() { db.Close() })
	return db.Conn(context.Background())
}

func exec(t testing.TB, c *sql.Conn, text string, args ...any) sql.Result {
	t.Helper()
	r, err := c.ExecContext(context.Background(), text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func one[T any](t testing.TB, c *sql.Conn, text string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRowContext(context.Background(), text, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// wantNumber checks the number of an error.
func wantNumber(t testing.TB, err error, number uint16) *mysql.MySQLError {
	t.Helper()
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != number {
		t.Fatalf("got %v, want error %d", err, number)
	}
	return e
}

// raw is a client that speaks the protocol by itself.
type raw struct {
	testing.TB
	net.Conn
	r   *bufio.Reader
	seq byte
	eof bool // EOF packets aren't deprecated
	// greeting is the server's first packet.
	greeting []byte
}

// The capabilities that raw clients ask for.
const (
	connectWithDB   = 1 << 3
	localFiles      = 1 << 7
	protocol41      = 1 << 9
	secure          = 1 << 15
	multiStatements = 1 << 16
	multiResults    = 1 << 17
	pluginAuth      = 1 << 19
	deprecateEOF    = 1 << 24
	plain           = protocol41 | secure | pluginAuth | connectWithDB | multiResults
)

// dial connects and reads the greeting.
func (k *kit) dial(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", k.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := &raw{TB: t, Conn: conn, r: bufio.NewReader(conn)}
	r.greeting = r.packet()
	return r
}

// raw connects and begins a session with these capabilities.
func (k *kit) raw(t testing.TB, caps uint32) *raw {
	t.Helper()
	r := k.dial(t)
	r.eof = caps&deprecateEOF == 0
	r.login(caps, "ada", "", "db")
	if p := r.packet(); p[0] != 0 {
		t.Fatalf("not let in: %q", p)
	}
	return r
}

func (r *raw) login(caps uint32, user, answer, database string) {
	r.Helper()
	p := binary.LittleEndian.AppendUint32(nil, caps)
	p = binary.LittleEndian.AppendUint32(p, 1<<24)
	p = append(p, 45)
	p = append(p, make([]byte, 23)...)
	p = append(append(p, user...), 0)
	p = append(p, byte(len(answer)))
	p = append(p, answer...)
	if caps&connectWithDB != 0 {
		p = append(append(p, database...), 0)
	}
	if caps&pluginAuth != 0 {
		p = append(p, "mysql_native_password\x00"...)
	}
	r.write(p)
}

// write sends a packet with the next number.
func (r *raw) write(p []byte) {
	r.Helper()
	for {
		n := min(len(p), 1<<24-1)
		head := []byte{byte(n), byte(n >> 8), byte(n >> 16), r.seq}
		r.seq++
		if _, err := r.Write(append(head, p[:n]...)); err != nil {
			r.Fatal(err)
		}
		if p = p[n:]; n < 1<<24-1 {
			return
		}
	}
}

// command begins a command.
func (r *raw) command(code byte, body ...byte) {
	r.Helper()
	r.seq = 0
	r.write(append([]byte{code}, body...))
}

func (r *raw) query(text string) { r.Helper(); r.command(3, []byte(text)...) }

// packet reads the next packet and checks its number.
func (r *raw) packet() []byte {
	r.Helper()
	p, err := r.read()
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func (r *raw) read() ([]byte, error) {
	var out []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(r.r, head[:]); err != nil {
			return nil, err
		}
		if head[3] != r.seq {
			return nil, fmt.Errorf("packet number %d, want %d", head[3], r.seq)
		}
		r.seq++
		n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		p := make([]byte, n)
		if _, err := io.ReadFull(r.r, p); err != nil {
			return nil, err
		}
		out = append(out, p...)
		if n < 1<<24-1 {
			return out, nil
		}
	}
}

// short names a packet: "ok affected id status", "err number", "eof status", or its bytes.
func (r *raw) short() string {
	r.Helper()
	p, err := r.read()
	if err != nil {
		return "end " + err.Error()
	}
	return shorten(p)
}

func shorten(p []byte) string {
	switch {
	case len(p) == 0:
		return "empty"
	case p[0] == 0xff:
		return fmt.Sprintf("err %d", binary.LittleEndian.Uint16(p[1:]))
	case p[0] == 0xfe && len(p) == 5:
		return fmt.Sprintf("eof %#x", binary.LittleEndian.Uint16(p[3:]))
	case p[0] == 0xfe && len(p) == 7:
		return fmt.Sprintf("ok %#x", binary.LittleEndian.Uint16(p[3:]))
	case p[0] == 0 && len(p) >= 7 && p[1] < 251 && p[2] < 251:
		return fmt.Sprintf("ok %d %d %#x", p[1], p[2], binary.LittleEndian.Uint16(p[3:]))
	}
	return fmt.Sprintf("%q", p)
}

// want checks the next packets.
func (r *raw) want(packets ...string) {
	r.Helper()
	for i, p := range packets {
		got := ""
		if b, err := r.read(); err != nil {
			got = "end " + err.Error()
		} else if got = shorten(b); strings.HasPrefix(p, `"`) && b[0] == 0 { // a binary row
			got = fmt.Sprintf("%q", b)
		}
		if got != p {
			r.Fatalf("packet %d: got %s, want %s", i, got, p)
		}
	}
}

// columns reads the head of a result: the number of columns, and what ends their definitions.
func (r *raw) columns(end string) (defs [][]byte) {
	r.Helper()
	p := r.packet()
	if len(p) != 1 {
		r.Fatalf("not a result: %s", shorten(p))
	}
	for range p[0] {
		defs = append(defs, r.packet())
	}
	if end != "" {
		r.want(end)
	}
	return defs
}

// prepare prepares a statement and returns its number.
func (r *raw) prepare(text string) []byte {
	r.Helper()
	r.command(0x16, []byte(text)...)
	p := r.packet()
	if p[0] != 0 || len(p) != 12 {
		r.Fatalf("not prepared: %s", shorten(p))
	}
	columns, params := int(binary.LittleEndian.Uint16(p[5:])), int(binary.LittleEndian.Uint16(p[7:]))
	for _, n := range []int{params, columns} {
		for range n {
			r.packet()
		}
		if n > 0 && r.eof {
			r.packet()
		}
	}
	return p[1:5]
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
