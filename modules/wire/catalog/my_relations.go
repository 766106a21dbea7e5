package catalog

// showNamespace holds the relations behind SHOW, named show_…: their columns are named as the statements name them.
// Columns in lower case are not shown; they choose the rows.
const showNamespace = "sys"

// mysqlRelations are the catalogs of MySQL 8: namespace.name, then columns as name:type. A number is a varchar of that
// length; ! says NOT NULL.
const mysqlRelations = `
information_schema.SCHEMATA CATALOG_NAME:64! SCHEMA_NAME:64! DEFAULT_CHARACTER_SET_NAME:64! DEFAULT_COLLATION_NAME:64! SQL_PATH:64 DEFAULT_ENCRYPTION:3!
information_schema.TABLES TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! TABLE_TYPE:11! ENGINE:64 VERSION:int ROW_FORMAT:10 TABLE_ROWS:ubigint AVG_ROW_LENGTH:ubigint DATA_LENGTH:ubigint MAX_DATA_LENGTH:ubigint INDEX_LENGTH:ubigint DATA_FREE:ubigint AUTO_INCREMENT:ubigint CREATE_TIME:datetime UPDATE_TIME:datetime CHECK_TIME:datetime TABLE_COLLATION:64 CHECKSUM:bigint CREATE_OPTIONS:256 TABLE_COMMENT:text
information_schema.COLUMNS TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! COLUMN_NAME:64 ORDINAL_POSITION:int! COLUMN_DEFAULT:text IS_NULLABLE:3! DATA_TYPE:text CHARACTER_MAXIMUM_LENGTH:bigint CHARACTER_OCTET_LENGTH:bigint NUMERIC_PRECISION:ubigint NUMERIC_SCALE:ubigint DATETIME_PRECISION:int CHARACTER_SET_NAME:64 COLLATION_NAME:64 COLUMN_TYPE:text! COLUMN_KEY:3! EXTRA:256 PRIVILEGES:154 COLUMN_COMMENT:text! GENERATION_EXPRESSION:text! SRS_ID:int
information_schema.STATISTICS TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! NON_UNIQUE:int! INDEX_SCHEMA:64! INDEX_NAME:64 SEQ_IN_INDEX:int! COLUMN_NAME:64 COLLATION:1 CARDINALITY:bigint SUB_PART:bigint PACKED:10 NULLABLE:3! INDEX_TYPE:11! COMMENT:8! INDEX_COMMENT:2048! IS_VISIBLE:3! EXPRESSION:text
information_schema.KEY_COLUMN_USAGE CONSTRAINT_CATALOG:64! CONSTRAINT_SCHEMA:64! CONSTRAINT_NAME:64 TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! COLUMN_NAME:64 ORDINAL_POSITION:int! POSITION_IN_UNIQUE_CONSTRAINT:int REFERENCED_TABLE_SCHEMA:64 REFERENCED_TABLE_NAME:64 REFERENCED_COLUMN_NAME:64
information_schema.TABLE_CONSTRAINTS CONSTRAINT_CATALOG:64! CONSTRAINT_SCHEMA:64! CONSTRAINT_NAME:64 TABLE_SCHEMA:64! TABLE_NAME:64! CONSTRAINT_TYPE:11! ENFORCED:3!
information_schema.REFERENTIAL_CONSTRAINTS CONSTRAINT_CATALOG:64! CONSTRAINT_SCHEMA:64! CONSTRAINT_NAME:64 UNIQUE_CONSTRAINT_CATALOG:64! UNIQUE_CONSTRAINT_SCHEMA:64! UNIQUE_CONSTRAINT_NAME:64 MATCH_OPTION:7! UPDATE_RULE:11! DELETE_RULE:11! TABLE_NAME:64! REFERENCED_TABLE_NAME:64!
information_schema.CHECK_CONSTRAINTS CONSTRAINT_CATALOG:64! CONSTRAINT_SCHEMA:64! CONSTRAINT_NAME:64! CHECK_CLAUSE:text!
information_schema.VIEWS TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! VIEW_DEFINITION:text CHECK_OPTION:8 IS_UPDATABLE:3 DEFINER:288 SECURITY_TYPE:7 CHARACTER_SET_CLIENT:64! COLLATION_CONNECTION:64!
information_schema.ENGINES ENGINE:64! SUPPORT:8! COMMENT:80! TRANSACTIONS:3 XA:3 SAVEPOINTS:3
information_schema.CHARACTER_SETS CHARACTER_SET_NAME:64! DEFAULT_COLLATE_NAME:64! DESCRIPTION:2048! MAXLEN:int!
information_schema.COLLATIONS COLLATION_NAME:64! CHARACTER_SET_NAME:64! ID:ubigint! IS_DEFAULT:3! IS_COMPILED:3! SORTLEN:int! PAD_ATTRIBUTE:9!
information_schema.COLLATION_CHARACTER_SET_APPLICABILITY COLLATION_NAME:64! CHARACTER_SET_NAME:64!
information_schema.ROUTINES SPECIFIC_NAME:64! ROUTINE_CATALOG:64! ROUTINE_SCHEMA:64! ROUTINE_NAME:64! ROUTINE_TYPE:9! DATA_TYPE:text CHARACTER_MAXIMUM_LENGTH:bigint CHARACTER_OCTET_LENGTH:bigint NUMERIC_PRECISION:int NUMERIC_SCALE:int DATETIME_PRECISION:int CHARACTER_SET_NAME:64 COLLATION_NAME:64 DTD_IDENTIFIER:text ROUTINE_BODY:3! ROUTINE_DEFINITION:text EXTERNAL_NAME:64 EXTERNAL_LANGUAGE:64! PARAMETER_STYLE:3! IS_DETERMINISTIC:3! SQL_DATA_ACCESS:17! SQL_PATH:64 SECURITY_TYPE:7! CREATED:datetime! LAST_ALTERED:datetime! SQL_MODE:256! ROUTINE_COMMENT:text! DEFINER:288! CHARACTER_SET_CLIENT:64! COLLATION_CONNECTION:64! DATABASE_COLLATION:64!
information_schema.PARAMETERS SPECIFIC_CATALOG:64! SPECIFIC_SCHEMA:64! SPECIFIC_NAME:64! ORDINAL_POSITION:ubigint! PARAMETER_MODE:5 PARAMETER_NAME:64 DATA_TYPE:text CHARACTER_MAXIMUM_LENGTH:bigint CHARACTER_OCTET_LENGTH:bigint NUMERIC_PRECISION:int NUMERIC_SCALE:bigint DATETIME_PRECISION:int CHARACTER_SET_NAME:64 COLLATION_NAME:64 DTD_IDENTIFIER:text! ROUTINE_TYPE:9!
information_schema.TRIGGERS TRIGGER_CATALOG:64! TRIGGER_SCHEMA:64! TRIGGER_NAME:64! EVENT_MANIPULATION:6! EVENT_OBJECT_CATALOG:64! EVENT_OBJECT_SCHEMA:64! EVENT_OBJECT_TABLE:64! ACTION_ORDER:int! ACTION_CONDITION:64 ACTION_STATEMENT:text! ACTION_ORIENTATION:3! ACTION_TIMING:6! ACTION_REFERENCE_OLD_TABLE:64 ACTION_REFERENCE_NEW_TABLE:64 ACTION_REFERENCE_OLD_ROW:3! ACTION_REFERENCE_NEW_ROW:3! CREATED:datetime! SQL_MODE:256! DEFINER:288! CHARACTER_SET_CLIENT:64! COLLATION_CONNECTION:64! DATABASE_COLLATION:64!
information_schema.EVENTS EVENT_CATALOG:64! EVENT_SCHEMA:64! EVENT_NAME:64! DEFINER:288! TIME_ZONE:64! EVENT_BODY:3! EVENT_DEFINITION:text! EVENT_TYPE:9! EXECUTE_AT:datetime INTERVAL_VALUE:256 INTERVAL_FIELD:18 SQL_MODE:256! STARTS:datetime ENDS:datetime STATUS:18! ON_COMPLETION:12! CREATED:datetime! LAST_ALTERED:datetime! LAST_EXECUTED:datetime EVENT_COMMENT:2048! ORIGINATOR:int! CHARACTER_SET_CLIENT:64! COLLATION_CONNECTION:64! DATABASE_COLLATION:64!
information_schema.PARTITIONS TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! PARTITION_NAME:64 SUBPARTITION_NAME:64 PARTITION_ORDINAL_POSITION:int SUBPARTITION_ORDINAL_POSITION:int PARTITION_METHOD:13 SUBPARTITION_METHOD:13 PARTITION_EXPRESSION:2048 SUBPARTITION_EXPRESSION:2048 PARTITION_DESCRIPTION:text TABLE_ROWS:ubigint AVG_ROW_LENGTH:ubigint DATA_LENGTH:ubigint MAX_DATA_LENGTH:ubigint INDEX_LENGTH:ubigint DATA_FREE:ubigint CREATE_TIME:datetime! UPDATE_TIME:datetime CHECK_TIME:datetime CHECKSUM:bigint PARTITION_COMMENT:text! NODEGROUP:256 TABLESPACE_NAME:268
information_schema.PROCESSLIST ID:ubigint! USER:32! HOST:261! DB:64 COMMAND:16! TIME:int! STATE:64 INFO:text
information_schema.USER_PRIVILEGES GRANTEE:292! TABLE_CATALOG:512! PRIVILEGE_TYPE:64! IS_GRANTABLE:3!
information_schema.SCHEMA_PRIVILEGES GRANTEE:292! TABLE_CATALOG:512! TABLE_SCHEMA:64! PRIVILEGE_TYPE:64! IS_GRANTABLE:3!
information_schema.TABLE_PRIVILEGES GRANTEE:292! TABLE_CATALOG:512! TABLE_SCHEMA:64! TABLE_NAME:64! PRIVILEGE_TYPE:64! IS_GRANTABLE:3!
information_schema.COLUMN_PRIVILEGES GRANTEE:292! TABLE_CATALOG:512! TABLE_SCHEMA:64! TABLE_NAME:64! COLUMN_NAME:64! PRIVILEGE_TYPE:64! IS_GRANTABLE:3!
information_schema.FILES FILE_ID:bigint FILE_NAME:text FILE_TYPE:256 TABLESPACE_NAME:268 TABLE_CATALOG:1! TABLE_SCHEMA:1 TABLE_NAME:1 LOGFILE_GROUP_NAME:256 LOGFILE_GROUP_NUMBER:bigint ENGINE:64! FULLTEXT_KEYS:1 DELETED_ROWS:1 UPDATE_COUNT:1 FREE_EXTENTS:bigint TOTAL_EXTENTS:bigint EXTENT_SIZE:bigint INITIAL_SIZE:bigint MAXIMUM_SIZE:bigint AUTOEXTEND_SIZE:bigint CREATION_TIME:1 LAST_UPDATE_TIME:1 LAST_ACCESS_TIME:1 RECOVER_TIME:1 TRANSACTION_COUNTER:1 VERSION:bigint ROW_FORMAT:256 TABLE_ROWS:1 AVG_ROW_LENGTH:1 DATA_LENGTH:1 MAX_DATA_LENGTH:1 INDEX_LENGTH:1 DATA_FREE:bigint CREATE_TIME:1 UPDATE_TIME:1 CHECK_TIME:1 CHECKSUM:1 STATUS:256 EXTRA:256
information_schema.PLUGINS PLUGIN_NAME:64! PLUGIN_VERSION:20! PLUGIN_STATUS:10! PLUGIN_TYPE:80! PLUGIN_TYPE_VERSION:20! PLUGIN_LIBRARY:64 PLUGIN_LIBRARY_VERSION:20 PLUGIN_AUTHOR:64 PLUGIN_DESCRIPTION:text PLUGIN_LICENSE:80 LOAD_OPTION:64!
information_schema.KEYWORDS WORD:128 RESERVED:int
information_schema.COLUMN_STATISTICS SCHEMA_NAME:64! TABLE_NAME:64! COLUMN_NAME:64! HISTOGRAM:text!
information_schema.ST_GEOMETRY_COLUMNS TABLE_CATALOG:64! TABLE_SCHEMA:64! TABLE_NAME:64! COLUMN_NAME:64 SRS_NAME:80 SRS_ID:int GEOMETRY_TYPE_NAME:text!
information_schema.TABLESPACES TABLESPACE_NAME:64! ENGINE:64! TABLESPACE_TYPE:64 LOGFILE_GROUP_NAME:64 EXTENT_SIZE:ubigint AUTOEXTEND_SIZE:ubigint MAXIMUM_SIZE:ubigint NODEGROUP_ID:ubigint TABLESPACE_COMMENT:2048
information_schema.INNODB_TRX trx_id:ubigint! trx_state:13! trx_started:datetime! trx_requested_lock_id:126 trx_wait_started:datetime trx_weight:ubigint! trx_mysql_thread_id:ubigint! trx_query:1024
information_schema.TABLE_CONSTRAINTS_EXTENSIONS CONSTRAINT_CATALOG:64! CONSTRAINT_SCHEMA:64! CONSTRAINT_NAME:64! TABLE_NAME:64! ENGINE_ATTRIBUTE:text SECONDARY_ENGINE_ATTRIBUTE:text
mysql.user Host:255! User:32! Select_priv:1! Insert_priv:1! Update_priv:1! Delete_priv:1! Create_priv:1! Drop_priv:1! Reload_priv:1! Shutdown_priv:1! Process_priv:1! File_priv:1! Grant_priv:1! References_priv:1! Index_priv:1! Alter_priv:1! Show_db_priv:1! Super_priv:1! Create_tmp_table_priv:1! Lock_tables_priv:1! Execute_priv:1! Repl_slave_priv:1! Repl_client_priv:1! Create_view_priv:1! Show_view_priv:1! Create_routine_priv:1! Alter_routine_priv:1! Create_user_priv:1! Event_priv:1! Trigger_priv:1! Create_tablespace_priv:1! ssl_type:9! ssl_cipher:text! x509_issuer:text! x509_subject:text! max_questions:int! max_updates:int! max_connections:int! max_user_connections:int! plugin:64! authentication_string:text password_expired:1! password_last_changed:datetime password_lifetime:int account_locked:1! Create_role_priv:1! Drop_role_priv:1! Password_reuse_history:int Password_reuse_time:int Password_require_current:1 User_attributes:text
mysql.db Host:255! Db:64! User:32! Select_priv:1! Insert_priv:1! Update_priv:1! Delete_priv:1! Create_priv:1! Drop_priv:1! Grant_priv:1! References_priv:1! Index_priv:1! Alter_priv:1! Create_tmp_table_priv:1! Lock_tables_priv:1! Create_view_priv:1! Show_view_priv:1! Create_routine_priv:1! Alter_routine_priv:1! Execute_priv:1! Event_priv:1! Trigger_priv:1!
mysql.tables_priv Host:255! Db:64! User:32! Table_name:64! Grantor:288! Timestamp:datetime! Table_priv:256! Column_priv:256!
mysql.columns_priv Host:255! Db:64! User:32! Table_name:64! Column_name:64! Timestamp:datetime! Column_priv:256!
mysql.procs_priv Host:255! Db:64! User:32! Routine_name:64! Routine_type:9! Grantor:288! Proc_priv:256! Timestamp:datetime!
mysql.proc db:64! name:64! type:9! specific_name:64! language:3! sql_data_access:17! is_deterministic:3! security_type:7! param_list:text! returns:text! body:text! definer:288! created:datetime! modified:datetime! sql_mode:256! comment:text! character_set_client:32 collation_connection:32 db_collation:32 body_utf8:text
mysql.event db:64! name:64! body:text! definer:288! execute_at:datetime interval_value:int interval_field:18 created:datetime! modified:datetime! last_executed:datetime starts:datetime ends:datetime status:18! on_completion:8! sql_mode:256! comment:64! originator:int! time_zone:64! character_set_client:32 collation_connection:32 db_collation:32 body_utf8:text
mysql.help_topic help_topic_id:int! name:64! help_category_id:int! description:text! example:text! url:text!
mysql.time_zone_name Name:64! Time_zone_id:int!
performance_schema.session_variables VARIABLE_NAME:64! VARIABLE_VALUE:1024
performance_schema.global_variables VARIABLE_NAME:64! VARIABLE_VALUE:1024
performance_schema.session_status VARIABLE_NAME:64! VARIABLE_VALUE:1024
performance_schema.global_status VARIABLE_NAME:64! VARIABLE_VALUE:1024
performance_schema.threads THREAD_ID:ubigint! NAME:128! TYPE:10! PROCESSLIST_ID:ubigint PROCESSLIST_USER:32 PROCESSLIST_HOST:255 PROCESSLIST_DB:64 PROCESSLIST_COMMAND:16 PROCESSLIST_TIME:bigint PROCESSLIST_STATE:64 PROCESSLIST_INFO:text
performance_schema.processlist ID:ubigint! USER:32 HOST:261 DB:64 COMMAND:16 TIME:bigint STATE:64 INFO:text
information_schema.SESSION_VARIABLES VARIABLE_NAME:64! VARIABLE_VALUE:1024
information_schema.GLOBAL_VARIABLES VARIABLE_NAME:64! VARIABLE_VALUE:1024
information_schema.SESSION_STATUS VARIABLE_NAME:64! VARIABLE_VALUE:1024
information_schema.GLOBAL_STATUS VARIABLE_NAME:64! VARIABLE_VALUE:1024
sys.show_databases Database:64!
sys.show_tables db:64! Tables_in:64! Table_type:11!
sys.show_table_status db:64! Name:64! Engine:64 Version:int Row_format:10 Rows:ubigint Avg_row_length:ubigint Data_length:ubigint Max_data_length:ubigint Index_length:ubigint Data_free:ubigint Auto_increment:ubigint Create_time:datetime Update_time:datetime Check_time:datetime Collation:64 Checksum:bigint Create_options:256 Comment:text
sys.show_columns db:64! tbl:64! Field:64! Type:text! Collation:64 Null:3! Key:3! Default:text Extra:256! Privileges:154! Comment:text!
sys.show_index db:64! tbl:64! Table:64! Non_unique:int! Key_name:64! Seq_in_index:int! Column_name:64 Collation:1 Cardinality:bigint Sub_part:bigint Packed:10 Null:3! Index_type:11! Comment:8! Index_comment:2048! Visible:3! Expression:text
sys.show_create_table db:64! tbl:64! Table:64! Create_Table:text!
sys.show_create_view db:64! tbl:64! View:64! Create_View:text! character_set_client:32! collation_connection:32!
sys.show_create_database db:64! Database:64! Create_Database:1024!
sys.show_variables Variable_name:64! Value:1024!
sys.show_global_variables Variable_name:64! Value:1024!
sys.show_status Variable_name:64! Value:1024!
sys.show_processlist Id:ubigint! User:32! Host:261! db:64 Command:16! Time:int! State:64 Info:text
sys.show_engines Engine:64! Support:8! Comment:80! Transactions:3 XA:3 Savepoints:3
sys.show_collation Collation:64! Charset:64! Id:ubigint! Default:3! Compiled:3! Sortlen:int! Pad_attribute:9!
sys.show_character_set Charset:64! Description:2048! Default_collation:64! Maxlen:int!
sys.show_grants usr:32! Grants:1024!
sys.show_plugins Name:64! Status:10! Type:80! Library:64 License:80!
sys.show_privileges Privilege:64! Context:64! Comment:128!
sys.show_triggers db:64! Trigger:64! Event:6! Table:64! Statement:text! Timing:6! Created:datetime sql_mode:256! Definer:288! character_set_client:64! collation_connection:64! Database_Collation:64!
sys.show_events Db:64! Name:64! Definer:288! Time_zone:64! Type:9! Execute_at:datetime Interval_value:256 Interval_field:18 Starts:datetime Ends:datetime Status:18! Originator:int! character_set_client:64! collation_connection:64! Database_Collation:64!
sys.show_routine_status Db:64! Name:64! Type:9! Language:64! Definer:288! Modified:datetime! Created:datetime! Security_type:7! Comment:text! character_set_client:64! collation_connection:64! Database_Collation:64!
sys.show_master_status File:512! Position:ubigint! Binlog_Do_DB:512! Binlog_Ignore_DB:512! Executed_Gtid_Set:512!
sys.show_binary_logs Log_name:512! File_size:ubigint! Encrypted:3!
sys.show_replica_status Replica_IO_State:64! Source_Host:64!
sys.show_open_tables Database:64! Table:64! In_use:int! Name_locked:int!
sys.show_profiles Query_ID:int! Duration:double! Query:300!
`
