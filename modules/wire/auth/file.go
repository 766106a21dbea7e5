package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	fileHeader = "# bop users, format 1"
	maxUsers   = 100_000
)

// File is a Store in a file. A change of the file by another process is noticed at the next look-up.
type File struct {
	name string

	mu      sync.RWMutex
	entries map[string]Entry
	seen    stamp
	checked time.Time
	err     error // why the last reading failed; the users from before still count
}

// stamp tells whether a file was changed.
type stamp struct {
	size     int64
	modified time.Time
}

// recheck is how long a look-up trusts what was read.
const recheck = 500 * time.Millisecond

// OpenFile reads the file, which must be readable by its owner alone. A file that isn't there holds no users.
func OpenFile(name string) (*File, error) {
	f := &File{name: name, entries: map[string]Entry{}}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// read takes the file's content over. mu is held, or the File is not shared yet.
func (f *File) read() error {
	st, err := os.Stat(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading users: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o): chmod 600 %s", f.name, st.Mode().Perm(), f.name)
	}
	text, err := os.ReadFile(f.name)
	if err != nil {
		return fmt.Errorf("reading users: %w", err)
	}
	entries, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	f.entries, f.seen = entries, stamp{st.Size(), st.ModTime()}
	return nil
}

func parse(text string) (map[string]Entry, error) {
	first, rest, _ := strings.Cut(text, "\n")
	if strings.TrimRight(first, "\r") != fileHeader {
		if strings.HasPrefix(first, "# bop users, format ") {
			return nil, fmt.Errorf("written by a newer format (%q): run the newer version", first)
		}
		return nil, fmt.Errorf("not a file of bop's users: the first line must be %q", fileHeader)
	}
	entries := map[string]Entry{}
	number := 1
	for line := range strings.Lines(rest) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var e Entry
		if err := e.UnmarshalText([]byte(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, twice := entries[e.Name]; twice {
			return nil, fmt.Errorf("line %d: user %q is there twice", number, e.Name)
		}
		entries[e.Name] = e
		if len(entries) > maxUsers {
			return nil, fmt.Errorf("more than %d users", maxUsers)
		}
	}
	return entries, nil
}

// UnmarshalText reads a name and its verifiers, separated by tabs; each verifier tells by its beginning what it is.
func (e *Entry) UnmarshalText(line []byte) (err error) {
	fields := strings.Split(string(line), "\t")
	*e = Entry{Name: fields[0]}
	if err := checkName(e.Name); err != nil {
		return err
	}
	for _, v := range fields[1:] {
		switch {
		case strings.HasPrefix(v, "SCRAM-SHA-256$"):
			if e.SCRAM, err = ParseSCRAM(v); err != nil {
				return err
			}
		case strings.HasPrefix(v, "md5") && len(v) == 35:
			e.MD5 = v
		case strings.HasPrefix(v, "$A$") && len(v) == 70:
			e.Caching = v
		case strings.HasPrefix(v, "*") && len(v) == 41:
			e.Native = v
		default:
			return fmt.Errorf("user %q: a verifier of no kind that is known", e.Name)
		}
	}
	return nil
}

// MarshalText writes what UnmarshalText reads: a line of a File without its end.
func (e Entry) MarshalText() ([]byte, error) {
	fields := []string{e.Name}
	if e.SCRAM.Iterations > 0 {
		fields = append(fields, e.SCRAM.String())
	}
	for _, v := range []string{e.MD5, e.Caching, e.Native} {
		if v != "" {
			fields = append(fields, v)
		}
	}
	return []byte(strings.Join(fields, "\t")), checkName(e.Name)
}

func checkName(name string) error {
	if name == "" || len(name) > 63 || strings.HasPrefix(name, "#") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%q is no user name: it must have 1 to 63 bytes, no control characters, and not begin with #", name)
	}
	return nil
}

// Lookup finds a user. It looks whether the file was changed, at most twice a second.
func (f *File) Lookup(user string) (Entry, bool) {
	f.mu.RLock()
	fresh := time.Since(f.checked) < recheck
	e, ok := f.entries[user]
	f.mu.RUnlock()
	if fresh {
		return e, ok
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	e, ok = f.entries[user]
	return e, ok
}

func (f *File) refresh() {
	f.checked = time.Now()
	st, err := os.Stat(f.name)
	if err == nil && (stamp{st.Size(), st.ModTime()}) == f.seen {
		return
	}
	if err == nil {
		err = f.read()
	}
	f.err = err
}

// Err is why the file could not be read again after a change; the users from before still count. nil: it could.
func (f *File) Err() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.err
}

// Names lists the users in order.
func (f *File) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	names := make([]string, 0, len(f.entries))
	for name := range f.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// NewUser is NewEntry for a name and a password that may be none.
func NewUser(user, password string) (Entry, error) {
	if err := checkName(user); err != nil {
		return Entry{}, err
	}
	if password == "" {
		return Entry{}, errors.New("the password is empty")
	}
	return NewEntry(user, password), nil
}

// Add adds a user, or gives one another password, and writes the file.
func (f *File) Add(user, password string) error {
	e, err := NewUser(user, password)
	if err != nil {
		return err
	}
	return f.change(func(entries map[string]Entry) error {
		entries[user] = e
		return nil
	})
}

// Remove removes a user and writes the file.
func (f *File) Remove(user string) error {
	return f.change(func(entries map[string]Entry) error {
		if _, ok := entries[user]; !ok {
			return fmt.Errorf("there is no user %q in %s", user, f.name)
		}
		delete(entries, user)
		return nil
	})
}

// change reads the file again, changes it, and puts the new one in its place at once.
func (f *File) change(fn func(map[string]Entry) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return err
	}
	if err := fn(f.entries); err != nil {
		return err
	}
	return f.write()
}

func (f *File) write() (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(f.name), "."+filepath.Base(f.name)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.WriteString(f.text())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	if err := os.Rename(tmp.Name(), f.name); err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	dir, err := os.Open(filepath.Dir(f.name))
	if err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	if st, err := os.Stat(f.name); err == nil {
		f.seen = stamp{st.Size(), st.ModTime()}
	}
	return nil
}

func (f *File) text() string {
	names := make([]string, 0, len(f.entries))
	for name := range f.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(fileHeader + "\n")
	for _, name := range names {
		line, _ := f.entries[name].MarshalText() // the name was checked
		b.Write(append(line, '\n'))
	}
	return b.String()
}
