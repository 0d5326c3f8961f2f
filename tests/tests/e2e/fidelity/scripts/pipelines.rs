//! Clients that do not wait for answers, and commands that come in pieces.

use super::script::Script;
use crate::fidelity::encode::{Parameter, close, execute, long_data, prepare, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::command;
use predictsql_tests::wire::packets;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("pipelined commands", pipelined),
        Script::new("pipelined commands of all kinds", of_all_kinds),
        Script::new("pipelined errors", errors),
        Script::new("pipelined statements that look like ours", like_ours),
        Script::new("pipelined multi-statements", multi_statements),
        Script::new("thousands of pipelined commands", thousands).long(),
        Script::new("commands in pieces", pieces),
        Script::new("a command cut at every byte", cut_at_every_byte),
        Script::new("two commands cut at every byte", two_cut_at_every_byte),
        Script::new(
            "an execution cut at every byte",
            execution_cut_at_every_byte,
        ),
    ]
}

fn pipelined(tape: &mut Tape) {
    let mut commands: Vec<Vec<u8>> = (0..200)
        .map(|n| match n % 5 {
            0 => query(&format!("SELECT {n}")),
            1 => vec![command::PING],
            2 => query("SELECT 'ml.predict(x)' FROM pets"),
            3 => query("SELECT n, t FROM many WHERE n < 40"),
            _ => query("SELECT * FROM nowhere"),
        })
        .collect();
    commands.push(query("SELECT 1; SELECT 2"));
    commands.push(prepare("SELECT id FROM pets WHERE id < 3"));
    commands.push(execute(u32::MAX, 0, &[]));
    commands.push(vec![command::RESET_CONNECTION]);
    commands.push(query("SELECT DATABASE()"));
    tape.pipeline(&commands);
}

fn of_all_kinds(tape: &mut Tape) {
    let id = tape.prepare("SELECT ?, name FROM pets");
    tape.pipeline(&[
        b"\x02mysql".to_vec(),
        b"\x02fidelity".to_vec(),
        b"\x04pets\0".to_vec(),
        vec![command::SET_OPTION, 0, 0],
        vec![command::DEBUG],
        query("SELECT * FROM kinds"),
        execute(id, 0, &[Parameter::Int(1)]),
        execute(id, 1, &[Parameter::Text("cursor")]),
        crate::fidelity::encode::fetch(id, 1),
        long_data(id, 0, b"long"),
        execute(id, 0, &[Parameter::Long]),
        prepare("SELECT 1, ?, ?"),
        prepare("INSERT INTO pets (name) VALUES (?)"),
        prepare("SET @a = 1"),
        prepare("SELEC"),
        close(id),
        query("CALL two_results()"),
        vec![command::REFRESH, 4],
        vec![0x0b],
        vec![command::PROCESS_KILL, 0xff, 0xff, 0xff, 0xff],
        query("KILL 4294967295"),
        query("SHOW WARNINGS"),
        vec![command::RESET_CONNECTION],
        vec![command::PING],
    ]);
}

fn errors(tape: &mut Tape) {
    let commands: Vec<_> = (0..60)
        .map(|n| match n % 4 {
            0 => query("SELEC"),
            1 => prepare("SELECT * FROM nowhere"),
            2 => execute(99_999, 0, &[]),
            _ => query("SELECT n, IF(n = 60, (SELECT n FROM many LIMIT 2), n) FROM many"),
        })
        .collect();
    tape.pipeline(&commands);
}

/// Some are looked at by the proxy, and all keep their places.
fn like_ours(tape: &mut Tape) {
    let commands: Vec<_> = (0..60)
        .map(|n| match n % 6 {
            0 => query("SELECT ml.id FROM pets ml"),
            1 => query("KILL QUERY 4294967295"),
            2 => query("SHOW WARNINGS"),
            3 => query("SELECT COUNT(*) FROM ml.tasks"),
            4 => query("CREATE TASKFORCE t"),
            _ => vec![command::PING],
        })
        .collect();
    tape.pipeline(&commands);
    tape.in_chunks(&commands, || 9);
}

fn multi_statements(tape: &mut Tape) {
    let commands: Vec<_> = (0..40)
        .map(|n| match n % 3 {
            0 => query("SELECT 1; SELECT n, t FROM many WHERE n < 100; SET @a = 1"),
            1 => query("CALL many_results(2)"),
            _ => query("SELECT 1; SELEC; SELECT 3"),
        })
        .collect();
    tape.pipeline(&commands);
}

/// More than the relay lets wait for their answers.
fn thousands(tape: &mut Tape) {
    let ping = packets(&[command::PING], 0);
    let count = 20_000;
    tape.wire.send_raw(&ping.repeat(count)).unwrap();
    tape.read_answers(&vec![vec![command::PING]; count]);
    tape.query("SELECT 'after'");
}

fn small_commands() -> [Vec<u8>; 5] {
    [
        query("SELECT 1"),
        vec![command::PING],
        query("SELECT 'ml.predict(1)', id FROM pets"),
        prepare("SELECT ?, name FROM pets"),
        query("SELECT n FROM many WHERE n < 5; SELECT 2"),
    ]
}

fn pieces(tape: &mut Tape) {
    let commands = small_commands();
    for bytes in [1, 2, 3, 5, 7] {
        tape.in_chunks(&commands, || bytes);
    }
    // A linear congruential generator: pieces of 1 to 32 bytes, the same on each run.
    let mut state = 12345_u32;
    tape.in_chunks(&commands, || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        1 + (state >> 16) as usize % 32
    });
}

/// Sends the commands in two writes, once for each place where they can be cut.
fn cut(tape: &mut Tape, commands: &[Vec<u8>]) {
    let bytes: usize = commands.iter().map(|command| command.len() + 4).sum();
    for first in 1..bytes {
        let mut sizes = [first, usize::MAX].into_iter();
        tape.in_chunks(commands, || sizes.next().unwrap());
    }
}

fn cut_at_every_byte(tape: &mut Tape) {
    cut(tape, &[query("SELECT 'ml.predict(1)'")]);
    cut(tape, &[vec![command::PING]]);
    cut(tape, &[b"\x02fidelity".to_vec()]);
}

fn two_cut_at_every_byte(tape: &mut Tape) {
    cut(tape, &[query("SELECT 1, 'x'"), vec![command::PING]]);
    cut(tape, &[query("KILL 4294967295"), query("SHOW WARNINGS")]);
}

fn execution_cut_at_every_byte(tape: &mut Tape) {
    let prepared = prepare("SELECT ?");
    let executed = execute(u32::MAX, 0, &[Parameter::Text("cut")]);
    cut(
        tape,
        &[prepared, long_data(u32::MAX, 0, b"ahead"), executed],
    );
}
