//! Commands other than statements, as clients send them.

use super::script::Script;
use crate::fidelity::encode::{execute, prepare, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::{Capabilities, command};
use predictsql_tests::wire::Login;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("simple commands", simple_commands),
        Script::new("statistics between statements", statistics),
        Script::new("field list", field_list),
        Script::new("change of database", change_of_database),
        Script::new("multi-statements on and off", multi_statements),
        Script::new("process list", process_list),
        Script::new("reset of a session", reset),
        Script::new("reset in a transaction", reset_in_transaction),
        Script::new("commands without the right to them", without_rights),
        Script::new("quit", quit),
        Script::new("quit behind statements", quit_behind_statements),
    ]
}

fn simple_commands(tape: &mut Tape) {
    tape.command(&[command::PING]);
    tape.command(&[command::DEBUG]);
    tape.command(&[command::REFRESH, 0x04]);
    tape.command(&[command::REFRESH, 0x41]);
    tape.command(&[command::PING]);
}

/// Its text tells the uptime: only its place among the answers is compared.
fn statistics(tape: &mut Tape) {
    for sql in ["SELECT 1", "SELECT * FROM pets", "SELEC"] {
        tape.query(sql);
        tape.wire.send(&[command::STATISTICS]).unwrap();
        let statistics = tape.wire.read_packet().unwrap();
        assert_eq!(statistics.seq, 1);
        assert!(statistics.payload.starts_with(b"Uptime:"), "{statistics:?}");
        tape.command(&[command::PING]);
    }
}

fn field_list(tape: &mut Tape) {
    for body in [
        &b"pets\0"[..],
        b"pets",
        b"kinds\0%",
        b"pets\0na%",
        b"pets\0nothing",
        b"nowhere\0",
        b"checked\0",
        b"history\0%\0",
        b"\0",
        b"",
        b"\xff\xfe\0",
    ] {
        tape.command(&[&[command::FIELD_LIST], body].concat());
    }
    tape.query("SELECT 1");
}

fn change_of_database(tape: &mut Tape) {
    for name in [
        &b"fidelity"[..],
        b"nowhere",
        b"",
        b"FIDELITY",
        b"information_schema",
        b"fidelity\0",
        b"\xff\xfe",
        b"mysql",
        &[b'x'; 300],
    ] {
        tape.command(&[&[command::INIT_DB], name].concat());
        tape.query("SELECT DATABASE()");
    }
    tape.query("DROP TABLE IF EXISTS nowhere");
}

fn multi_statements(tape: &mut Tape) {
    for on in [0_u8, 1, 0, 9] {
        tape.command(&[command::SET_OPTION, on, 0]);
        tape.query("SELECT 1; SELECT 2");
        tape.query("SELECT 3");
    }
    let commands = [
        vec![command::SET_OPTION, 0, 0],
        query("SELECT 1; SELECT NOTHING; SELECT 3"),
        vec![command::SET_OPTION, 1, 0],
        query("SET @a = 1; SELECT @a"),
        vec![command::SET_OPTION, 1, 0],
    ];
    tape.pipeline(&commands);
}

/// Ids, ports and times differ, and so do the sessions of the service account:
/// one that sees only its own tells.
fn process_list(tape: &mut Tape) {
    tape.login(&Login {
        user: "plain",
        ..tape.client.login()
    });
    let (id, host, time, progress) = (0, 2, 5, 8);
    tape.command_but_for_cells(&[command::PROCESS_INFO], &[id, host, time, progress]);
    for sql in ["SHOW PROCESSLIST", "SHOW FULL PROCESSLIST"] {
        tape.command_but_for_cells(&query(sql), &[id, host, time, progress]);
    }
    tape.query("SELECT user, command, state, info FROM information_schema.processlist");
}

fn reset(tape: &mut Tape) {
    tape.query("SET @a = 1, sql_mode = 'ANSI_QUOTES'");
    tape.query("CREATE TEMPORARY TABLE reset_tmp (a INT)");
    tape.query("SELECT GET_LOCK('reset', 0)");
    tape.query("LOCK TABLES pets READ");
    let id = tape.prepare("SELECT 1");
    tape.command(&[command::RESET_CONNECTION]);
    tape.query("SELECT @a, \"text\", DATABASE(), IS_FREE_LOCK('reset')");
    tape.query("SELECT * FROM reset_tmp");
    tape.query("SELECT COUNT(*) FROM parents");
    tape.execute(id, 0, &[]);
    tape.pipeline(&[
        query("SET @b = 5, NAMES latin1"),
        vec![command::RESET_CONNECTION],
        query("SELECT @b, @@character_set_client"),
        prepare("SELECT ?"),
        vec![command::RESET_CONNECTION],
        execute(u32::MAX, 0, &[]),
    ]);
}

fn reset_in_transaction(tape: &mut Tape) {
    tape.query("SET autocommit = 0");
    tape.query("BEGIN");
    tape.query("INSERT INTO pets (name) VALUES ('never')");
    tape.command(&[command::PING]);
    tape.command(&[command::RESET_CONNECTION]);
    tape.query("SELECT COUNT(*), @@autocommit, @@in_transaction FROM pets WHERE name = 'never'");
}

fn without_rights(tape: &mut Tape) {
    tape.login(&Login {
        user: "plain",
        ..tape.client.login()
    });
    tape.command(b"\x02mysql");
    tape.command(b"\x02fidelity");
    tape.command(&[command::SHUTDOWN]);
    tape.command(&[command::SHUTDOWN, 0]);
    tape.command(&[command::DEBUG]);
    tape.command(&[command::REFRESH, 1]);
    tape.command(b"\x04user\0");
    tape.command(&[command::PROCESS_KILL, 1, 0, 0, 0]);
    tape.command(&[command::REGISTER_SLAVE, 0, 0, 0, 0, 0, 0, 0, 0]);
    for sql in [
        "SELECT * FROM mysql.user",
        "SET GLOBAL max_connections = 1",
        "SHUTDOWN",
        "KILL 1",
        "SHOW GRANTS FOR root@localhost",
        "CREATE DATABASE not_mine",
        "SELECT 1 INTO OUTFILE './mine'",
        "SHOW MASTER STATUS",
        "SHOW ENGINE INNODB STATUS",
        "FLUSH TABLES",
        "SET ROLE nothing",
        "SELECT name FROM ml.tasks",
    ] {
        tape.query(sql);
        tape.prepare(sql);
    }
    if tape.has(Capabilities::MULTI_STATEMENTS) {
        tape.query("SELECT 1; SELECT * FROM mysql.user; SELECT 2");
    }
}

fn quit(tape: &mut Tape) {
    tape.query("SELECT 1");
    tape.wire.send(&[command::QUIT]).unwrap();
    tape.until_closed("quit");
}

fn quit_behind_statements(tape: &mut Tape) {
    let commands = [
        query("SELECT 1"),
        query("SELECT n, t FROM many"),
        vec![command::QUIT],
        query("SELECT 'beyond'"),
    ];
    let bytes = commands
        .iter()
        .flat_map(|c| predictsql_tests::wire::packets(c, 0));
    tape.wire.send_raw(&bytes.collect::<Vec<_>>()).unwrap();
    tape.read_answers(&commands[..2]);
}
