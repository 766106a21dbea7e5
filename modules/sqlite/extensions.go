package sqlite

import (
	"io/fs"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/approx"
	"github.com/ncruces/go-sqlite3/ext/array"
	"github.com/ncruces/go-sqlite3/ext/blobio"
	"github.com/ncruces/go-sqlite3/ext/bloom"
	"github.com/ncruces/go-sqlite3/ext/closure"
	"github.com/ncruces/go-sqlite3/ext/csv"
	"github.com/ncruces/go-sqlite3/ext/fts5"
	"github.com/ncruces/go-sqlite3/ext/hash"
	"github.com/ncruces/go-sqlite3/ext/ipaddr"
	"github.com/ncruces/go-sqlite3/ext/pivot"
	"github.com/ncruces/go-sqlite3/ext/regexp"
	"github.com/ncruces/go-sqlite3/ext/rtree"
	"github.com/ncruces/go-sqlite3/ext/spellfix1"
	"github.com/ncruces/go-sqlite3/ext/statement"
	"github.com/ncruces/go-sqlite3/ext/stats"
	"github.com/ncruces/go-sqlite3/ext/unicode"
	"github.com/ncruces/go-sqlite3/ext/uuid"
	"github.com/ncruces/go-sqlite3/ext/vec1"
	"github.com/ncruces/go-sqlite3/ext/zorder"
)

// Extension is something that is compiled in and not part of SQLite's core.
type Extension struct {
	Name    string
	Version string // of the package that it comes in
	Adds    string // functions, aggregates, virtual tables

	register func(*sqlite3.Conn) error
}

const (
	sqliteVersion  = "3.54.1"
	ncrucesVersion = "0.36.0"
)

// extensions are in the order in which they are registered: a later one of the same name wins.
var extensions = []Extension{
	{"json", sqliteVersion, "json(), jsonb(), ->, ->>, json_each, json_tree, …", nil},
	{"math", sqliteVersion, "sin(), ln(), pow(), ceil(), pi(), …", nil},
	{"fts5", sqliteVersion, "virtual table fts5, bm25(), highlight(), snippet()", fts5.Register},
	{"rtree", sqliteVersion, "virtual tables rtree, rtree_i32, geopoly", rtree.Register},
	{"spellfix1", sqliteVersion, "virtual table spellfix1, editdist3(), spellfix1_phonehash(), …", spellfix1.Register},
	{"vec1", sqliteVersion, "virtual table vec1 for nearest neighbours", vec1.Register},
	{"unicode", ncrucesVersion, "upper(), lower(), casefold(), initcap(), unaccent(), normalize(), icu_load_collation()", registerUnicode},
	{"regexp", ncrucesVersion, "REGEXP, regexp_like(), regexp_count(), regexp_instr(), regexp_substr(), regexp_replace()", regexp.Register},
	{"uuid", ncrucesVersion, "uuid(), uuid_str(), uuid_blob(), uuid_extract_version(), uuid_extract_timestamp(), gen_random_uuid()", uuid.Register},
	{"stats", ncrucesVersion, "stddev_pop(), var_samp(), corr(), covar_pop(), regr_…(), percentile_cont(), median(), mode(), every(), some(), …", stats.Register},
	{"approx", ncrucesVersion, "approx_count_distinct(), …", approx.Register},
	{"hash", ncrucesVersion, "md5(), sha1(), sha224(), sha256(), sha3(), sha384(), sha512(), blake2b(), …", hash.Register},
	{"ipaddr", ncrucesVersion, "ipcontains(), ipoverlaps(), ipfamily(), iphost(), ipmasklen(), ipnetwork()", ipaddr.Register},
	{"array", ncrucesVersion, "table-valued function array over a bound Go slice", array.Register},
	{"bloom", ncrucesVersion, "virtual table bloom_filter", bloom.Register},
	{"blobio", ncrucesVersion, "readblob(), writeblob(), openblob() on columns of the database", blobio.Register},
	{"closure", ncrucesVersion, "virtual table transitive_closure", closure.Register},
	{"csv", ncrucesVersion, "virtual table csv over text given as data=; filename= is refused", func(c *sqlite3.Conn) error { return csv.RegisterFS(c, noFiles{}) }},
	{"pivot", ncrucesVersion, "virtual table pivot", pivot.Register},
	{"statement", ncrucesVersion, "virtual table statement: parametrised views", statement.Register},
	{"zorder", ncrucesVersion, "zorder(), unzorder()", zorder.Register},
}

// Extensions lists what is compiled in. Extensions can't be loaded at run time: SQLite runs as WebAssembly turned into
// Go, which can't load native code. Those that read files of the host (fileio, lines) are left out.
func Extensions() []Extension { return append([]Extension(nil), extensions...) }

// registerUnicode leaves LIKE to SQLite: with a function in its place, no index would be used for a prefix.
func registerUnicode(c *sqlite3.Conn) error {
	if err := unicode.Register(c); err != nil {
		return err
	}
	return c.Exec(`PRAGMA case_sensitive_like = off`)
}

func registerExtensions(c *sqlite3.Conn) error {
	for _, e := range extensions {
		if e.register == nil {
			continue
		}
		if err := e.register(c); err != nil {
			return err
		}
	}
	return nil
}

// noFiles is a file system in which every file can be opened and none can be read: the csv table does not expect that
// opening fails.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) { return noFile{name}, nil }

type noFile struct{ name string }

func (f noFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.name, Err: ErrHostFile}
}

func (f noFile) Stat() (fs.FileInfo, error) {
	return nil, &fs.PathError{Op: "stat", Path: f.name, Err: ErrHostFile}
}

func (noFile) Close() error { return nil }
