//! The ends of sessions and statements that others, or they themselves, ask for.

use super::Script;
use crate::fidelity::encode::query;
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::command;
use predictsql_tests::Wire;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("kill of others, by command", by_command),
        Script::new("kill of others, as text", by_text),
        Script::new("kill of others, prepared", prepared),
        Script::new("kill of the own session, by command", own_by_command),
        Script::new("kill of the own session, as text", own_by_text),
        Script::new("kill of the own statement", own_statement),
        Script::new("a statement that is killed", killed_statement),
        Script::new("a session that is killed", killed_session),
        Script::new("a statement that takes too long", takes_too_long),
    ]
}

fn victim(tape: &Tape) -> Wire {
    Wire::login(tape.client.address, "root", "", None).unwrap()
}

fn kill(id: u32) -> Vec<u8> {
    [&[command::PROCESS_KILL], &id.to_le_bytes()[..]].concat()
}

fn by_command(tape: &mut Tape) {
    let victim = victim(tape);
    let answer = tape.wire.command(&kill(victim.connection_id()));
    tape.keep(command::PROCESS_KILL, "kill of another session", answer);
    tape.command(&kill(u32::MAX));
    tape.query("SELECT 1");
}

/// Ids differ between the sides: one in the statement is left out of the answer.
#[track_caller]
fn ask(tape: &mut Tape, label: &str, kill: &str, id: u32) {
    let id = id.to_string();
    let mut answer = tape.wire.command(&query(&format!("{kill} {id}")));
    if let Ok([error]) = answer.as_deref_mut() {
        let at = error
            .payload
            .windows(id.len())
            .rposition(|part| part == id.as_bytes());
        if let Some(at) = at {
            error.payload.drain(at..at + id.len());
        }
    }
    tape.keep(command::QUERY, label, answer);
}

fn by_text(tape: &mut Tape) {
    for kind in [
        "KILL",
        "KILL QUERY",
        "KILL CONNECTION",
        "KILL HARD CONNECTION",
        "kill soft query",
        "KILL /* which */ QUERY",
        "EXPLAIN KILL",
        "KILL QUERY ID",
    ] {
        let victim = victim(tape);
        ask(tape, kind, kind, victim.connection_id());
    }
    tape.query("KILL 4294967295");
    tape.query("SHOW WARNINGS");
    tape.query("KILL USER nobody");
    tape.query("KILL QUERY USER nobody@'127.0.0.1'");
    tape.query("SELECT 1; KILL 4294967295; SELECT 2");
    tape.query("SELECT ROW_COUNT(), FOUND_ROWS()");
}

fn prepared(tape: &mut Tape) {
    let victim = victim(tape);
    let sql = format!("KILL {}", victim.connection_id());
    let id = tape.prepare_bytes(sql.as_bytes(), "KILL of another session");
    if id > 0 {
        tape.execute(id, 0, &[]);
    }
    tape.prepare("KILL ?");
}

fn own_by_command(tape: &mut Tape) {
    let own = tape.wire.connection_id();
    tape.wire.send(&kill(own)).unwrap();
    tape.until_closed("kill of the own session");
}

fn own_by_text(tape: &mut Tape) {
    let own = tape.wire.connection_id();
    let sql = format!("KILL {own}");
    tape.wire.send(&query(&sql)).unwrap();
    tape.until_closed("kill of the own session");
}

fn own_statement(tape: &mut Tape) {
    let own = tape.wire.connection_id();
    ask(tape, "kill of the own statement", "KILL QUERY", own);
    tape.query("SELECT 1");
    tape.query("KILL QUERY CONNECTION_ID()");
    tape.query("SELECT 2");
    tape.wire.send(&query("KILL CONNECTION_ID()")).unwrap();
    tape.until_closed("kill of the own session");
}

/// Waits for a lock until it is killed by another session, which holds the lock and sees it wait first.
#[must_use]
fn wait_and_kill(tape: &mut Tape, kill: &str) -> Wire {
    let mut other = victim(tape);
    let id = tape.wire.connection_id();
    other.run("DO GET_LOCK('killing', 10)");
    tape.wire
        .send(&query("SELECT 1, GET_LOCK('killing', 100) FROM pets"))
        .unwrap();
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND state = 'User lock'"
    );
    predictsql_tests::eventually("the statement waits", || {
        (other.value(&waits)? == "1").then_some(())
    });
    other.run(&format!("{kill} {id}"));
    other
}

fn killed_statement(tape: &mut Tape) {
    let _killer = wait_and_kill(tape, "KILL QUERY");
    let answer = tape.wire.read_answer(command::QUERY);
    tape.keep(command::QUERY, "a statement that is killed", answer);
    tape.query("SELECT 'goes on'");
}

fn killed_session(tape: &mut Tape) {
    let _killer = wait_and_kill(tape, "KILL");
    tape.until_lost("a session that is killed");
}

pub fn waits_too_long(tape: &mut Tape) {
    tape.query("SET wait_timeout = 1");
    tape.until_closed("nothing is said for a second");
}

fn takes_too_long(tape: &mut Tape) {
    tape.query("SET max_statement_time = 0.05");
    tape.query("SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b");
    tape.query("SELECT n, IF(n = 5, (SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b), n) FROM many");
    tape.query("SET max_statement_time = 0");
    tape.query("SHOW WARNINGS");
}
