package mywire

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
)

func FuzzLogin(f *testing.F) {
	f.Add([]byte("\x8d\xa2\xbf\x00\x00\x00\x00\x01-\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00bop\x00\x00bop\x00caching_sha2_password\x00\x10\x03_os\x05Linux\x04_pid\x0242"))
	f.Fuzz(func(t *testing.T, p []byte) {
		l, err := parseLogin(p)
		if err == nil && (len(l.user)+len(l.answer)+len(l.database)+len(l.plugin) > len(p) || len(l.attrs) > 32) {
			t.Fatalf("%q gives %+v", p, l)
		}
	})
}

// FuzzLines checks that a file gives the same lines however it is cut into packets.
func FuzzLines(f *testing.F) {
	f.Add("a,\"b \"\"c\"\"\",\\N\r\nd\\,e,NULL,\r\n", ",", "\r\n", "\"", "\\", "", uint8(1), uint8(3))
	f.Add("xx1\t2\nnothing\nxx3\n", "\t", "\n", "", "", "xx", uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, file, term, end, quote, escape, start string, skip, cut uint8) {
		if term == "" || end == "" || len(file) > 1<<12 {
			return
		}
		s := &ir.LoadData{FieldsTerminated: term, LinesTerminated: end, FieldsEnclosed: quote, FieldsEscaped: escape, LinesStarting: start, IgnoreLines: int(skip % 4)}
		read := func(n int) (rows [][]string) {
			l := newLines(s)
			rest := []byte(file)
			for {
				m := min(n, len(rest))
				err := l.feed(rest[:m], m == len(rest), func(fields []cell) error {
					row := make([]string, len(fields))
					for i, c := range fields {
						if row[i] = string(c.b); c.null {
							row[i] = "\x00NULL"
						}
					}
					rows = append(rows, row)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if rest = rest[m:]; len(rest) == 0 {
					return rows
				}
			}
		}
		whole, pieces := read(len(file)+1), read(int(cut)%16+1)
		if !reflect.DeepEqual(whole, pieces) {
			t.Fatalf("at once %q, in pieces %q", whole, pieces)
		}
	})
}

// pipes is a listener whose connections are made in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// FuzzCommands sends commands of any content. Texts of statements are taken from a list: what they do is fuzzed elsewhere.
func FuzzCommands(f *testing.F) {
	files, err := filedb.Open(f.TempDir(), filedb.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { files.Close() })
	if err := files.CreateDatabase(context.Background(), "db"); err != nil {
		f.Fatal(err)
	}
	sessions, err := session.NewServer(session.Options{Engine: files})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(sessions.Close)
	var log bytes.Buffer
	s, err := NewServer(Options{Sessions: sessions, MaxPacket: 64 << 10, PacketTimeout: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		f.Fatal(err)
	}
	ln := make(pipes)
	go s.Serve(context.Background(), ln)
	f.Cleanup(func() {
		close(ln)
		s.Shutdown(context.Background())
	})
	texts := []string{"SELECT ?, ?", "SELECT 1", "SELECT 1; SELECT 2", "SET sql_mode = 'ANSI'", "INSERT INTO t VALUES (?, ?, ?)", "SELECT * FROM t WHERE a = ? AND d > ?",
		"CREATE TABLE IF NOT EXISTS t (a INT, b TEXT, d DATETIME)", "BEGIN", "COMMIT", "SELEC", "LOAD DATA LOCAL INFILE 'x' INTO TABLE t"}

	f.Add([]byte("\x02\x03\x06\x02\x16\x00\x16\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x08\x00\xfd\x00\x07\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x02\x16\x01\x0a\x17\x01\x00\x00\x00\x01\x01\x00\x00\x00\x09\x1c\x01\x00\x00\x00\x05\x00\x00\x00"))
	f.Add([]byte("\x02\x16\x00\x08\x18\x01\x00\x00\x00\x00\x00a\x05\x1a\x01\x00\x00\x00\x05\x19\x01\x00\x00\x00\x01\x1f\x03\x1b\x00\x00"))
	f.Add([]byte("\x15\x11bob\x00\x00db\x00\x2d\x00native\x00\x00\x01\x09\x01\x0a\x02\x02d\x03\x04t\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<10 {
			return
		}
		client, server := net.Pipe()
		defer client.Close()
		client.SetDeadline(time.Now().Add(10 * time.Second))
		ln <- server
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(io.Discard, client)
		}()
		send := func(seq byte, p []byte) bool {
			_, err := client.Write(append([]byte{byte(len(p)), byte(len(p) >> 8), 0, seq}, p...))
			return err == nil
		}
		const caps = "\x88\xa2\x0b\x00" // PROTOCOL_41, CONNECT_WITH_DB, LOCAL_FILES, MULTI_STATEMENTS and the like
		ok := send(1, []byte(caps+"\x00\x00\x00\x01-"+strings.Repeat("\x00", 23)+"ada\x00\x00db\x00mysql_native_password\x00"))
		for ok && len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			p := data[1 : 1+n]
			data = data[1+n:]
			if n > 1 && (p[0] == comQuery || p[0] == comStmtPrepare) {
				p = append([]byte{p[0]}, texts[int(p[1])%len(texts)]...)
			}
			ok = send(0, p)
		}
		send(0, []byte{comQuit})
		client.Close()
		<-ended
		if strings.Contains(log.String(), "panicked") {
			t.Fatal(log.String())
		}
	})
}
