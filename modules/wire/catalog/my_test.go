package catalog_test

import (
	"slices"
	"strings"
	"testing"
)

// TestShowCreateTable compares with what MySQL 8.0 prints for the same statements.
func TestShowCreateTable(t *testing.T) {
	for _, tt := range []struct{ name, ddl, table, want string }{
		{"types and defaults lose what MySQL 8 doesn't print", `CREATE TABLE t (
			id INT(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, a TINYINT(1) DEFAULT 0, b BIGINT(20) UNSIGNED, c VARCHAR(20) DEFAULT 'x''y',
			d TEXT, e DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, f TIMESTAMP(3) NULL, g DECIMAL(10,2) NOT NULL DEFAULT '1.50',
			h ENUM('a','b') DEFAULT 'a', i SET('x','y'), j JSON, k BLOB, l CHAR(3), m YEAR, n BIT(4) DEFAULT b'101', o DOUBLE, p DATE DEFAULT '2020-01-02',
			q INT COMMENT 'it''s', r INT DEFAULT (1 + 2))`, "t",
			"CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `a` tinyint(1) DEFAULT '0',\n  `b` bigint unsigned DEFAULT NULL,\n" +
				"  `c` varchar(20) DEFAULT 'x''y',\n  `d` text,\n  `e` datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,\n" +
				"  `f` timestamp(3) NULL DEFAULT NULL,\n  `g` decimal(10,2) NOT NULL DEFAULT '1.50',\n  `h` enum('a','b') DEFAULT 'a',\n" +
				"  `i` set('x','y') DEFAULT NULL,\n  `j` json DEFAULT NULL,\n  `k` blob,\n  `l` char(3) DEFAULT NULL,\n  `m` year DEFAULT NULL,\n" +
				"  `n` bit(4) DEFAULT b'101',\n  `o` double DEFAULT NULL,\n  `p` date DEFAULT '2020-01-02',\n  `q` int DEFAULT NULL COMMENT 'it''s',\n" +
				"  `r` int DEFAULT ((1 + 2)),\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"},
		{"keys come in MySQL's order under MySQL's names", `CREATE TABLE p (id INT PRIMARY KEY);
			CREATE TABLE t (a INT, b VARCHAR(50), c INT NOT NULL, KEY (a), UNIQUE (a, b), UNIQUE KEY u (c), KEY pre (b(10)), FULLTEXT KEY ft (b),
			FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE, CONSTRAINT named FOREIGN KEY (c) REFERENCES p (id), CHECK (c > 0), PRIMARY KEY (c, a))`, "t",
			"CREATE TABLE `t` (\n  `a` int NOT NULL,\n  `b` varchar(50) DEFAULT NULL,\n  `c` int NOT NULL,\n  PRIMARY KEY (`c`,`a`),\n" +
				"  UNIQUE KEY `a` (`a`,`b`),\n  UNIQUE KEY `u` (`c`),\n  KEY `a_2` (`a`),\n  KEY `pre` (`b`(10)),\n  FULLTEXT KEY `ft` (`b`),\n" +
				"  CONSTRAINT `named` FOREIGN KEY (`c`) REFERENCES `p` (`id`),\n  CONSTRAINT `t_ibfk_1` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE CASCADE,\n" +
				"  CONSTRAINT `t_chk_1` CHECK ((`c` > 0))\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"},
		{"character sets are printed where they differ", "CREATE TABLE t (a VARCHAR(5), b VARCHAR(5) CHARACTER SET latin1, c VARCHAR(5) COLLATE utf8mb4_bin, d INT) DEFAULT CHARSET=utf8mb3 COMMENT='hi'", "t",
			"CREATE TABLE `t` (\n  `a` varchar(5) DEFAULT NULL,\n  `b` varchar(5) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT NULL,\n" +
				"  `c` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,\n  `d` int DEFAULT NULL\n" +
				") ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COMMENT='hi'"},
		{"generated columns and AUTO_INCREMENT", "CREATE TABLE t (id INT AUTO_INCREMENT, a INT, b INT GENERATED ALWAYS AS (a + 1) STORED, c INT AS (a * 2), UNIQUE (id)) AUTO_INCREMENT=100", "t",
			"CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `a` int DEFAULT NULL,\n  `b` int GENERATED ALWAYS AS ((`a` + 1)) STORED,\n" +
				"  `c` int GENERATED ALWAYS AS ((`a` * 2)) VIRTUAL,\n  UNIQUE KEY `id` (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=100 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"},
		{"a foreign key makes its index", "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE t (id INT PRIMARY KEY, p_id INT, CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id))", "t",
			"CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `p_id` int DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  KEY `fk` (`p_id`),\n" +
				"  CONSTRAINT `fk` FOREIGN KEY (`p_id`) REFERENCES `p` (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"},
		{"alterations", `CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(10));
			ALTER TABLE t ADD COLUMN c INT NOT NULL DEFAULT 7 AFTER id, ADD COLUMN first_one INT FIRST, MODIFY b VARCHAR(30) NOT NULL, ADD INDEX (a), ADD UNIQUE KEY u (b);
			ALTER TABLE t CHANGE a aa BIGINT UNSIGNED COMMENT 'x'; ALTER TABLE t RENAME INDEX a TO by_a; ALTER TABLE t DROP COLUMN c; ALTER TABLE t MODIFY id INT AUTO_INCREMENT; ALTER TABLE t RENAME TO t2`, "t2",
			"CREATE TABLE `t2` (\n  `first_one` int DEFAULT NULL,\n  `id` int NOT NULL AUTO_INCREMENT,\n  `aa` bigint unsigned DEFAULT NULL COMMENT 'x',\n" +
				"  `b` varchar(30) NOT NULL,\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`b`),\n  KEY `by_a` (`aa`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			s.my(tt.ddl)
			_, rows := s.show("SHOW CREATE TABLE " + tt.table)
			got := strings.TrimPrefix(rows[0], tt.table+"|")
			if got != tt.want {
				t.Errorf("%s", difference(strings.Split(got, "\n"), strings.Split(tt.want, "\n")))
			}
			if got := s.sqlite("PRAGMA integrity_check"); got[0] != "ok" {
				t.Errorf("integrity_check: %v", got)
			}
		})
	}
}

func TestShow(t *testing.T) {
	s := open(t)
	s.my("CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE, note TEXT); CREATE TABLE other (a INT); CREATE VIEW v AS SELECT id FROM users")
	for _, tt := range []struct {
		sql      string
		headings string
		rows     []string
	}{
		{"SHOW TABLES", "Tables_in_app", []string{"other", "users", "v"}},
		{"SHOW FULL TABLES LIKE 'u%'", "Tables_in_app (u%)|Table_type", []string{"users|BASE TABLE"}},
		{"SHOW FULL TABLES WHERE Table_type = 'VIEW'", "Tables_in_app|Table_type", []string{"v|VIEW"}},
		{"DESCRIBE users", "Field|Type|Null|Key|Default|Extra", []string{"id|int|NO|PRI|∅|auto_increment", "name|varchar(20)|NO|UNI|∅|", "note|text|YES||∅|"}},
		{"SHOW COLUMNS FROM users LIKE 'n%'", "Field|Type|Null|Key|Default|Extra", []string{"name|varchar(20)|NO|UNI|∅|", "note|text|YES||∅|"}},
		{"SHOW FULL COLUMNS FROM users WHERE Field = 'id'", "Field|Type|Collation|Null|Key|Default|Extra|Privileges|Comment",
			[]string{"id|int|∅|NO|PRI|∅|auto_increment|select,insert,update,references|"}},
		{"SHOW INDEX FROM users", "Table|Non_unique|Key_name|Seq_in_index|Column_name|Collation|Cardinality|Sub_part|Packed|Null|Index_type|Comment|Index_comment|Visible|Expression",
			[]string{"users|0|PRIMARY|1|id|A|0|∅|∅||BTREE|||YES|∅", "users|0|name|1|name|A|0|∅|∅||BTREE|||YES|∅"}},
		{"SHOW VARIABLES LIKE 'max_c%'", "Variable_name|Value", []string{"max_connections|100"}},
		{"SHOW CREATE VIEW v", "View|Create View|character_set_client|collation_connection",
			[]string{"v|CREATE ALGORITHM=UNDEFINED DEFINER=`ada`@`%` SQL SECURITY DEFINER VIEW `v` (`id`) AS SELECT id FROM users|utf8mb4|utf8mb4_0900_ai_ci"}},
		{"SHOW TRIGGERS", "Trigger|Event|Table|Statement|Timing|Created|sql_mode|Definer|character_set_client|collation_connection|Database Collation", []string{}},
		{"SHOW PROCEDURE STATUS WHERE Db = 'app'", "Db|Name|Type|Language|Definer|Modified|Created|Security_type|Comment|character_set_client|collation_connection|Database Collation", []string{}},
	} {
		t.Run(tt.sql, func(t *testing.T) {
			headings, rows := s.show(tt.sql)
			if got := strings.Join(headings, "|"); got != tt.headings {
				t.Errorf("headings %s, want %s", got, tt.headings)
			}
			if !slices.Equal(rows, tt.rows) {
				t.Errorf("got  %q\nwant %q", rows, tt.rows)
			}
		})
	}
}

func TestMySQLErrors(t *testing.T) {
	s := open(t)
	s.my("CREATE TABLE p (id INT PRIMARY KEY, b INT); CREATE TABLE c (p_id INT, CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id))")
	for _, tt := range []struct{ sql, want string }{
		{"CREATE TABLE p (a INT)", "42P07"},
		{"DROP TABLE p", "2BP01"},
		{"DROP TABLE nothing", "42P01"},
		{"CREATE TABLE x (a INT, A INT)", "42701"},
		{"CREATE TABLE x (a INT AUTO_INCREMENT)", "42P16"},
		{"CREATE TABLE x (a INT, FOREIGN KEY (a) REFERENCES p (b))", "42830"},
		{"CREATE TABLE x (a INT, FOREIGN KEY (a) REFERENCES nothing (b))", "42P01"},
		{"ALTER TABLE p DROP COLUMN nothing", "42703"},
		{"ALTER TABLE p DROP PRIMARY KEY", "2BP01"},
		{"CREATE TABLE x (a INT, KEY k (a), KEY k (a))", "42P07"},
		{"ALTER TABLE nothing ADD COLUMN a INT", "42P01"},
		{"CREATE INDEX i ON p (nothing)", "42703"},
	} {
		if err := s.tryMy(tt.sql); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.sql, err, tt.want)
		}
	}
}
