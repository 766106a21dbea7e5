#!/bin/sh
# Records what a fresh PostgreSQL 15 has in its catalogs: record.sh "psql -h HOST -U USER DATABASE" (an empty database).
set -eu
cd "$(dirname "$0")"
q() { $1 -AtX -F "$(printf '\t')" -c "$2"; }
# Relations: namespace, name, OID, kind, row type, columns as name:type, ! for NOT NULL. Domains are shown as their base type.
q "$1" "SELECT n.nspname, c.relname, c.oid, c.relkind, c.reltype,
  (SELECT string_agg(a.attname || ':' || coalesce(nullif(t.typbasetype, 0), t.oid) || CASE WHEN a.attnotnull THEN '!' ELSE '' END, ' ' ORDER BY a.attnum)
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v') AND n.nspname IN ('pg_catalog', 'information_schema') ORDER BY n.nspname, c.relname" > relations.tsv
# Functions: OID, name, kind, returns a set, result, volatility, strict, variadic type, defaults, argument types.
q "$1" "SELECT oid, proname, prokind, proretset, prorettype, provolatile, proisstrict, provariadic, pronargdefaults, proargtypes
  FROM pg_proc WHERE pronamespace = 11 ORDER BY oid" > procs.tsv
q "$1" "SELECT oid, castsource, casttarget, castfunc::oid, castcontext, castmethod FROM pg_cast ORDER BY oid" > casts.tsv
q "$1" "SELECT oid, opcmethod, opcname, opcfamily, opcintype, opcdefault, opckeytype FROM pg_opclass WHERE opcnamespace = 11 ORDER BY oid" > opclasses.tsv
q "$1" "SELECT oid, oprname, oprkind, oprcanmerge, oprcanhash, oprleft, oprright, oprresult, oprcom, oprnegate, oprcode::oid
  FROM pg_operator WHERE oprnamespace = 11 ORDER BY oid" > operators.tsv
q "$1" "SELECT name, setting, unit, category, short_desc, context, vartype, min_val, max_val, array_to_string(enumvals, ','), boot_val
  FROM pg_settings WHERE category NOT LIKE 'Developer%' ORDER BY name" > settings.tsv
q "$1" "SELECT word, catcode, barelabel, catdesc, baredesc FROM pg_get_keywords() ORDER BY word" > keywords.tsv
