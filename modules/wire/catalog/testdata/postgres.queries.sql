SELECT c.relname, c.relkind, n.nspname, c.relnatts, c.relchecks, c.relhasindex, c.relpersistence, am.amname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam WHERE n.nspname IN ('public', 'billing') ORDER BY n.nspname, c.relname
SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated, a.attlen, a.attndims, a.attbyval, a.attalign, a.attstorage, a.atttypmod, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE n.nspname IN ('public', 'billing') AND c.relkind IN ('r', 'v', 'S') AND a.attnum > 0 ORDER BY c.relname, a.attnum
SELECT conrelid::regclass, conname, contype, condeferrable, condeferred, convalidated, conkey, confrelid::regclass, confkey, confupdtype, confdeltype, confmatchtype, connoinherit, pg_get_constraintdef(oid), conindid::regclass FROM pg_constraint WHERE connamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'billing')) AND conrelid <> 0 ORDER BY 1, 2
SELECT indexrelid::regclass, indrelid::regclass, indnatts, indnkeyatts, indisunique, indisprimary, indkey, indoption, indcollation, indclass, pg_get_indexdef(indexrelid), pg_get_indexdef(indexrelid, 1, true), pg_get_expr(indpred, indrelid) FROM pg_index WHERE indrelid::regclass::text IN ('users', 'orders', 'child', 'billing.invoice') ORDER BY 1
SELECT seqrelid::regclass, format_type(seqtypid, NULL), seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle FROM pg_sequence ORDER BY 1
SELECT * FROM counter
SELECT schemaname, sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size, last_value FROM pg_sequences ORDER BY 2
SELECT pg_get_serial_sequence('users', 'id'), pg_get_serial_sequence('orders', 'seq'), pg_get_serial_sequence('orders', 'total')
SELECT obj_description('users'::regclass), obj_description('users'::regclass, 'pg_class'), col_description('users'::regclass, 7), obj_description('mixed'::regclass, 'pg_class'), obj_description('billing'::regnamespace, 'pg_namespace'), obj_description('mood'::regtype, 'pg_type'), obj_description('counter'::regclass, 'pg_class')
SELECT t.typname, t.typtype, t.typcategory, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typnotnull, format_type(t.typbasetype, t.typtypmod), t.typelem <> 0, t.typarray <> 0, t.typrelid::regclass, t.typinput, t.typoutput FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname IN ('public', 'billing') ORDER BY t.typname
SELECT e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = 'mood' ORDER BY e.enumsortorder
SELECT contypid::regtype, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = 'email'::regtype
SELECT table_schema, table_name, table_type, is_insertable_into FROM information_schema.tables WHERE table_schema IN ('public', 'billing') AND table_type = 'BASE TABLE' ORDER BY 1, 2
SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length, character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, domain_name, udt_schema, udt_name, is_identity, identity_generation, identity_start, identity_increment, is_generated, generation_expression, is_updatable, dtd_identifier FROM information_schema.columns WHERE table_schema IN ('public', 'billing') AND table_name <> 'grown_ups' ORDER BY table_name, ordinal_position
SELECT constraint_name, table_name, constraint_type, is_deferrable, initially_deferred, enforced FROM information_schema.table_constraints WHERE table_schema IN ('public', 'billing') AND constraint_name NOT LIKE '%not_null' ORDER BY 1, 2
SELECT constraint_name, table_name, column_name, ordinal_position, position_in_unique_constraint FROM information_schema.key_column_usage WHERE table_schema IN ('public', 'billing') ORDER BY 1, 2, 4
SELECT constraint_name, table_name, column_name FROM information_schema.constraint_column_usage WHERE table_schema IN ('public', 'billing') ORDER BY 1, 2, 3
SELECT constraint_name, unique_constraint_name, match_option, update_rule, delete_rule FROM information_schema.referential_constraints WHERE constraint_schema IN ('public', 'billing') ORDER BY 1
SELECT constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema IN ('public', 'billing') AND constraint_name NOT LIKE '%not_null' ORDER BY 1
SELECT sequence_name, data_type, numeric_precision, start_value, minimum_value, maximum_value, increment, cycle_option FROM information_schema.sequences ORDER BY 1
SELECT domain_name, data_type, character_maximum_length, udt_name FROM information_schema.domains WHERE domain_schema = 'public'
SELECT object_name, collection_type_identifier, data_type, udt_name FROM information_schema.element_types WHERE object_schema = 'public' AND object_type = 'TABLE'
SELECT tablename, hasindexes FROM pg_tables WHERE schemaname IN ('public', 'billing') ORDER BY 1
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname IN ('public', 'billing') ORDER BY 1
SELECT 'users'::regclass, 'billing.invoice'::regclass, 'pg_class'::regclass, 'int4'::regtype, 'character varying(20)'::regtype, 'mood[]'::regtype, 'billing'::regnamespace, 'array_in'::regproc, 'lower(text)'::regprocedure, 0::regclass
SELECT to_regclass('users'), to_regclass('nothing'), to_regtype('mood'), to_regtype('nothing'), 'pg_class'::regclass::oid, 'pg_type'::regclass::oid
SELECT format_type(23, -1), format_type(1043, 24), format_type(1700, 655366), format_type(1114, 3), format_type(1042, 9), format_type(1560, 3), format_type(1007, -1), format_type(0, NULL), format_type(999999, NULL), format_type(NULL, NULL)
SELECT pg_table_is_visible('users'::regclass), pg_table_is_visible('billing.invoice'::regclass), pg_table_is_visible('pg_class'::regclass), pg_type_is_visible('mood'::regtype)
SELECT pg_encoding_to_char(6), pg_char_to_encoding('UTF8'), pg_is_in_recovery(), pg_tablespace_location(1663)
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod FROM pg_cast WHERE castsource = 'int4'::regtype ORDER BY 2
SELECT typname, oid, typelem, typarray, typcategory, typispreferred, typlen, typdelim, typinput, typcollation FROM pg_type WHERE typname IN ('int4', '_int4', 'text', 'varchar', 'numeric', 'timestamptz', 'json', 'uuid', 'int2vector', 'bool', 'record', 'anyarray', 'int4range') ORDER BY typname
SELECT amname, amhandler, amtype FROM pg_am ORDER BY 1
SELECT count(*) > 400, min(word), max(word) FROM pg_get_keywords()
SELECT has_table_privilege('users', 'SELECT'), has_schema_privilege('public', 'USAGE')
SELECT conname, (SELECT string_agg(a.attname, ',') FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) FROM pg_constraint c WHERE conrelid = 'billing.invoice'::regclass AND contype = 'p'
SELECT d.refobjid::regclass, d.refobjsubid, d.deptype FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = 'users_id_seq'::regclass AND d.refclassid = 'pg_class'::regclass
SELECT c.relname, c.relhastriggers, c.relreplident FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'billing') AND c.relkind = 'r' ORDER BY 1
SELECT nspname, pg_get_userbyid(nspowner), nspacl FROM pg_namespace WHERE nspname = 'public'
SELECT extname, extversion FROM pg_extension
