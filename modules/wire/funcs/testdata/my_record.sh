#!/bin/sh
# Records what a MySQL or MariaDB server answers to the calls of my_calls.txt, as lines of SQLite's call, a tab and the
# result:  my_record.sh -S /path/to/socket -u root > my_calls.tsv
sed -e '/^#/d' -e '/^$/d' my_calls.txt | while IFS= read -r line; do
	case $line in
	*" => "*) my=${line%% => *} lite=${line#* => } ;;
	*) my=$(printf '%s' "$line" | sed 's/@\([a-z0-9_]*\)(/\1(/g') lite=$(printf '%s' "$line" | sed 's/@\([a-z0-9_]*\)(/my_\1(/g') ;;
	esac
	printf '%s\t' "$lite"
	mariadb --default-character-set=utf8mb4 -N "$@" -e "SELECT $my" </dev/null
done
