package session

import "github.com/bop-platform/bop/modules/wire/catalog"

// reported are the variables that PostgreSQL tells at connect, in its order.
var reported = []string{
	"application_name", "client_encoding", "datestyle", "default_transaction_read_only", "in_hot_standby", "integer_datetimes",
	"intervalstyle", "is_superuser", "server_encoding", "server_version", "session_authorization", "standard_conforming_strings", "timezone",
}

// pgSpecs are PostgreSQL's variables that clients set or show. Those that tune what isn't here are accepted and shown.
var pgSpecs = specTable(`
application_name||s|r|Sets the application name to be reported in statistics and logs.
array_nulls|on|b
backslash_quote|safe_encoding|e||safe_encoding,on,off
block_size|4096|i|f
bytea_output|hex|e||escape,hex
check_function_bodies|on|b
client_encoding|UTF8|s|r|Sets the client's character set encoding.
client_min_messages|notice|e||debug5,debug4,debug3,debug2,debug1,log,notice,warning,error
constraint_exclusion|partition|e||partition,on,off
cpu_index_tuple_cost|0.005|s
cpu_operator_cost|0.0025|s
cpu_tuple_cost|0.01|s
cursor_tuple_fraction|0.1|s
data_checksums|on|b|f
datestyle|ISO, MDY|s|r|Sets the display format for date and time values.
deadlock_timeout|1s|i:ms
default_statistics_target|100|i
default_table_access_method|heap|s
default_tablespace||s
default_text_search_config|pg_catalog.simple|s
default_toast_compression|pglz|e||pglz,lz4
default_transaction_deferrable|off|b
default_transaction_isolation|read committed|e||serializable,repeatable read,read committed,read uncommitted
default_transaction_read_only|off|b|r
effective_cache_size|524288|i:8kB
enable_bitmapscan|on|b
enable_hashagg|on|b
enable_hashjoin|on|b
enable_indexonlyscan|on|b
enable_indexscan|on|b
enable_material|on|b
enable_mergejoin|on|b
enable_nestloop|on|b
enable_seqscan|on|b
enable_sort|on|b
escape_string_warning|on|b
extra_float_digits|1|i
force_parallel_mode|off|s
from_collapse_limit|8|i
geqo|on|b
gin_fuzzy_search_limit|0|i
hot_standby|on|b|f
idle_in_transaction_session_timeout|0|i:ms
idle_session_timeout|0|i:ms
in_hot_standby|off|b|fr
integer_datetimes|on|b|fr
intervalstyle|postgres|e|r|postgres,postgres_verbose,sql_standard,iso_8601
is_superuser|on|b|fr
jit|off|b
join_collapse_limit|8|i
lc_collate|C.UTF-8|s|f
lc_ctype|C.UTF-8|s|f
lc_messages|C.UTF-8|s
lc_monetary|C.UTF-8|s
lc_numeric|C.UTF-8|s
lc_time|C.UTF-8|s
lo_compat_privileges|off|b
lock_timeout|0|i:ms
log_min_duration_statement|-1|i:ms
log_statement|none|s
maintenance_work_mem|65536|i:kB
max_connections|10000|i|f
max_identifier_length|63|i|f
max_index_keys|32|i|f
max_parallel_workers_per_gather|0|i
max_prepared_transactions|0|i|f
max_stack_depth|2048|i:kB
port|5432|i|f
quote_all_identifiers|off|b
random_page_cost|4|s
row_security|on|b
search_path|"$user", public|s
segment_size|131072|i:8kB|f
seq_page_cost|1|s
server_encoding|UTF8|s|fr
server_version|` + catalog.PostgresVersion + `|s|fr
server_version_num|150008|i|f
session_authorization||s|fr
session_replication_role|origin|e||origin,replica,local
ssl|off|b|f
standard_conforming_strings|on|b|r
statement_timeout|0|i:ms
superuser_reserved_connections|0|i|f
synchronize_seqscans|on|b
synchronous_commit|on|e||local,remote_write,remote_apply,on,off
tcp_keepalives_idle|0|i:s
temp_buffers|1024|i:8kB
temp_tablespaces||s
timezone|UTC|s|r|Sets the time zone for displaying and interpreting time stamps.
timezone_abbreviations|Default|s
transaction_deferrable|off|b
transaction_isolation|read committed|e||serializable,repeatable read,read committed,read uncommitted
transaction_read_only|off|b
transform_null_equals|off|b
wal_block_size|8192|i|f
wal_level|replica|s|f
work_mem|4096|i:kB
xmlbinary|base64|e||base64,hex
xmloption|content|e||content,document
` + ownSpecs)
