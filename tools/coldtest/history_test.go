package coldtest

import (
	"fmt"
	"math/rand/v2"
)

// history makes random transactions of a database.
type history struct {
	r      *rand.Rand
	vacuum bool // VACUUM and changes of auto_vacuum are among them
	n      int
}

const schema = `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB); CREATE INDEX ta ON t (a)`

// rows is a table of so many numbers.
func rows(n int) string {
	return fmt.Sprintf(`(WITH RECURSIVE s (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE v < %d) SELECT v FROM s)`, n)
}

// next is one transaction.
func (h *history) next() string {
	h.n++
	id := h.r.IntN(600)
	n := h.r.IntN(100)
	switch {
	case n < 25:
		return fmt.Sprintf(`INSERT INTO t (a, b) SELECT 'a%d', randomblob(%d) FROM %s`, h.n, 1+h.r.IntN(900), rows(1+h.r.IntN(40)))
	case n < 45:
		return fmt.Sprintf(`INSERT OR REPLACE INTO t VALUES (%d, 'b%d', randomblob(%d))`, id, h.n, h.r.IntN(3000))
	case n < 55:
		return fmt.Sprintf(`UPDATE t SET a = 'c%d', b = randomblob(300) WHERE id %% 23 = %d`, h.n, h.r.IntN(23))
	case n < 65:
		return fmt.Sprintf(`DELETE FROM t WHERE id BETWEEN %d AND %d`, id, id+h.r.IntN(80))
	case n < 70: // much at once
		return fmt.Sprintf(`INSERT INTO t (a, b) SELECT 'd%d', randomblob(2000) FROM %s`, h.n, rows(200))
	case n < 75:
		return `DELETE FROM t WHERE id > 500`
	case n < 80: // pages that come by growth and are never written
		return fmt.Sprintf(`BEGIN IMMEDIATE; INSERT INTO t (id, b) VALUES (100000, zeroblob(%d)); DELETE FROM t WHERE id = 100000; UPDATE t SET a = 'e%d' WHERE id %% 50 = 1; COMMIT`, 50_000+h.r.IntN(400_000), h.n)
	case n < 84:
		return fmt.Sprintf(`CREATE TABLE IF NOT EXISTS x%d AS SELECT id, b FROM t`, h.r.IntN(3))
	case n < 88:
		return fmt.Sprintf(`DROP TABLE IF EXISTS x%d`, h.r.IntN(3))
	case n < 93 && h.vacuum:
		return `VACUUM`
	case n < 95 && h.vacuum:
		return fmt.Sprintf(`PRAGMA auto_vacuum = %d; VACUUM`, h.r.IntN(3))
	case n < 97:
		return `PRAGMA incremental_vacuum(20)`
	}
	return fmt.Sprintf(`UPDATE t SET b = x'%02x' WHERE id = %d`, h.n%256, id)
}
