//! Commands that no server knows, that are cut short, or that belong to replication.

use super::script::Script;
use crate::fidelity::encode::{about, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::command;
use predictsql_tests::wire::{Login, packets};

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("commands that a server has forgotten", forgotten),
        Script::new("unknown commands from 0x20 to 0xf9", unknown).loses_track(),
        Script::new("unknown commands from 0xfb to 0xff", unknown_high).loses_track(),
        Script::new("unknown commands in a pipeline", unknown_pipelined).loses_track(),
        Script::new("statements after an unknown command", after_unknown).loses_track(),
        Script::new("commands without a body", short),
        Script::new("commands cut short", cut_short),
        Script::new("commands that are too long", too_long),
        Script::new("empty packets", empty),
        Script::new("a packet out of order", out_of_order),
        Script::new("registration of a replica", register_replica),
        Script::new("dump of no binary log", binlog_dump),
        Script::new("dump of a table", table_dump).loses_track(),
    ]
}

fn forgotten(tape: &mut Tape) {
    for kind in [
        command::SLEEP,
        command::CONNECT,
        command::TIME,
        command::DELAYED_INSERT,
        command::CREATE_DB,
        command::DROP_DB,
        command::DAEMON,
        command::CONNECT_OUT,
    ] {
        tape.command(&[kind]);
        tape.command(&[kind, b'f', b'x', 0]);
        tape.command(&[command::PING]);
    }
}

fn unknown(tape: &mut Tape) {
    for kind in 0x20..command::STMT_BULK_EXECUTE {
        tape.command(&[kind]);
        tape.command(&[kind, b'f', b'x', 0]);
    }
    tape.command(&[command::PING]);
}

fn unknown_high(tape: &mut Tape) {
    for kind in 0xfb..=0xff {
        tape.command(&[kind]);
        tape.command(&[kind, 1, 0, 0, 0, 9, 9]);
        tape.command(&[command::PING]);
    }
}

fn unknown_pipelined(tape: &mut Tape) {
    tape.pipeline(&[
        query("SELECT n, t FROM many"),
        vec![0x42, 1, 2, 3],
        query("SELECT 'x' FROM pets"),
        vec![0xfe],
        vec![command::PING],
    ]);
}

/// The relay does not follow such a session any more, and it must work on.
fn after_unknown(tape: &mut Tape) {
    tape.command(&[0x21, 1]);
    tape.query("SELECT * FROM kinds");
    let id = tape.prepare("SELECT id, name FROM pets");
    tape.execute(id, 1, &[]);
    tape.command(&about(command::STMT_FETCH, id, &[2, 0, 0, 0]));
    tape.change_user(&Login::default());
    tape.load("LOAD DATA LOCAL INFILE 'any' INTO TABLE texts", b"7\tx\n");
    tape.query("SELECT REPEAT('x', 100000)");
    tape.query("KILL 4294967295");
    tape.query("SHOW WARNINGS");
}

/// Kinds that expect something to follow.
const WITH_BODY: [u8; 12] = [
    command::INIT_DB,
    command::QUERY,
    command::FIELD_LIST,
    command::REFRESH,
    command::PROCESS_KILL,
    command::REGISTER_SLAVE,
    command::STMT_PREPARE,
    command::STMT_EXECUTE,
    command::STMT_RESET,
    command::SET_OPTION,
    command::STMT_FETCH,
    command::STMT_BULK_EXECUTE,
];

fn short(tape: &mut Tape) {
    for kind in WITH_BODY {
        tape.command(&[kind]);
        tape.command(&[command::PING]);
    }
    for silent in [command::STMT_CLOSE, command::STMT_SEND_LONG_DATA] {
        tape.command(&[silent]);
        tape.command(&[command::PING]);
    }
}

fn cut_short(tape: &mut Tape) {
    tape.prepare("SELECT ?, ?");
    for kind in WITH_BODY {
        for length in 1..12 {
            // As ids of statements and sessions these are of nobody.
            tape.command(&[&[kind], &vec![0xf7; length][..]].concat());
        }
    }
    for silent in [command::STMT_CLOSE, command::STMT_SEND_LONG_DATA] {
        for length in 1..8 {
            tape.command(&[&[silent], &vec![0xf7; length][..]].concat());
        }
    }
    tape.command(&[command::PING]);
}

fn too_long(tape: &mut Tape) {
    let tail = [b'z'; 300];
    for head in [
        &[command::PING][..],
        &[command::DEBUG],
        &[command::SET_OPTION, 0, 0],
        &[command::RESET_CONNECTION],
        &[command::REFRESH, 4],
        &[command::PROCESS_KILL, 0xff, 0xff, 0xff, 0xff],
        &[command::STMT_RESET, 0xff, 0xff, 0xff, 0],
        &[command::STMT_CLOSE, 0xff, 0xff, 0xff, 0],
        &[command::STMT_FETCH, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0],
        &[command::STMT_EXECUTE, 0xff, 0xff, 0xff, 0, 0, 1, 0, 0, 0],
    ] {
        tape.command(&[head, &tail].concat());
    }
    tape.query("SELECT 1");
}

fn empty(tape: &mut Tape) {
    tape.pipeline(&[
        query("SELECT 1"),
        vec![],
        query("SELECT 2"),
        vec![],
        vec![],
        vec![command::PING],
    ]);
    let id = tape.prepare("");
    tape.execute(id, 0, &[]);
}

/// A command must have sequence id 0.
fn out_of_order(tape: &mut Tape) {
    tape.query("SELECT 1");
    tape.wire
        .send_raw(&packets(&query("SELECT 'in vain'"), 3))
        .unwrap();
    tape.until_closed("a command with sequence id 3");
}

fn register_replica(tape: &mut Tape) {
    // Server id, host, user, password, port, rank, master id.
    let mut body = 77_u32.to_le_bytes().to_vec();
    for text in ["replica", "user", "password"] {
        body.push(text.len() as u8);
        body.extend(text.as_bytes());
    }
    body.extend(3306_u16.to_le_bytes());
    body.extend([0; 8]);
    tape.command(&[&[command::REGISTER_SLAVE], &body[..]].concat());
    tape.command(&[command::PING]);
    tape.query("SHOW SLAVE HOSTS");
    tape.query("SELECT 1");
}

/// The session ends with it, and no binary log is kept.
fn binlog_dump(tape: &mut Tape) {
    let mut body = 4_u32.to_le_bytes().to_vec();
    body.extend([1, 0]);
    body.extend(77_u32.to_le_bytes());
    body.extend(b"binlog.000001");
    let dump = [&[command::BINLOG_DUMP], &body[..]].concat();
    tape.wire.send(&dump).unwrap();
    tape.until_closed("dump of the binary log");
}

fn table_dump(tape: &mut Tape) {
    tape.command(b"\x13\x08fidelity\x04pets");
    tape.command(&[command::TABLE_DUMP]);
    tape.command(&[command::PING]);
    tape.query("SELECT 1");
}

/// What the server makes of such a command ends the session or does not.
pub fn change_user_cut_short(tape: &mut Tape) {
    let whole = b"\x11plain\0\0fidelity\0\x2d\0mysql_native_password\0";
    tape.wire.send(&whole[..4]).unwrap();
    let first = tape.wire.read_packet();
    tape.keep(
        command::PING,
        "a user's name without its end",
        first.map(|packet| vec![packet]),
    );
    tape.wire.send(&[command::QUIT]).unwrap();
    tape.until_closed("quit");
}
