package handoff_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"

	"github.com/bop-platform/bop/modules/wire/handoff"
)

func frame() *handoff.Frame {
	return &handoff.Frame{Protocol: handoff.MySQL, TLS: true, Remote: "10.1.2.3:4567", Start: []byte("start"), Early: []byte("early"), ID: 77, Capabilities: 0xdeadbeef,
		Nonce: []byte("12345678901234567890"), Sequence: 2}
}

func TestAFrameComesBackAsItWas(t *testing.T) {
	var b bytes.Buffer
	if err := frame().Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := handoff.Read(&b)
	if err != nil || !reflect.DeepEqual(got, frame()) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestAnyOtherByteIsAnError(t *testing.T) {
	var b bytes.Buffer
	if err := frame().Write(&b); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if _, err := handoff.Read(bytes.NewReader(bad)); !errors.Is(err, handoff.ErrFrame) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, err := handoff.Read(bytes.NewReader(whole[:i])); !errors.Is(err, handoff.ErrFrame) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	long := frame()
	long.Start = make([]byte, 1<<20)
	if err := long.Write(io.Discard); !errors.Is(err, handoff.ErrFrame) {
		t.Error(err)
	}
}

func TestPassedConnectionsEndTogether(t *testing.T) {
	client, a := net.Pipe()
	b, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- handoff.Pass(a, b, frame(), nil) }()
	if f, err := handoff.Read(server); err != nil || !reflect.DeepEqual(f, frame()) {
		t.Fatalf("%+v, %v", f, err)
	}
	go io.WriteString(client, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	server.Close()
	if _, err := client.Read(got); err == nil {
		t.Error("the client's side is still open")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := frame().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := handoff.Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := got.Write(&out); err != nil {
			t.Fatal(err)
		}
		again, err := handoff.Read(&out)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}
