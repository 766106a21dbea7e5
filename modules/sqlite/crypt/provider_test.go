package crypt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, text)
	return path
}

func writeKeys(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestProviders(t *testing.T) {
	text := GenerateKey("a")
	path := keyFile(t, text)
	t.Setenv("BOP_TEST_KEYS", text)
	for spec, name := range map[string]string{
		path:                         "file " + path,
		"file:" + path:               "file " + path,
		"env:BOP_TEST_KEYS":          "environment variable BOP_TEST_KEYS",
		"command:cat '" + path + "'": "command cat",
		`command:echo "$BOP_TEST_KEYS"; echo noise >&2`: "command echo",
		"command:X=1 cat " + path:                       "command",
	} {
		p, err := OpenProvider(t.Context(), spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if p.String() != name {
			t.Errorf("%s: it is named %q, want %q", spec, p, name)
		}
		if current, err := p.Current(t.Context()); current != "a" || err != nil {
			t.Errorf("%s: current %q, %v", spec, current, err)
		}
		b := newRing(t, p).Encode()
		if _, err := DecodeKeyring(t.Context(), local(t, text), database, b); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if _, err := DecodeKeyring(t.Context(), p, database, b); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestProvidersThatDontOpen(t *testing.T) {
	t.Setenv("BOP_TEST_KEYS", "a "+hexKey[1:])
	open := keyFile(t, GenerateKey("a"))
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"":                              "none named",
		"file:":                         "none named",
		"env:":                          "none named",
		"command:":                      "none named",
		"/no/such/file":                 "file /no/such/file: stat: no such file",
		open:                            "chmod 600",
		t.TempDir():                     "isn't a regular file",
		"env:BOP_NOT_SET":               "environment variable BOP_NOT_SET: it isn't set",
		"env:BOP_TEST_KEYS":             "line 1: the second word",
		"command:exit 3":                "exit status 3",
		"command:echo oh no >&2; false": `it said "oh no"`,
		"command:yes":                   "it wrote more than",
		"command:true":                  "there is none",
		"command:head -c 100000 /dev/zero | tr '\\0' ' ' >&2; echo end >&2; false": "exit status 1",
	} {
		_, err := OpenProvider(t.Context(), spec)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 3000 {
			t.Errorf("%s: got %v, want %q", spec, err, want)
		}
	}
}

func TestACommandIsEnded(t *testing.T) {
	began := time.Now()
	c := &command{line: "echo waiting >&2; sleep 100; echo", timeout: 200 * time.Millisecond}
	_, err := c.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "longer than 200ms") || !strings.Contains(err.Error(), "waiting") {
		t.Error(err)
	}
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	_, err = OpenProvider(ctx, "command:sleep 100")
	wantError(t, err, stop)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// clock is a time that moves by hand.
type clock struct{ t time.Time }

func opened(t *testing.T, spec string) (*source, *clock) {
	t.Helper()
	p, err := OpenProvider(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	s, c := p.(*source), &clock{time.Now()}
	s.now = func() time.Time { return c.t }
	return s, c
}

func TestNewKeysAreSeenWithoutARestart(t *testing.T) {
	old, newer := GenerateKey("old"), GenerateKey("new")
	path := keyFile(t, old)
	for spec, pause := range map[string]time.Duration{path: 0, "command:cat " + path: time.Second} {
		writeKeys(t, path, old)
		s, c := opened(t, spec)
		c.t = c.t.Add(pause)
		k := newRing(t, s)
		writeKeys(t, path, newer+old)
		c.t = c.t.Add(pause)
		if current, err := s.Current(t.Context()); current != "new" || err != nil {
			t.Errorf("%s: current %q, %v", spec, current, err)
		}
		k, err := k.Rewrap(t.Context(), s)
		if err != nil || k.Keys()[0].WrappedBy != "new" {
			t.Errorf("%s: %v %v", spec, k, err)
		}
	}
}

func TestAMissingKeyIsLookedForOnceASecond(t *testing.T) {
	first, second := GenerateKey("first"), GenerateKey("second")
	path := keyFile(t, first)
	b := newRing(t, local(t, second)).Encode()
	s, c := opened(t, path)
	reads := 0
	read := s.read
	s.read = func(ctx context.Context) ([]byte, error) { reads++; return read(ctx) }
	decode := func() error { _, err := DecodeKeyring(t.Context(), s, database, b); return err }
	for range 5 {
		wantError(t, decode(), ErrNoKey)
	}
	if reads != 1 {
		t.Errorf("it was read %d times again", reads)
	}
	writeKeys(t, path, first+second)
	wantError(t, decode(), ErrNoKey)
	c.t = c.t.Add(again)
	if err := decode(); err != nil || reads != 2 {
		t.Errorf("%v, it was read %d times again", err, reads)
	}
	writeKeys(t, path, first+GenerateKey("second"))
	s, c = opened(t, path)
	wantError(t, decode(), ErrWrongKey)
	writeKeys(t, path, first+second)
	c.t = c.t.Add(again)
	if err := decode(); err != nil {
		t.Errorf("a key that was put right: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := decode(); err != nil {
		t.Errorf("what was read is forgotten: %v", err)
	}
	b = newRing(t, local(t, GenerateKey("third"))).Encode()
	c.t = c.t.Add(again)
	err := decode()
	wantError(t, err, ErrNoKey)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v doesn't say that the file is gone", err)
	}
}

func TestWaitingForKeysEndsWithTheContext(t *testing.T) {
	s, _ := opened(t, keyFile(t, GenerateKey("a")))
	s.lock <- struct{}{} // somebody reads
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Current(ctx)
	wantError(t, err, context.Canceled)
	_, _, err = s.Wrap(ctx, nil, nil)
	wantError(t, err, context.Canceled)
	_, err = s.Unwrap(ctx, make([]byte, 60), nil, "b")
	wantError(t, err, context.Canceled)
	wantError(t, err, ErrNoKey)
}

// Whatever goes wrong, what is a key isn't in the error.
func TestNoErrorShowsAKey(t *testing.T) {
	key := strings.Fields(GenerateKey("a"))[1]
	raw := decodeKey(key)
	forms := []string{key, strings.TrimRight(key, "="), fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprint(raw), string(raw)}
	var errs []error
	add := func(err error) {
		t.Helper()
		if err == nil {
			t.Error("no error")
		}
		errs = append(errs, err)
	}
	for _, form := range forms[:4] {
		for _, text := range []string{form, form + " a", form + " " + form, "a b " + form, "a " + form + "x", "a " + form + "\na " + form,
			"key=" + form, "a:" + form} {
			if _, err := ParseKeys([]byte(text)); err != nil {
				add(err)
			}
			t.Setenv("BOP_TEST_KEYS", text+" x")
			_, err := OpenProvider(t.Context(), "env:BOP_TEST_KEYS")
			add(err)
			_, err = OpenProvider(t.Context(), keyFile(t, text+" x"))
			add(err)
		}
		for _, spec := range []string{form, "K=" + form, "/x/" + form + "/y", "X=/" + form, "file:" + form, "env:" + form, "a " + form, "command:" + form, "command:false " + form,
			"command:K=" + form + " false", "command:echo " + form + " >&2; false", "command:echo key=" + form + ", >&2; false",
			"command:printf %4070s " + form + " >&2; false", "command:printf %4110s " + form + " >&2; false", "command:echo " + form + "; false"} {
			_, err := OpenProvider(t.Context(), spec)
			add(err)
		}
		p, err := OpenProvider(t.Context(), "command:echo a "+form)
		if err != nil {
			t.Fatal(err)
		}
		add(errors.New(p.String()))
	}

	// The data keys, with all that can go wrong with a keyring.
	l := local(t, "a "+key)
	k := newRing(t, l)
	secret := k.keys[0].secret
	forms = append(forms, fmt.Sprintf("%x", secret), fmt.Sprint(secret), string(secret[:]))
	b := k.Encode()
	for _, bad := range flipped(b) {
		for _, c := range [][]byte{bad, mendKeyring(bad)} {
			if _, err := DecodeKeyring(t.Context(), l, database, c); err != nil {
				add(err)
			}
		}
	}
	for _, p := range []KeyProvider{nil, local(t, GenerateKey("a")), local(t, GenerateKey("b"))} {
		_, err := DecodeKeyring(t.Context(), p, database, b)
		add(err)
	}
	_, err := k.Rewrap(t.Context(), &kms{KeyProvider: l, unwrap: func(b []byte, err error) ([]byte, error) { b[0]++; return b, err }})
	add(err)
	_, err = k.Rotate(t.Context(), &kms{KeyProvider: l, unwrap: func(b []byte, err error) ([]byte, error) { return b[1:], err }})
	add(err)
	_, err = k.Without(1)
	add(err)
	_, err = k.Blocks("page", 1).Open(nil, make([]byte, 100), nil)
	add(err)
	_, err = k.OpenLog(nil, make([]byte, 100), nil, 1, 1)
	add(err)
	_, err = openAll(k, "a", 1, sealed(t, k, "a", nil))
	add(err)
	add(fmt.Errorf("%v %+v %#v %v %+v %#v %v", k, k, k, l, l, l, k.Keys()))

	for _, err := range errs {
		for _, form := range forms {
			for _, part := range []string{form, form[:len(form)/2], form[len(form)/2:]} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%q shows %q", err, part)
				}
			}
		}
	}
}
