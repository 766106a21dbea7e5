package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress prints how far a transfer is, once a second, where a person is looking.
type progress struct {
	to    io.Writer // nil: nobody is
	verb  string
	total int64 // 0: unknown
	done  int64
	last  time.Time
}

func newProgress(to io.Writer, verb string, total int64) *progress {
	p := &progress{verb: verb, total: total, last: time.Now()}
	if f, ok := to.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			p.to = to
		}
	}
	return p
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if !p.due() {
		return
	}
	if p.total > 0 {
		fmt.Fprintf(p.to, "%s %s of %s (%d %%)\n", p.verb, size(p.done), size(p.total), 100*p.done/p.total)
		return
	}
	fmt.Fprintf(p.to, "%s %s\n", p.verb, size(p.done))
}

// set is told by a server, of what isn't always bytes.
func (p *progress) set(done, total int64) {
	if total > 0 && p.due() {
		fmt.Fprintf(p.to, "%s %d %%\n", p.verb, 100*done/total)
	}
}

func (p *progress) due() bool {
	if p.to == nil || time.Since(p.last) < time.Second {
		return false
	}
	p.last = time.Now()
	return true
}

func (p *progress) reader(r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		p.add(n)
		return n, err
	})
}

func (p *progress) writer(w io.Writer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		n, err := w.Write(b)
		p.add(n)
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
