package runlog

import (
	"fmt"
	"time"
)

// view is what a folder has at a moment.
type view struct {
	files   []uint64        // first numbers, in order
	size    int64           // of the last file; negative: what the file system says
	end     uint64          // behind the last record; 0: not known
	closed  bool            // there will be no more
	changed <-chan struct{} // closed when there is more
}

// folder tells a cursor what there is.
type folder interface {
	view(wait bool) (view, error)
	path() string
}

func (l *Log) path() string { return l.dir }

// view implements folder. Taken before a file is read, it misses nothing: what changes later closes changed.
func (l *Log) view(wait bool) (view, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := view{files: make([]uint64, len(l.files)), size: -1, end: l.written, closed: l.closed && l.active == nil, changed: l.changed}
	for i, f := range l.files {
		v.files[i] = f.first
	}
	if l.active != nil {
		v.size = l.size
	}
	l.watched = l.watched || wait
	return v, nil
}

// pollEvery is how often a followed folder without a Log is looked at. Another process cannot wake us.
const pollEvery = 100 * time.Millisecond

// foreign is a folder that another process may be writing.
type foreign struct{ dir string }

func (f foreign) path() string { return f.dir }

func (f foreign) view(wait bool) (view, error) {
	files, _, err := list(f.dir)
	if err != nil {
		return view{}, fmt.Errorf("read run log: %w", err)
	}
	v := view{size: -1}
	for _, f := range files {
		v.files = append(v.files, f.first)
	}
	if wait {
		changed := make(chan struct{})
		time.AfterFunc(pollEvery, func() { close(changed) })
		v.changed = changed
	}
	return v, nil
}

// Read returns a cursor over the log. Without Follow it ends with the records that are there now.
func (l *Log) Read(q Query) *Cursor {
	c := &Cursor{f: l, q: q, want: q.From}
	if !q.Follow {
		v, _ := l.view(false)
		c.until = v.end
	}
	return c
}

// ReadDir returns a cursor over the log in a folder, which it never changes and which another process may be writing.
// With Follow it looks for more ten times a second.
func ReadDir(dir string, q Query) *Cursor { return &Cursor{f: foreign{dir}, q: q, want: q.From} }
