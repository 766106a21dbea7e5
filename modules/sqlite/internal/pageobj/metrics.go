package pageobj

import "sync/atomic"

// Metrics counts what views do. One may be shared by many views. The zero value is ready.
type Metrics struct {
	Requests  atomic.Int64 // to the bucket
	Bytes     atomic.Int64 // asked of the bucket
	Hits      atomic.Int64 // pages that were in memory
	Misses    atomic.Int64 // pages that had to be asked for
	Joined    atomic.Int64 // pages that another request was already under way for
	Coalesced atomic.Int64 // pages that came with a request for others
	Ahead     atomic.Int64 // pages that were read ahead
	Errors    atomic.Int64 // requests for pages that failed
}

func (m *Metrics) request(n int64) {
	if m != nil {
		m.Requests.Add(1)
		m.Bytes.Add(n)
	}
}

// add counts if there is something to count with.
func (m *Metrics) add(which func(*Metrics) *atomic.Int64, n int) {
	if m != nil && n != 0 {
		which(m).Add(int64(n))
	}
}

func hits(m *Metrics) *atomic.Int64      { return &m.Hits }
func misses(m *Metrics) *atomic.Int64    { return &m.Misses }
func joined(m *Metrics) *atomic.Int64    { return &m.Joined }
func coalesced(m *Metrics) *atomic.Int64 { return &m.Coalesced }
func ahead(m *Metrics) *atomic.Int64     { return &m.Ahead }
func failures(m *Metrics) *atomic.Int64  { return &m.Errors }
