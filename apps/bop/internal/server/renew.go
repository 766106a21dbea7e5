package server

import (
	"crypto/tls"
	"os"
	"sync"
	"time"
)

// renewed is a certificate that follows its file.
type renewed struct {
	cert string
	load func() (*tls.Certificate, error)

	mu      sync.Mutex
	have    *tls.Certificate
	written time.Time
	looked  time.Time
}

// get returns the certificate. It looks at the file at most once in ten seconds; if a new one can't be read, the one from
// before is used, because half of a renewal may be on disk.
func (r *renewed) get() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have != nil && time.Since(r.looked) < 10*time.Second {
		return r.have, nil
	}
	r.looked = time.Now()
	st, err := os.Stat(r.cert)
	if err == nil && r.have != nil && st.ModTime().Equal(r.written) {
		return r.have, nil
	}
	c, err := r.load()
	if err != nil {
		if r.have != nil {
			return r.have, nil
		}
		return nil, err
	}
	r.have = c
	if st != nil {
		r.written = st.ModTime()
	}
	return c, nil
}
