package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

func TestHouse(t *testing.T) {
	open := func(t *testing.T) (*house, net.Listener) {
		t.Helper()
		h := newHouse(nil, slog.New(slog.DiscardHandler))
		t.Cleanup(h.close)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return h, ln
	}
	t.Run("a listener that panics is served again", func(t *testing.T) {
		h, ln := open(t)
		var starts atomic.Int64
		err := h.serve(t.Context(), "test", ln, func(_ context.Context, got net.Listener) error {
			if starts.Add(1) < 3 {
				panic("once more")
			}
			if got != ln {
				t.Error("another listener")
			}
			return net.ErrClosed
		})
		if !errors.Is(err, net.ErrClosed) || starts.Load() != 3 {
			t.Fatal(starts.Load(), err)
		}
	})
	t.Run("one that goes on panicking is given up", func(t *testing.T) {
		h, ln := open(t)
		var starts atomic.Int64
		err := h.serve(t.Context(), "test", ln, func(context.Context, net.Listener) error {
			starts.Add(1)
			panic("always")
		})
		if err == nil || !strings.Contains(err.Error(), "always") || starts.Load() != maxRestarts+1 {
			t.Fatal(starts.Load(), err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatal("the listener is still open")
		}
	})
	t.Run("an error of the listener is the answer", func(t *testing.T) {
		h, ln := open(t)
		want := errors.New("no more")
		if err := h.serve(t.Context(), "test", ln, func(context.Context, net.Listener) error { return want }); !errors.Is(err, want) {
			t.Fatal(err)
		}
	})
}
