//! System variables and status values: what is true of this endpoint where a server's variable has
//! a meaning here, else the value of a server with default settings.

use super::facts::{Facts, VERSION};
use super::value::Value;

/// Maximum length of a command, in bytes.
pub const PACKET_BYTES_MAX: usize = 1 << 20;

/// The value of a variable.
enum Is {
    Text(&'static str),
    Int(i128),
    /// 1 or 0; ON or OFF in lists.
    Switch(bool),
    Of(fn(&Facts) -> Value),
}

use Is::{Int, Of, Switch, Text};

/// By name.
const VARIABLES: &[(&str, Is)] = &[
    ("auto_increment_increment", Int(1)),
    ("auto_increment_offset", Int(1)),
    ("autocommit", Switch(true)),
    ("back_log", Int(128)),
    ("basedir", Text("")),
    ("big_tables", Switch(false)),
    ("bind_address", Text("")),
    ("character_set_client", Text("utf8mb4")),
    ("character_set_connection", Text("utf8mb4")),
    ("character_set_database", Text("utf8mb4")),
    ("character_set_filesystem", Text("binary")),
    ("character_set_results", Text("utf8mb4")),
    ("character_set_server", Text("utf8mb4")),
    ("character_set_system", Text("utf8mb3")),
    ("character_sets_dir", Text("")),
    ("collation_connection", Text("utf8mb4_general_ci")),
    ("collation_database", Text("utf8mb4_general_ci")),
    ("collation_server", Text("utf8mb4_general_ci")),
    ("completion_type", Text("NO_CHAIN")),
    ("connect_timeout", Int(10)),
    ("datadir", Text("")),
    (
        "default_authentication_plugin",
        Text("mysql_native_password"),
    ),
    ("default_storage_engine", Text("MEMORY")),
    ("default_tmp_storage_engine", Text("MEMORY")),
    ("default_week_format", Int(0)),
    ("div_precision_increment", Int(4)),
    ("error_count", Int(0)),
    ("event_scheduler", Switch(false)),
    ("explicit_defaults_for_timestamp", Switch(true)),
    ("external_user", Text("")),
    ("foreign_key_checks", Switch(true)),
    ("group_concat_max_len", Int(1024)),
    ("gtid_mode", Switch(false)),
    ("have_openssl", Text("DISABLED")),
    ("have_profiling", Text("NO")),
    ("have_query_cache", Text("NO")),
    ("have_ssl", Text("DISABLED")),
    ("have_statement_timeout", Text("NO")),
    ("hostname", Text("")),
    ("identity", Int(0)),
    ("init_connect", Text("")),
    ("innodb_lock_wait_timeout", Int(50)),
    ("innodb_read_only", Switch(false)),
    ("innodb_version", Text("")),
    ("insert_id", Int(0)),
    ("interactive_timeout", Int(31_536_000)),
    ("internal_tmp_mem_storage_engine", Text("MEMORY")),
    ("language", Text("")),
    ("last_insert_id", Int(0)),
    ("lc_messages", Text("en_US")),
    ("lc_time_names", Text("en_US")),
    ("license", Text("Apache-2.0")),
    ("local_infile", Switch(false)),
    ("lock_wait_timeout", Int(31_536_000)),
    ("log_bin", Switch(false)),
    ("long_query_time", Int(10)),
    ("low_priority_updates", Switch(false)),
    ("lower_case_file_system", Switch(false)),
    ("lower_case_table_names", Int(0)),
    ("max_allowed_packet", Int(PACKET_BYTES_MAX as i128)),
    (
        "max_connections",
        Of(|facts| Value::Int(facts.sessions_max as i128)),
    ),
    ("max_execution_time", Int(0)),
    ("max_join_size", Int(u64::MAX as i128)),
    ("max_prepared_stmt_count", Int(1000)),
    ("max_user_connections", Int(0)),
    ("net_buffer_length", Int(16_384)),
    ("net_read_timeout", Int(31_536_000)),
    ("net_write_timeout", Int(31_536_000)),
    ("offline_mode", Switch(false)),
    ("old_passwords", Int(0)),
    ("optimizer_switch", Text("")),
    ("performance_schema", Switch(false)),
    ("pid_file", Text("")),
    ("port", Of(|facts| Value::Int(facts.port.into()))),
    ("profiling", Switch(false)),
    ("protocol_version", Int(10)),
    ("proxy_user", Text("")),
    ("pseudo_thread_id", Of(|facts| Value::Int(facts.id.into()))),
    ("query_cache_limit", Int(0)),
    ("query_cache_min_res_unit", Int(0)),
    ("query_cache_size", Int(0)),
    ("query_cache_type", Switch(false)),
    ("read_only", Switch(false)),
    ("require_secure_transport", Switch(false)),
    ("secure_file_priv", Text("")),
    ("server_id", Int(0)),
    ("server_uuid", Text("")),
    ("session_track_gtids", Switch(false)),
    ("session_track_schema", Switch(false)),
    ("session_track_state_change", Switch(false)),
    ("session_track_system_variables", Text("")),
    ("session_track_transaction_info", Switch(false)),
    ("show_old_temporals", Switch(false)),
    ("skip_name_resolve", Switch(true)),
    ("skip_networking", Switch(false)),
    ("skip_show_database", Switch(false)),
    ("socket", Text("")),
    ("sql_auto_is_null", Switch(false)),
    ("sql_big_selects", Switch(true)),
    ("sql_log_bin", Switch(false)),
    (
        "sql_mode",
        Text(
            "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
        ),
    ),
    ("sql_notes", Switch(true)),
    ("sql_quote_show_create", Switch(true)),
    ("sql_safe_updates", Switch(false)),
    ("sql_select_limit", Int(u64::MAX as i128)),
    ("sql_warnings", Switch(false)),
    ("ssl_ca", Text("")),
    ("ssl_cert", Text("")),
    ("ssl_cipher", Text("")),
    ("ssl_key", Text("")),
    ("storage_engine", Text("MEMORY")),
    ("super_read_only", Switch(false)),
    ("system_time_zone", Text("UTC")),
    ("table_definition_cache", Int(0)),
    ("table_open_cache", Int(0)),
    ("thread_cache_size", Int(0)),
    ("thread_handling", Text("loaded-dynamically")),
    ("time_zone", Text("SYSTEM")),
    (
        "timestamp",
        Of(|facts| Value::Int(facts.unix_seconds().into())),
    ),
    ("tls_version", Text("")),
    ("tmp_table_size", Int(0)),
    ("tmpdir", Text("")),
    ("transaction_isolation", Text("REPEATABLE-READ")),
    ("transaction_read_only", Switch(false)),
    ("tx_isolation", Text("REPEATABLE-READ")),
    ("tx_read_only", Switch(false)),
    ("unique_checks", Switch(true)),
    ("updatable_views_with_limit", Text("YES")),
    ("version", Text(VERSION)),
    ("version_comment", Text("PredictSQL admin endpoint")),
    ("version_compile_machine", Text(std::env::consts::ARCH)),
    ("version_compile_os", Text(std::env::consts::OS)),
    ("wait_timeout", Int(31_536_000)),
    ("warning_count", Int(0)),
];

/// By name.
const STATUS: &[(&str, Is)] = &[
    ("Aborted_clients", Int(0)),
    ("Aborted_connects", Int(0)),
    ("Com_stmt_close", Int(0)),
    ("Compression", Switch(false)),
    (
        "Max_used_connections",
        Of(|facts| Value::Int(facts.sessions as i128)),
    ),
    ("Questions", Of(|facts| Value::Int(facts.questions.into()))),
    ("Slow_queries", Int(0)),
    ("Ssl_cipher", Text("")),
    ("Ssl_cipher_list", Text("")),
    ("Ssl_version", Text("")),
    (
        "Threads_connected",
        Of(|facts| Value::Int(facts.sessions as i128)),
    ),
    ("Threads_running", Int(1)),
    (
        "Uptime",
        Of(|facts| Value::Int(facts.uptime.as_secs().into())),
    ),
    (
        "Uptime_since_flush_status",
        Of(|facts| Value::Int(facts.uptime.as_secs().into())),
    ),
];

/// The value of `@@name`, whose name is in lower case.
pub fn selected(name: &str, facts: &Facts) -> Option<Value> {
    let mut variables = VARIABLES.iter();
    let (_, is) = variables.find(|(known, _)| *known == name)?;
    Some(match is {
        Text(text) => Value::text(*text),
        Int(int) => Value::Int(*int),
        Switch(on) => Value::truth(*on),
        Of(value) => value(facts),
    })
}

fn listed(values: &[(&str, Is)], facts: &Facts) -> Vec<Vec<Value>> {
    let row = |(name, is): &(&str, Is)| {
        let value = match is {
            Text(text) => Value::text(*text),
            Int(int) => Value::text(int.to_string()),
            Switch(on) => Value::text(if *on { "ON" } else { "OFF" }),
            Of(value) => Value::text(value(facts).shown().unwrap_or_default()),
        };
        vec![Value::text(*name), value]
    };
    values.iter().map(row).collect()
}

/// Rows of `SHOW VARIABLES`.
pub fn variables(facts: &Facts) -> Vec<Vec<Value>> {
    listed(VARIABLES, facts)
}

/// Rows of `SHOW STATUS`.
pub fn status(facts: &Facts) -> Vec<Vec<Value>> {
    listed(STATUS, facts)
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;

    #[test]
    fn names_are_in_order_and_known_once() {
        for names in [VARIABLES, STATUS] {
            assert!(names.is_sorted_by(|(a, _), (b, _)| a < b));
        }
        for (name, _) in VARIABLES {
            assert_eq!(*name, name.to_lowercase());
            assert!(selected(name, &facts()).is_some());
        }
    }

    #[test]
    fn switches_are_numbers_alone_and_words_in_lists() {
        assert_eq!(selected("autocommit", &facts()), Some(Value::Int(1)));
        let listed = variables(&facts());
        let row = listed
            .iter()
            .find(|row| row.first() == Some(&Value::text("autocommit")));
        assert_eq!(
            row,
            Some(&vec![Value::text("autocommit"), Value::text("ON")])
        );
        assert_eq!(selected("no_such", &facts()), None);
    }
}
