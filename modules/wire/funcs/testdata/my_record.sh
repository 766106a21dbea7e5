#!/bin/sh
# Records what a MySQL or MariaDB server answers. The arguments are those of the client.
#   my_record.sh calls -S /path/to/socket -u root > my_calls.tsv    lines of SQLite's call, a tab and the result
#   my_record.sh exprs -S /path/to/socket -u root > my_exprs.tsv    lines of the expression, a tab and the result
what=$1
shift
sed -e '/^#/d' -e '/^$/d' "my_$what.txt" | while IFS= read -r line; do
	case $what$line in
	exprs*) my=$line show=$line ;;
	*" => "*) my=${line%% => *} show=${line#* => } ;;
	*) my=$(printf '%s' "$line" | sed 's/@\([a-z0-9_]*\)(/\1(/g') show=$(printf '%s' "$line" | sed 's/@\([a-z0-9_]*\)(/my_\1(/g') ;;
	esac
	printf '%s\t' "$show"
	mariadb --default-character-set=utf8mb4 -N "$@" -e "SET time_zone = '+00:00'; SELECT $my" </dev/null || echo
done
