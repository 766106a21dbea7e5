-- How PostgreSQL 15 reads dates in each order, and intervals in each style: setting, value, type, text, printed or ! and the error.
-- psql -qAtX -F $'\t' -v ON_ERROR_STOP=1 -f pg_orders.sql > pg_orders.tsv
CREATE FUNCTION pg_temp.probe(s text, v text, t text, i text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o text;
BEGIN
	PERFORM set_config(s, v, true);
	EXECUTE format('SELECT format(''%%s'', %L::%s)', i, t) INTO o;
	RETURN o;
EXCEPTION WHEN OTHERS THEN
	RETURN '!' || SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT s, v, t, i, pg_temp.probe(s, v, t, i) FROM (VALUES ('datestyle','ISO, MDY'),('datestyle','ISO, DMY'),('datestyle','ISO, YMD')) ss(s, v), (VALUES
('date','01/02/2024'),('date','13/02/2024'),('date','02/13/2024'),('date','2024/01/02'),('date','01-02-03'),('date','1.2.2024'),('date','31.12.99'),('date','Jan 2 2024'),('date','2 Jan 24'),('date','24-Jan-02'),('date','2024-Jan-02'),('date','02-Jan-2024'),('date','99/12/31'),('timestamp','01/02/2024 10:11:12'),('timestamp','1/2/24 1:2:3 PM'),('date','010203')
) vv(t, i)
UNION ALL
SELECT s, v, t, i, pg_temp.probe(s, v, t, i) FROM (VALUES ('intervalstyle','postgres'),('intervalstyle','sql_standard')) ss(s, v), (VALUES
('interval','-1 2:03:04'),('interval','-1-2'),('interval','-1 day 2 hours'),('interval','1-2 3 4:05:06'),('interval','-1-2 +3 4:05:06'),('interval','-3 04:05:06')
) vv(t, i);
