package funcs

import (
	"time"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// zoneOf reads the right operand of AT TIME ZONE: a zone's name, or a stored interval that is its offset.
func zoneOf(v types.Value) (*time.Location, error) {
	if s, ok := types.ParseStoredInterval(v.B); ok {
		if s.Months != 0 || s.Days != 0 {
			return nil, sqlerr.New("22023", "interval time zone \"%s\" must not include months or days", clip(s.AppendPG(nil, types.IntervalPostgres)))
		}
		return types.FixedZone(int(s.Micros / types.MicrosPerSecond)), nil
	}
	name := string(v.B)
	loc, ok := types.LoadZone(name)
	if ok && len(name) > 0 && (name[0] == '+' || name[0] == '-') {
		// A bare offset as a zone's name is POSIX: its sign is west of Greenwich.
		_, off := time.Unix(0, 0).In(loc).Zone()
		loc = types.FixedZone(-off)
	}
	if !ok {
		return nil, sqlerr.New("22023", "time zone \"%s\" not recognized", name)
	}
	return loc, nil
}
