package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// mysqlConn is a MySQL client with a connection attribute, as far as these tests need one.
type mysqlConn struct {
	t *testing.T
	net.Conn
}

// mysqlError is an error that the server has told.
type mysqlError struct {
	number int
	words  string
}

func (e *mysqlError) Error() string { return fmt.Sprintf("%d: %s", e.number, e.words) }

// connectMySQL logs in to database bop.
func connectMySQL(t *testing.T, addr, attribute, value string) *mysqlConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &mysqlConn{t, conn}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c.read() // the greeting
	const withDatabase, protocol41, secure, plugin, attributes = 0x8, 0x200, 0x8000, 0x80000, 0x100000
	b := binary.LittleEndian.AppendUint32(nil, withDatabase|protocol41|secure|plugin|attributes)
	b = binary.LittleEndian.AppendUint32(b, 1<<24)
	b = append(append(b, 45), make([]byte, 23)...)
	b = append(b, "ada\x00\x00bop\x00mysql_native_password\x00"...)
	pair := append(append([]byte{byte(len(attribute))}, attribute...), append([]byte{byte(len(value))}, value...)...)
	b = append(append(b, byte(len(pair))), pair...)
	c.write(1, b)
	if p := c.read(); p[0] != 0 {
		t.Fatalf("the login failed: %v", failure(p))
	}
	return c
}

func (c *mysqlConn) write(sequence byte, b []byte) {
	c.t.Helper()
	if _, err := c.Write(append([]byte{byte(len(b)), byte(len(b) >> 8), 0, sequence}, b...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *mysqlConn) read() []byte {
	c.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	return body
}

func failure(p []byte) error {
	if p[0] != 0xff {
		return nil
	}
	return &mysqlError{int(binary.LittleEndian.Uint16(p[1:])), string(p[3:])}
}

// query runs a statement and returns the last row's first value, which is short.
func (c *mysqlConn) query(text string) (value string, err error) {
	c.t.Helper()
	c.write(0, append([]byte{3}, text...))
	p := c.read()
	if p[0] == 0 || p[0] == 0xff {
		return "", failure(p)
	}
	const end = 0xfe
	for ends := 0; ends < 2; {
		p := c.read()
		switch {
		case p[0] == 0xff:
			return "", failure(p)
		case p[0] == end && len(p) < 9:
			ends++
		case ends == 1:
			value = string(p[1 : 1+p[0]])
		}
	}
	return value, nil
}
