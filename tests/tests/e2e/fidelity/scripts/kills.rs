//! The ends of sessions and statements that others, or they themselves, ask for.

use super::script::Script;
use crate::fidelity::encode::{execute, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::command;
use predictsql_tests::wire::Packet;
use predictsql_tests::{Wire, eventually};

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

/// Waits for a lock until it is killed by another session,
/// which holds the lock and sees it wait first.
#[must_use]
fn wait_and_kill(tape: &mut Tape, kill: &str) -> Wire {
    let mut other = victim(tape);
    let id = tape.wire.connection_id();
    let held = other.value("SELECT GET_LOCK('killing', 1000)");
    assert_eq!(held.as_deref(), Some("1"));
    tape.wire
        .send(&query("SELECT 1, GET_LOCK('killing', 1000) FROM pets"))
        .unwrap();
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND state = 'User lock'"
    );
    eventually("the statement waits", || {
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

/// Never ends, and sends nothing.
const ENDLESS: &str = "SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b";
/// Never ends after its fourth row.
const FOUR_ROWS: &str =
    "SELECT n, IF(n = 5, (SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b), n) FROM many";
/// Never ends its first row.
const SLEEPS: &str = "SELECT SLEEP(100000) FROM many";

/// The time is over in the middle of the answer, at the same place on both sides.
fn takes_too_long(tape: &mut Tape) {
    let described: fn(&[Packet]) -> bool = |answer| answer.len() > 1;
    let fourth_row: fn(&[Packet]) -> bool =
        |answer| answer.iter().any(|packet| packet.payload == b"\x014\x014");
    for (sql, came) in [
        (ENDLESS, described),
        (FOUR_ROWS, fourth_row),
        (SLEEPS, described),
    ] {
        until_time_is_over(tape, &query(sql), came);
        tape.query("SHOW WARNINGS");
        let id = tape.prepare(sql);
        let fourth_row: fn(&[Packet]) -> bool =
            |answer| answer.iter().any(|packet| packet.payload[..] == FOURTH_ROW);
        let came = if sql == FOUR_ROWS { fourth_row } else { came };
        until_time_is_over(tape, &execute(id, 0, &[]), came);
    }
    // And with a limit of the statement's own.
    with_more_time(tape, SLEEPS, described, |tape, seconds| {
        let sql = format!("SET STATEMENT max_statement_time = {seconds} FOR {SLEEPS}");
        tape.wire.command(&query(&sql)).unwrap()
    });
    tape.query("SHOW WARNINGS");
}

/// Of the prepared [`FOUR_ROWS`]: a header, the NULL bitmap, an INT and a BIGINT.
const FOURTH_ROW: [u8; 14] = [0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];

/// Sends a command under a limit of the session.
fn until_time_is_over(tape: &mut Tape, command: &[u8], came: fn(&[Packet]) -> bool) {
    let limit = |tape: &mut Tape, seconds: f64| {
        let set = query(&format!("SET max_statement_time = {seconds}"));
        // The limit that is in force may end this one, too.
        eventually("the limit is set", || {
            let answer = tape.wire.command(&set).unwrap();
            (answer[0].payload[0] == 0).then_some(())
        });
    };
    with_more_time(
        tape,
        "a statement that takes too long",
        came,
        |tape, seconds| {
            limit(tape, seconds);
            let answer = tape.wire.command(command).unwrap();
            limit(tape, 0.0);
            answer
        },
    );
}

/// Asks with more and more time, until what precedes the error has come within it, and keeps that
/// answer only: how much comes in a given time is chance.
fn with_more_time(
    tape: &mut Tape,
    label: &str,
    came: fn(&[Packet]) -> bool,
    ask: impl Fn(&mut Tape, f64) -> Vec<Packet>,
) {
    const EXCEEDED: &[u8] = b"\xff\xb1\x07";
    let mut seconds = 0.05;
    let answer = loop {
        let answer = ask(tape, seconds);
        let last = &answer.last().unwrap().payload;
        assert!(last.starts_with(EXCEEDED), "{label}: {last:?}");
        if came(&answer) {
            break answer;
        }
        seconds *= 2.0;
        assert!(seconds < 100.0, "{label}: no row in {seconds} s");
    };
    tape.keep(command::QUERY, label, Ok(answer));
}
