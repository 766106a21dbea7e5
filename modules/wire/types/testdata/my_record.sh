#!/bin/sh
# Records what a MySQL or MariaDB server makes of my_values.txt, as lines of type, text, what strict mode and what
# non-strict mode store (! and the number of an error):  my_record.sh -S /path/to/socket -u root > my_values.tsv
ask() {
	mode=$1 type=$2 text=$3
	shift 3
	mariadb --default-character-set=utf8mb4 -N --raw "$@" -e "CREATE DATABASE IF NOT EXISTS record; USE record; SET sql_mode='$mode', time_zone='+00:00';
		CREATE OR REPLACE TABLE t (c $type NULL); INSERT INTO t VALUES ('$text'); SELECT concat('[', c, ']') FROM t" 2>&1 </dev/null |
		sed -n -e 's/^ERROR \([0-9]*\) .*/!\1/p' -e 's/^\[\(.*\)\]$/\1/p' | head -1 | tr -d '\n'
}
grep -v '^#' my_values.txt | while IFS="$(printf '\t')" read -r type text; do
	printf '%s\t%s\t%s\t%s\n' "$type" "$text" \
		"$(ask STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE "$type" "$text" "$@")" "$(ask '' "$type" "$text" "$@")"
done
