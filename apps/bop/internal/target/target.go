// Package target reads which version of a database somebody wants back.
package target

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// layouts are the times without a zone, which are those of the place.
var layouts = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"}

// Parse reads "latest", the number of a transaction, or a time: in RFC 3339, or like "2026-11-30 18:00:05", which is meant
// in the given place. A fraction of a second may follow. "" is latest.
func Parse(text string, place *time.Location) (backup.Target, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "latest" {
		return backup.Target{Latest: true}, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if n == 0 {
			return backup.Target{}, errors.New("there is no transaction 0: the first one has number 1")
		}
		return backup.Target{TXID: sqlite.TXID(n)}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at(text, t)
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, place); err == nil {
			return at(text, t)
		}
	}
	return backup.Target{}, fmt.Errorf("%q is no version of a database: give the number of a transaction, a time like 2026-11-30T18:00:05Z or \"2026-11-30 18:00:05\", or latest", text)
}

// at refuses times that no transaction can have: the zero time would mean that none is given, and a year of five digits
// can't be written.
func at(text string, t time.Time) (backup.Target, error) {
	if t.Unix() <= 0 || t.UTC().Year() > 9999 {
		return backup.Target{}, fmt.Errorf("%q is before 1970, or too late: give a time like 2026-11-30T18:00:05Z", text)
	}
	return backup.Target{Time: t}, nil
}

// Text writes a target so that Parse reads it anywhere.
func Text(t backup.Target) string {
	switch {
	case t.TXID != 0:
		return strconv.FormatUint(uint64(t.TXID), 10)
	case !t.Time.IsZero():
		return t.Time.UTC().Format(time.RFC3339Nano)
	}
	return "latest"
}
