//! Cursors of prepared statements, and fetches of all sizes.

use super::script::Script;
use crate::fidelity::encode::{Parameter, about, close, execute, fetch, prepare, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::command;

/// Types of cursors: only the first is known to MariaDB.
const READ_ONLY: u8 = 1;
const FOR_UPDATE: u8 = 2;
const SCROLLABLE: u8 = 4;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("cursors", cursors),
        Script::new("cursors read to the end, by size", by_size),
        Script::new("cursors beside each other", beside_each_other),
        Script::new("cursors that are closed or reset", closed),
        Script::new("cursors over every type", every_type),
        Script::new("cursors of other kinds", other_kinds),
        Script::new("cursors of statements without rows", without_rows),
        Script::new("cursors in a transaction", in_transaction),
        Script::new("cursors that fail", failing),
        Script::new("fetches in a pipeline", pipelined),
        Script::new("fetches without a cursor", without_cursor),
    ]
}

fn cursors(tape: &mut Tape) {
    let id = tape.prepare("SELECT n, t FROM many ORDER BY n");
    tape.execute(id, READ_ONLY, &[]);
    for rows in [1, 10, 0, 500] {
        tape.command(&fetch(id, rows));
    }
    tape.query("SELECT 'between two fetches'");
    tape.command(&fetch(id, 10_000));
    tape.command(&fetch(id, 1));
}

fn by_size(tape: &mut Tape) {
    let id = tape.prepare("SELECT n FROM many WHERE n <= ? ORDER BY n");
    for (rows, size) in [
        (10, 1),
        (10, 3),
        (10, 5),
        (10, 10),
        (10, 11),
        (0, 1),
        (700, 699),
        (5, u32::MAX),
    ] {
        tape.execute(id, READ_ONLY, &[Parameter::Int(rows)]);
        let fetches = u32::try_from(rows).unwrap() / size + 2;
        for _ in 0..fetches {
            tape.command(&fetch(id, size));
        }
    }
}

fn beside_each_other(tape: &mut Tape) {
    let ids: Vec<_> = (1..5)
        .map(|n| tape.prepare(&format!("SELECT n, t FROM many WHERE n % {n} = 0")))
        .collect();
    for &id in &ids {
        tape.execute(id, READ_ONLY, &[]);
    }
    for _ in 0..4 {
        for &id in &ids {
            tape.command(&fetch(id, 7));
        }
        tape.query("UPDATE pets SET age = age + 1");
    }
}

fn closed(tape: &mut Tape) {
    let id = tape.prepare("SELECT n FROM many");
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.command(&fetch(id, 1));
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&fetch(id, 2));
    // Once more from the start, and then without a cursor.
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&fetch(id, 2));
    tape.execute(id, 0, &[]);
    tape.command(&fetch(id, 2));
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&close(id));
    tape.command(&fetch(id, 2));
    let id = tape.prepare("SELECT n FROM many");
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&[command::RESET_CONNECTION]);
    tape.command(&fetch(id, 2));
}

fn every_type(tape: &mut Tape) {
    let id = tape.prepare("SELECT * FROM kinds");
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&fetch(id, 1));
    tape.command(&fetch(id, 100));
}

fn other_kinds(tape: &mut Tape) {
    let id = tape.prepare("SELECT id FROM pets ORDER BY id LIMIT 4");
    for flags in [
        FOR_UPDATE,
        SCROLLABLE,
        READ_ONLY | FOR_UPDATE,
        READ_ONLY | SCROLLABLE,
        0x80,
        0xff,
    ] {
        tape.execute(id, flags, &[]);
        tape.command(&fetch(id, 2));
    }
}

fn without_rows(tape: &mut Tape) {
    let none = tape.prepare("SELECT n FROM many WHERE n < 0");
    tape.execute(none, READ_ONLY, &[]);
    tape.command(&fetch(none, 5));
    for sql in [
        "UPDATE pets SET age = 1",
        "SET @a = 1",
        "SHOW TABLES",
        "DESCRIBE pets",
        "EXPLAIN SELECT * FROM pets WHERE id = 1",
        "CALL two_results()",
        "INSERT INTO pets (name) VALUES ('c') RETURNING id > 0",
        "SELECT id INTO @a FROM pets LIMIT 1",
        "VALUES (1), (2)",
    ] {
        let id = tape.prepare(sql);
        tape.execute(id, READ_ONLY, &[]);
        tape.command(&fetch(id, 1));
        tape.command(&fetch(id, 100));
        tape.command(&close(id));
    }
}

fn in_transaction(tape: &mut Tape) {
    let id = tape.prepare("SELECT id, name FROM pets ORDER BY id");
    tape.query("BEGIN");
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&fetch(id, 1));
    tape.query("UPDATE pets SET name = 'changed'");
    tape.command(&fetch(id, 1));
    tape.query("ROLLBACK");
    tape.command(&fetch(id, 1));
    tape.query("DROP TABLE IF EXISTS nowhere");
    tape.command(&fetch(id, 100));
}

fn failing(tape: &mut Tape) {
    for sql in [
        "SELECT (SELECT n FROM many LIMIT 2) FROM pets",
        "SELECT n, IF(n > 20, (SELECT n FROM many LIMIT 2), n) FROM many",
        "SELECT 18446744073709551615 + id FROM pets",
    ] {
        let id = tape.prepare(sql);
        tape.execute(id, READ_ONLY, &[]);
        tape.command(&fetch(id, 5));
        tape.command(&fetch(id, 50));
    }
    let gone = tape.prepare("SELECT * FROM gone");
    tape.execute(gone, READ_ONLY, &[]);
    tape.query("SELECT 1");
}

fn pipelined(tape: &mut Tape) {
    let id = tape.prepare("SELECT n, t FROM many ORDER BY n");
    let mut commands = vec![execute(id, READ_ONLY, &[])];
    for rows in [1, 2, 3, 0, 690, 10, 1] {
        commands.push(fetch(id, rows));
        commands.push(query("SELECT 'between'"));
    }
    commands.push(close(id));
    commands.push(fetch(id, 1));
    commands.push(vec![command::PING]);
    tape.pipeline(&commands);
    tape.pipeline(&[
        prepare("SELECT id FROM pets"),
        execute(u32::MAX, READ_ONLY, &[]),
        fetch(u32::MAX, 2),
        fetch(u32::MAX, 200),
    ]);
}

fn without_cursor(tape: &mut Tape) {
    let id = tape.prepare("SELECT n FROM many LIMIT 3");
    tape.command(&fetch(id, 1));
    tape.execute(id, 0, &[]);
    tape.command(&fetch(id, 1));
    tape.command(&fetch(0, 1));
    tape.command(&fetch(u32::MAX - 1, 1));
}
