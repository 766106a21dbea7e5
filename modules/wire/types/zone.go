package types

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// zoneCache holds loaded zones by the name that loaded them. Only names of the time zone database get in.
var zoneCache sync.Map

// LoadZone returns the time zone of a name as both databases take it: a name of the IANA database in any case, UTC, an
// offset (+02:00, -7), or a POSIX zone (UTC+3, <+03>-03: its sign is west of Greenwich). The database itself comes from
// the system or from the program (import _ "time/tzdata").
func LoadZone(name string) (*time.Location, bool) {
	switch {
	case name == "":
		return nil, false
	case strings.EqualFold(name, "UTC"), strings.EqualFold(name, "GMT"), strings.EqualFold(name, "Z"),
		strings.EqualFold(name, "UCT"), strings.EqualFold(name, "Zulu"):
		return time.UTC, true
	}
	if name[0] == '+' || name[0] == '-' {
		off, n, ok := parseOffset([]byte(name))
		if !ok || n != len(name) {
			return nil, false
		}
		return fixedZone(off), true
	}
	if loc, ok := zoneCache.Load(name); ok {
		return loc.(*time.Location), true
	}
	if len(name) > 64 {
		return nil, false
	}
	for _, n := range [...]string{name, titleZone(name), strings.ToUpper(name)} {
		if strings.EqualFold(n, "local") {
			continue
		}
		if loc, err := time.LoadLocation(n); err == nil {
			zoneCache.Store(name, loc)
			return loc, true
		}
	}
	return posixZone(name)
}

// titleZone turns europe/berlin into Europe/Berlin and america/port_of_spain into America/Port_of_Spain.
func titleZone(name string) string {
	b := []byte(strings.ToLower(name))
	up := true
	for i, c := range b {
		if up && isAlpha(c) {
			rest := string(b[i:])
			if !strings.HasPrefix(rest, "of_") && !strings.HasPrefix(rest, "es_") && !strings.HasPrefix(rest, "au_") {
				b[i] = c - 0x20
			}
		}
		up = c == '/' || c == '_' || c == '-'
	}
	return string(b)
}

// posixZone reads ABC[+-]h[:mm] without daylight saving rules.
func posixZone(name string) (*time.Location, bool) {
	i := 0
	if name[0] == '<' {
		end := strings.IndexByte(name, '>')
		if end < 0 {
			return nil, false
		}
		i = end + 1
	} else {
		for i < len(name) && isAlpha(name[i]) {
			i++
		}
		if i < 3 {
			return nil, false
		}
	}
	rest := name[i:]
	if rest == "" {
		if off, ok := zoneAbbreviation([]byte(strings.ToLower(name))); ok {
			return fixedZone(off), true
		}
		return nil, false
	}
	if isDigit(rest[0]) {
		rest = "+" + rest
	}
	off, n, ok := parseOffset([]byte(rest))
	if !ok || n != len(rest) {
		return nil, false
	}
	return time.FixedZone(strings.Trim(name[:i], "<>"), -off), true
}

// fixedZone is a zone of one offset, named as PostgreSQL shows it.
func fixedZone(offset int) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	return time.FixedZone(string(appendOffset(nil, offset, true)), offset)
}

// FixedZone returns the zone of one offset, in seconds east of UTC.
func FixedZone(offset int) *time.Location { return fixedZone(offset) }

// ZoneHours returns the zone of SET TIME ZONE n: hours east of UTC, with fractions.
func ZoneHours(text string) (*time.Location, bool) {
	h, err := strconv.ParseFloat(text, 64)
	if err != nil || h < -15.99 || h > 15.99 {
		return nil, false
	}
	return fixedZone(int(h * 3600)), true
}

// zoneAbbreviations are the abbreviations that PostgreSQL's Default set knows, in seconds east of UTC.
var zoneAbbreviations = sync.OnceValue(func() map[string]int {
	m := make(map[string]int, 160)
	for _, group := range strings.Fields(zoneAbbreviationText) {
		name, hours, _ := strings.Cut(group, "=")
		h, _ := strconv.ParseFloat(hours, 64)
		m[name] = int(h * 3600)
	}
	return m
})

const zoneAbbreviationText = `
	utc=0 gmt=0 z=0 zulu=0 uct=0 ut=0 wet=0 west=1 bst=1 cet=1 cest=2 met=1 mest=2 mez=1 mesz=2 eet=2 eest=3 msk=3 msd=4
	eat=3 cat=2 sast=2 wat=1 ist=2 idt=3 trt=3 gst=4 pkt=5 pkst=6 npt=5.75 ict=7 wib=7 hkt=8 sgt=8 pht=8 awst=8 wita=8
	jst=9 kst=9 kdt=10 acst=9.5 acdt=10.5 act=-5 aest=10 aedt=11 sakt=11 nzst=12 nzdt=13 nzt=12 chast=12.75 chadt=13.75
	hst=-10 akst=-9 akdt=-8 pst=-8 pdt=-7 mst=-7 mdt=-6 cst=-6 cdt=-5 est=-5 edt=-4 ast=-4 adt=-3 nst=-3.5 ndt=-2.5
	nft=-3.5 brt=-3 brst=-2 art=-3 clt=-4 clst=-3 cot=-5 pet=-5 ect=-4 vet=-4 uyt=-3 pyt=-4 gft=-3 sst=-11 nut=-11
	azot=-1 azost=0 almt=6 bdt=6 bdst=2 btt=6 uzt=5 kgt=6 novt=7 krat=7 irkt=8 yakt=9 vlat=10 magt=11 pett=12 anat=12
	omst=6 yekt=5 yekst=6 samt=4 azt=4 get=4 amt=-4 mart=-9.5 tjt=5 tmt=5 mvt=5 iot=6 mmt=6.5 cxt=7 davt=7 lkt=5.5
	lhst=10.5 lhdt=11 ncst=10 pgt=10 truk=10 chst=10 chut=10 pont=11 vut=11 kost=11 fjt=12 fjst=13 tvt=12 wakt=12 wft=12
	mht=12 tot=13 phot=13 lint=14 ckt=-10 taht=-10 gamt=-9 easst=-5 east=-6 fkst=-3 fkt=-4 gyt=-4 bot=-4 fnt=-2 pmst=-3
	pmdt=-2 wgt=-3 wgst=-2 egt=-1 egst=0 mut=4 muct=4 ret=4 sct=4 scst=4 hovt=7 ulat=8 ulast=9 bnt=8 myt=8 dav=7 mawt=5 vost=6
`

// zoneAbbreviation returns the offset of an abbreviation in lower case.
func zoneAbbreviation(name []byte) (offset int, ok bool) {
	offset, ok = zoneAbbreviations()[string(name)]
	return offset, ok
}
