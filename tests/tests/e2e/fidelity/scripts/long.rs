//! Packets of 16 MiB and payloads beyond, in both directions.

use super::script::Script;
use crate::fidelity::encode::{Parameter, about, execute, long_data, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::{PACKET_BYTES_MAX, command};

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("rows around 16 MiB", rows).long(),
        Script::new("rows beyond 16 MiB", longer_rows).long(),
        Script::new("statements around what is looked at", around_inspected),
        Script::new("statements around 16 MiB", statements).long(),
        Script::new("statements of two packets and more", longer_statements).long(),
        Script::new("parameters beyond 16 MiB", parameters).long(),
        Script::new("packets longer than allowed", longer_than_allowed).long(),
        Script::new("results of many rows", many_rows).long(),
    ]
}

/// A cell of such a length has four bytes before it.
fn rows(tape: &mut Tape) {
    let cell_prefix = 4;
    for bytes in [
        PACKET_BYTES_MAX - cell_prefix - 1,
        PACKET_BYTES_MAX - cell_prefix,
        PACKET_BYTES_MAX - cell_prefix + 1,
    ] {
        tape.query(&format!("SELECT REPEAT('a', {bytes})"));
    }
    tape.query("SELECT 'after'");
}

fn longer_rows(tape: &mut Tape) {
    // The first cell starts with 0xFE, as an EOF does.
    tape.query("SELECT REPEAT('b', 17 * 1024 * 1024), 1 UNION ALL SELECT 'c', 2");
    let id = tape.prepare("SELECT ?, REPEAT('d', ?)");
    tape.execute(id, 0, &[Parameter::Int(1), Parameter::Int(17 << 20)]);
    // Two whole packets and an empty one.
    let cell_prefix = 9;
    tape.query(&format!(
        "SELECT REPEAT('e', {})",
        2 * PACKET_BYTES_MAX - cell_prefix
    ));
    tape.query("SELECT 'after'");
}

fn around_inspected(tape: &mut Tape) {
    for bytes in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        let around = query("SELECT MD5('')").len();
        tape.query(&format!("SELECT MD5('{}')", "x".repeat(bytes - around)));
        tape.prepare(&format!("SELECT MD5('{}')", "x".repeat(bytes - around)));
        tape.query(&format!(
            "SELECT LENGTH('ml.predict({}')",
            "x".repeat(bytes)
        ));
    }
    tape.query("SELECT 'after'");
}

fn statements(tape: &mut Tape) {
    let around = query("SELECT MD5('')").len();
    for bytes in [PACKET_BYTES_MAX - 1, PACKET_BYTES_MAX, PACKET_BYTES_MAX + 1] {
        tape.query(&format!("SELECT MD5('{}')", "y".repeat(bytes - around)));
    }
    tape.query("SELECT 'after'");
}

fn longer_statements(tape: &mut Tape) {
    let around = query("SELECT MD5('')").len();
    let two = 2 * PACKET_BYTES_MAX;
    // What starts the second packet looks like a command,
    // and its length is a whole packet once more.
    tape.query(&format!("SELECT MD5('{}')", "\u{3}".repeat(two - around)));
    tape.pipeline(&[
        query(&format!("SELECT LENGTH('{}')", "\u{1}".repeat(17 << 20))),
        query("SELECT 'behind it'"),
        vec![command::PING],
    ]);
}

fn parameters(tape: &mut Tape) {
    let id = tape.prepare("SELECT LENGTH(?), MD5(?)");
    let long = "z".repeat(17 << 20);
    tape.command(&execute(
        id,
        0,
        &[Parameter::Text(&long), Parameter::Int(1)],
    ));
    tape.command(&long_data(id, 0, long.as_bytes()));
    tape.command(&long_data(id, 0, b"more"));
    tape.command(&execute(id, 0, &[Parameter::Long, Parameter::Null]));
}

/// The store says so and closes, whether or not it has read all of it.
fn longer_than_allowed(tape: &mut Tape) {
    tape.query("SELECT LENGTH(REPEAT('x', 70000000))");
    tape.query("SET GLOBAL max_allowed_packet = 1048576");
    tape.login(&tape.client.login());
    tape.query("SELECT REPEAT('x', 2000000)");
    // Data sent ahead that is too long is an error of the execution.
    let id = tape.prepare("SELECT LENGTH(?)");
    for _ in 0..3 {
        tape.command(&long_data(id, 0, &[b'x'; 600_000]));
    }
    tape.execute(id, 0, &[Parameter::Long]);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.execute(id, 0, &[Parameter::Text("short")]);
    tape.query("SET GLOBAL max_allowed_packet = 67108864");
    let long = query(&format!("SELECT '{}'", "x".repeat(2 << 20)));
    // It may be closed while this is being written.
    let _ = tape.wire.send(&long);
    tape.until_closed("a packet longer than allowed");
}

fn many_rows(tape: &mut Tape) {
    tape.query("SELECT seq, REPEAT('r', seq % 300) FROM seq_1_to_20000");
    let id = tape.prepare("SELECT seq, seq * 1.5, REPEAT('r', seq % 300) FROM seq_1_to_10000");
    tape.execute(id, 0, &[]);
    tape.execute(id, 1, &[]);
    tape.command(&crate::fidelity::encode::fetch(id, 20_000));
}
