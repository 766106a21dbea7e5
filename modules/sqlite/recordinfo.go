package sqlite

import "github.com/bop-platform/bop/modules/sqlite/internal/record"

// RecordEpoch is the leadership that a log record names, 0 if it is no record.
func RecordEpoch(rec []byte) uint64 {
	r, err := record.Decode(rec)
	if err != nil {
		return 0
	}
	return r.Epoch
}
