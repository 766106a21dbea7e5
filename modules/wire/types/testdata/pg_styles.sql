-- How PostgreSQL 15 prints values under its settings: setting, value, type, text, printed text.
-- psql -qAtX -F $'\t' -v ON_ERROR_STOP=1 -f pg_styles.sql > pg_styles.tsv
SET timezone = 'Europe/Berlin';
CREATE FUNCTION pg_temp.show(s text, v text, t text, i text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o text; q text;
BEGIN
	-- The value is read before the setting changes, and printed after it.
	q := format('DO $do$ DECLARE x %s := %L; BEGIN PERFORM set_config(%L, %L, true); PERFORM set_config(''my.out'', format(''%%s'', x), true); END $do$', t, i, s, v);
	EXECUTE q;
	o := current_setting('my.out');
	PERFORM set_config('datestyle', 'ISO, MDY', true);
	PERFORM set_config('intervalstyle', 'postgres', true);
	PERFORM set_config('extra_float_digits', '1', true);
	PERFORM set_config('bytea_output', 'hex', true);
	RETURN o;
END $$;
SELECT s, v, t, i, pg_temp.show(s, v, t, i) FROM (VALUES
('datestyle','ISO, MDY'),('datestyle','SQL, MDY'),('datestyle','SQL, DMY'),('datestyle','German'),('datestyle','Postgres, MDY'),('datestyle','Postgres, DMY')
) ss(s, v), (VALUES
('date','2024-02-03'),('date','0044-03-15 BC'),('timestamp','2024-02-03 04:05:06.7'),('timestamp','0044-03-15 01:02:03 BC'),('timestamptz','2024-02-03 04:05:06.7+00'),('timestamptz','2024-07-03 04:05:06+00'),('timestamptz','infinity'),('time','04:05:06.7'),('timetz','04:05:06-03:30')
) vv(t, i)
UNION ALL
SELECT s, v, t, i, pg_temp.show(s, v, t, i) FROM (VALUES
('intervalstyle','postgres'),('intervalstyle','postgres_verbose'),('intervalstyle','sql_standard'),('intervalstyle','iso_8601')
) ss(s, v), (VALUES
('interval','0'),('interval','1 day'),('interval','1 year 2 mons'),('interval','1 year 2 mons 3 days 04:05:06.789'),('interval','-1 year -2 mons +3 days -04:05:06'),('interval','3 days 04:05:06'),('interval','-3 days -04:05:06.5'),('interval','-04:05:06'),('interval','1 mon'),('interval','-1 mon'),('interval','00:00:01'),('interval','1 day -1 second'),('interval','100 hours'),('interval','-0.5 sec')
) vv(t, i)
UNION ALL
SELECT s, v, t, i, pg_temp.show(s, v, t, i) FROM (VALUES
('extra_float_digits','0'),('extra_float_digits','-5'),('extra_float_digits','3')
) ss(s, v), (VALUES
('float8','0.1'),('float8','0.30000000000000004'),('float8','123456789.123456789'),('float8','1e-7'),('float8','1e20'),('float8','100000'),('float4','0.1'),('float4','3.14159274'),('float4','16777216'),('float8','-0.0001234')
) vv(t, i)
UNION ALL
SELECT 'bytea_output', 'escape', 'bytea', '\x00415c7f80', pg_temp.show('bytea_output', 'escape', 'bytea', '\x00415c7f80');
