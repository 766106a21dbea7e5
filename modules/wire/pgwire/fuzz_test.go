package pgwire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/types"
)

// stream is a connection that only has something to say.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(b []byte) (int, error)    { return s.Reader.Read(b) }
func (stream) SetReadDeadline(time.Time) error { return nil }

func FuzzInput(f *testing.F) {
	query, _ := (&pgproto3.Query{String: "SELECT 1"}).Encode(nil)
	f.Add(append(query, query...))
	f.Add([]byte{'Q', 0, 0, 0, 3})
	f.Add([]byte{'Q', 0, 0, 1, 0, 'S'})
	f.Fuzz(func(t *testing.T, data []byte) {
		type message struct {
			kind byte
			body string
			err  string
		}
		read := func(r io.Reader) (got []message) {
			in := &input{conn: stream{Reader: r}, patient: time.Minute, read: func(int) {}}
			for {
				kind, body, err := in.next(func(byte) int { return 1 << 10 })
				long := (*tooLongError)(nil)
				if errors.As(err, &long) {
					got = append(got, message{kind, "", "too long"})
					continue
				}
				if err != nil {
					return append(got, message{err: err.Error()})
				}
				got = append(got, message{kind, string(body), ""})
			}
		}
		whole, slow := read(bytes.NewReader(data)), read(iotest.OneByteReader(bytes.NewReader(data)))
		if len(whole) != len(slow) {
			t.Fatalf("%d messages at once, %d byte by byte", len(whole), len(slow))
		}
		for i := range whole {
			if whole[i] != slow[i] {
				t.Fatalf("%+v at once, %+v byte by byte", whole[i], slow[i])
			}
		}
	})
}

func FuzzBind(f *testing.F) {
	for _, m := range []*pgproto3.Bind{
		{Parameters: [][]byte{[]byte("1"), []byte("x"), nil, []byte("{1,2}"), []byte("1.5")}},
		{ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{0, 0, 0, 1}, []byte("x"), nil, {}, {0, 1, 0, 0, 0, 0, 0, 0, 0, 1}}, ResultFormatCodes: []int16{1}},
		{ParameterFormatCodes: []int16{0, 1, 0, 1, 0}, Parameters: [][]byte{nil, nil, nil, nil, nil}, ResultFormatCodes: []int16{0, 1}},
	} {
		b, err := m.Encode(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[5:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &client{x: &session.Session{}, unnamed: &session.Prepared{Params: []types.Type{
			types.T(types.Int4), types.T(types.Text), types.T(types.Bytes), types.T(types.JSONB), types.T(types.Numeric)}}}
		if err := c.bind(body); err != nil {
			return
		}
		var m pgproto3.Bind
		if err := m.Decode(body); err != nil || len(m.Parameters) != len(c.portals[m.DestinationPortal].args) {
			t.Fatalf("taken, but %v", err)
		}
	})
}

func FuzzStartup(f *testing.F) {
	f.Add([]byte("user\x00ada\x00options\x00-c a=b --c-d=e\\ f\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		params, _, err := startupParams(body)
		if err == nil {
			commandLine(params["options"])
		}
	})
}
