package crypt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// KeyProvider has the keys that wrap data keys. It has the shape of a KMS: keys are named, and never leave it. It is
// safe for concurrent use.
type KeyProvider interface {
	// Current names the newest wrapping key, the one that Wrap uses.
	Current(ctx context.Context) (string, error)
	// Wrap encrypts a data key and names the wrapping key. associated has to be given again to Unwrap.
	Wrap(ctx context.Context, dataKey, associated []byte) (wrapped []byte, by string, err error)
	// Unwrap is the other direction. Errors: ErrNoKey (that key isn't there), ErrWrongKey (it is there and doesn't
	// open it).
	Unwrap(ctx context.Context, wrapped, associated []byte, by string) ([]byte, error)
	// String says where the keys come from, without secrets.
	String() string
}

// again is how often keys are read at most because one wasn't there.
const again = time.Second

// OpenProvider opens what --key-file says: "PATH" or "file:PATH", "env:NAME", or "command:CMD", which sh -c runs for
// at most 30 s. What is there is as ParseKeys takes it. Nobody but its owner may be permitted to read a file.
//
// Keys can be added without a restart: they are read again when a new data key is to be wrapped, and when a key isn't
// there (at most once a second; a command never more often than that).
func OpenProvider(ctx context.Context, spec string) (KeyProvider, error) {
	s := &source{lock: make(chan struct{}, 1), now: time.Now}
	kind, rest, ok := strings.Cut(spec, ":")
	switch {
	case spec == "" || ok && rest == "" && (kind == "file" || kind == "env" || kind == "command"):
		return nil, errors.New("keys: none named: give PATH, file:PATH, env:NAME or command:CMD")
	case ok && kind == "env":
		s.name, s.read = "environment variable "+shown(rest), func(context.Context) ([]byte, error) { return readEnv(rest) }
	case ok && kind == "command":
		c := &command{line: rest, timeout: commandTimeout}
		s.name, s.read, s.pause = c.String(), c.run, again
	case ok && kind == "file":
		s.name, s.read = "file "+shown(rest), func(context.Context) ([]byte, error) { return readFile(rest) }
	default:
		s.name, s.read = "file "+shown(spec), func(context.Context) ([]byte, error) { return readFile(spec) }
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// source is a KeyProvider that reads keys from somewhere, and again when that is of use.
type source struct {
	name  string
	read  func(context.Context) ([]byte, error)
	pause time.Duration // between two readings
	now   func() time.Time
	keys  atomic.Pointer[Local]

	lock   chan struct{} // held while reading; it guards what follows
	loaded time.Time     // when it was read last
	missed time.Time     // when it was read last because a key wasn't there
}

func (s *source) String() string { return s.name }

// load reads the keys. It is called by the holder of the lock.
func (s *source) load(ctx context.Context) error {
	s.loaded = s.now()
	text, err := s.read(ctx)
	if err != nil {
		return fmt.Errorf("reading keys from %s: %w", s.name, err)
	}
	l, err := ParseKeys(text)
	clear(text)
	if err != nil {
		return fmt.Errorf("reading keys from %s: %w", s.name, err)
	}
	s.keys.Store(l)
	return nil
}

func (s *source) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for keys from %s: %w", s.name, context.Cause(ctx))
	}
}

// newest returns the keys as they are now.
func (s *source) newest(ctx context.Context) (*Local, error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.lock }()
	if s.now().Sub(s.loaded) >= s.pause {
		if err := s.load(ctx); err != nil {
			return nil, err
		}
	}
	return s.keys.Load(), nil
}

// Current names the first key of those that are there now.
func (s *source) Current(ctx context.Context) (string, error) {
	l, err := s.newest(ctx)
	if err != nil {
		return "", err
	}
	return l.Current(ctx)
}

// Wrap uses the first key of those that are there now.
func (s *source) Wrap(ctx context.Context, dataKey, associated []byte) (wrapped []byte, by string, err error) {
	l, err := s.newest(ctx)
	if err != nil {
		return nil, "", err
	}
	return l.Wrap(ctx, dataKey, associated)
}

// Unwrap looks for new keys if those that it has don't do.
func (s *source) Unwrap(ctx context.Context, wrapped, associated []byte, by string) ([]byte, error) {
	had := s.keys.Load()
	plain, err := had.Unwrap(ctx, wrapped, associated, by)
	if err == nil || !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrWrongKey) {
		return plain, err
	}
	now, readErr := s.after(ctx, had)
	if readErr != nil {
		return nil, fmt.Errorf("%w; looking for it again: %w", err, readErr)
	}
	if now == had {
		return nil, err
	}
	return now.Unwrap(ctx, wrapped, associated, by)
}

// after returns newer keys than had, or had if it is too early to look.
func (s *source) after(ctx context.Context, had *Local) (*Local, error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.lock }()
	if l := s.keys.Load(); l != had {
		return l, nil
	}
	if now := s.now(); now.Sub(s.missed) < again || now.Sub(s.loaded) < s.pause {
		return had, nil
	}
	s.missed = s.now()
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s.keys.Load(), nil
}

func readEnv(name string) ([]byte, error) {
	text, ok := os.LookupEnv(name)
	if !ok {
		return nil, errors.New("it isn't set")
	}
	return []byte(text), nil
}

func readFile(path string) ([]byte, error) {
	// Before it is opened, because opening a pipe may wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, withoutPath(err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it isn't a regular file: command:CMD takes what a program writes")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, withoutPath(err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("its mode %#o lets others than its owner at it: chmod 600 %s", mode, shown(path))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyText+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	return text, nil
}

// withoutPath drops the path, which is named already, and which may be a key that was given in place of one.
func withoutPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
