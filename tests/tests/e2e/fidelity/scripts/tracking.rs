//! Session tracking: what answers tell of the session's state, for clients that ask for it.

use super::script::Script;
use crate::fidelity::encode::{Parameter, execute, prepare, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::{Capabilities, command};
use predictsql_tests::wire::Login;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("tracking of the schema", schema),
        Script::new("tracking of variables", variables),
        Script::new("tracking of any change", any_change),
        Script::new("tracking of transactions", transactions),
        Script::new("tracking in several results", several_results),
    ]
}

fn schema(tape: &mut Tape) {
    tape.query("USE mysql");
    tape.query("USE fidelity");
    tape.command(b"\x02information_schema");
    tape.command(b"\x02fidelity");
    tape.query("SET session_track_schema = OFF");
    tape.query("USE mysql");
    tape.query("SET session_track_schema = ON");
    tape.query("USE nowhere");
    tape.query("CREATE OR REPLACE DATABASE fidelity_other");
    tape.query("USE fidelity_other");
    tape.query("DROP DATABASE fidelity_other");
    let database = Some("fidelity");
    tape.change_user(&Login {
        database,
        ..Login::default()
    });
    tape.command(&[command::RESET_CONNECTION]);
}

fn variables(tape: &mut Tape) {
    tape.query("SELECT @@session_track_system_variables");
    tape.query("SET NAMES latin1");
    tape.query("SET time_zone = '+01:00', autocommit = 0");
    tape.query("SET autocommit = 1");
    tape.query("SET session_track_system_variables = '*'");
    tape.query("SET sql_mode = 'ANSI', sort_buffer_size = 100000, @user_variable = 1");
    tape.query("SET NAMES utf8mb4");
    tape.query("SELECT 1");
    tape.query("SET nothing = 1");
    tape.query("SET STATEMENT sort_buffer_size = 200000 FOR SELECT 1");
    tape.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
    tape.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    tape.query("SET session_track_system_variables = 'sql_mode,nothing,wait_timeout'");
    tape.query("SET session_track_system_variables = 'sql_mode,wait_timeout'");
    tape.query("SET sql_mode = '', wait_timeout = 1000, sort_buffer_size = 300000");
    tape.query(&format!("SET init_connect = '{}'", "x".repeat(300)));
    let id = tape.prepare("SET sql_mode = ?");
    tape.execute(id, 0, &[Parameter::Text("ANSI_QUOTES")]);
    tape.execute(id, 0, &[Parameter::Text("")]);
    tape.query("SET session_track_system_variables = ''");
    tape.query("SET sql_mode = DEFAULT");
}

fn any_change(tape: &mut Tape) {
    tape.query("SET session_track_state_change = ON");
    tape.query("SET @a = 1");
    tape.query("SELECT 1");
    tape.query("CREATE TEMPORARY TABLE tracked (a INT)");
    tape.query("DROP TEMPORARY TABLE tracked");
    tape.query("PREPARE p FROM 'SELECT 1'");
    tape.query("USE fidelity");
    let id = tape.prepare("SELECT 2");
    tape.execute(id, 0, &[]);
    tape.query("INSERT INTO pets (name) VALUES ('tracked')");
    tape.query("BEGIN");
    tape.query("ROLLBACK");
    tape.command(&[command::PING]);
    tape.command(&[command::SET_OPTION, 1, 0]);
}

fn transactions(tape: &mut Tape) {
    for level in ["STATE", "CHARACTERISTICS"] {
        tape.query(&format!("SET session_track_transaction_info = '{level}'"));
        for sql in [
            "BEGIN",
            "SELECT 1",
            "SELECT * FROM pets WHERE id = 1",
            "SELECT * FROM texts",
            "UPDATE pets SET age = 1 WHERE id = 1",
            "SELECT * FROM nowhere",
            "COMMIT",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            "SELECT COUNT(*) FROM many",
            "ROLLBACK AND CHAIN",
            "COMMIT",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET TRANSACTION READ ONLY",
            "BEGIN",
            "SELECT id FROM pets LIMIT 1",
            "COMMIT",
            "SET autocommit = 0",
            "SELECT id FROM pets LIMIT 1",
            "SET autocommit = 1",
            "LOCK TABLES pets WRITE",
            "UPDATE pets SET age = 2 WHERE id = 1",
            "UNLOCK TABLES",
            "XA START 'tracked'",
            "INSERT INTO pets (name) VALUES ('xa')",
            "XA END 'tracked'",
            "XA PREPARE 'tracked'",
            "XA ROLLBACK 'tracked'",
            "INSERT INTO texts VALUES (50, 'x')",
            "CREATE TEMPORARY TABLE tracked (a INT)",
            "DROP TABLE tracked",
            "CALL leaves_transaction()",
            "ROLLBACK",
        ] {
            tape.query(sql);
        }
    }
    let id = tape.prepare("UPDATE pets SET age = ? WHERE id = 1");
    tape.query("BEGIN");
    tape.execute(id, 0, &[Parameter::Int(1)]);
    tape.command(&[command::RESET_CONNECTION]);
}

fn several_results(tape: &mut Tape) {
    tape.query("SET session_track_system_variables = '*', session_track_state_change = ON, session_track_transaction_info = 'CHARACTERISTICS'");
    tape.query("CALL leaves_transaction()");
    tape.query("COMMIT");
    tape.query("CALL deep(1)");
    tape.query("BEGIN NOT ATOMIC SET sql_mode = 'ANSI'; SELECT 1; USE mysql; END");
    if tape.has(Capabilities::MULTI_STATEMENTS) {
        tape.query("USE mysql; SET sql_mode = ''; BEGIN; SELECT 1; SELECT * FROM fidelity.pets; COMMIT; USE fidelity");
        tape.query("SET @a = 1; SELEC; SET @b = 1");
    }
    tape.pipeline(&[
        query("USE mysql"),
        query("SET NAMES latin1"),
        prepare("SET NAMES utf8mb4"),
        execute(u32::MAX, 0, &[]),
        query("USE fidelity"),
        vec![command::RESET_CONNECTION],
    ]);
    tape.load(
        "LOAD DATA LOCAL INFILE 'any' INTO TABLE texts",
        b"60\ttracked\n",
    );
}
