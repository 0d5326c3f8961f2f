//! MariaDB's bulk execution: one statement, many rows of parameters.

use super::script::Script;
use crate::fidelity::encode::{Cell, Parameter, about, bulk, execute, kind, prepare, query};
use crate::fidelity::tape::Tape;
use Cell::{Default, Ignore, IgnoreRow, Is, Null};
use Parameter::{Int, Text};
use predictsql_proxy::wire::{Capabilities, command};

pub fn scripts() -> Vec<Script<'static>> {
    let mariadb = [
        Script::new("bulk insert", insert),
        Script::new("bulk with defaults, ignored cells and rows", indicators),
        Script::new("bulk that fails in the middle", failing),
        Script::new("bulk update and delete", update_and_delete),
        Script::new("bulk with rows returned", returning),
        Script::new("bulk of statements that are not for it", not_for_it),
        Script::new("bulk under the last id, in a pipeline", last_id),
        Script::new("bulk cut short", cut_short),
        Script::new("bulk of many rows", many_rows),
    ];
    let mut scripts: Vec<_> = mariadb
        .into_iter()
        .map(|script| script.needs(Capabilities::MARIADB_BULK))
        .collect();
    scripts.push(Script::new(
        "bulk of a client that has not asked for it",
        unasked,
    ));
    scripts
}

const INT_AND_TEXT: [u8; 2] = [kind::LONGLONG, kind::VAR_STRING];

fn insert(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO many VALUES (?, ?)");
    let row = |n: i64| {
        let text = if n % 3 == 0 { Null } else { Is(Text("ml.")) };
        vec![Is(Int(100_000 + n)), text]
    };
    let rows: Vec<_> = (0..1000).map(row).collect();
    let command = bulk(id, &INT_AND_TEXT, &rows);
    tape.command(&command);
    tape.query("SELECT COUNT(*), COUNT(t) FROM many WHERE n >= 100000");
    // Every key is taken now.
    tape.command(&command);
    tape.query("SHOW WARNINGS");
    tape.query("DELETE FROM many WHERE n >= 100000");
}

fn indicators(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO pets (name, age) VALUES (?, ?)");
    let types = [kind::VAR_STRING, kind::LONGLONG];
    tape.command(&bulk(
        id,
        &types,
        &[
            vec![Is(Text("one")), Is(Int(1))],
            vec![Is(Text("two")), Default],
            vec![Is(Text("three")), Ignore],
            vec![Is(Text("four")), IgnoreRow],
            vec![Is(Text("five")), Null],
        ],
    ));
    tape.query("SELECT name, age FROM pets ORDER BY id DESC LIMIT 5");
    tape.command(&bulk(id, &types, &[vec![Default, Is(Int(1))]]));
    tape.query("SHOW WARNINGS");
    tape.command(&bulk(id, &types, &[vec![Null, Is(Int(1))]]));
    let update = tape.prepare("UPDATE pets SET age = ? WHERE name = ?");
    tape.command(&bulk(
        update,
        &INT_AND_TEXT,
        &[
            vec![Ignore, Is(Text("one"))],
            vec![Default, Is(Text("two"))],
            vec![Is(Int(33)), Is(Text("three"))],
        ],
    ));
    tape.query("SELECT name, age FROM pets ORDER BY id DESC LIMIT 5");
    let odd = [
        &about(command::STMT_BULK_EXECUTE, id, &[128, 0, 253, 0, 8, 0])[..],
        &[9, 9],
    ]
    .concat();
    tape.command(&odd);
}

fn failing(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO parents VALUES (?)");
    let rows = |numbers: &[i64]| -> Vec<Vec<Cell<'static>>> {
        numbers.iter().map(|&n| vec![Is(Int(n))]).collect()
    };
    tape.command(&bulk(id, &[kind::LONGLONG], &rows(&[1, 2, 3])));
    tape.command(&bulk(id, &[kind::LONGLONG], &rows(&[4, 5, 2, 6])));
    tape.query("SELECT * FROM parents");
    tape.command(&bulk(id, &[kind::LONGLONG], &rows(&[7, 1 << 40, 8])));
    tape.query("SHOW WARNINGS");
    let ignoring = tape.prepare("INSERT IGNORE INTO parents VALUES (?)");
    tape.command(&bulk(
        ignoring,
        &[kind::LONGLONG],
        &rows(&[4, 2, 9, 1 << 40]),
    ));
    tape.query("SHOW WARNINGS");
    tape.query("BEGIN");
    tape.command(&bulk(id, &[kind::LONGLONG], &rows(&[20, 21])));
    tape.query("ROLLBACK");
    tape.query("SELECT * FROM parents");
    tape.query("DELETE FROM parents");
}

fn update_and_delete(tape: &mut Tape) {
    let update = tape.prepare("UPDATE many SET t = ? WHERE n = ?");
    let rows: Vec<_> = (1..50)
        .map(|n| vec![Is(Text("bulk")), Is(Int(n))])
        .collect();
    tape.command(&bulk(update, &[kind::VAR_STRING, kind::LONGLONG], &rows));
    let delete = tape.prepare("DELETE FROM many WHERE n = ?");
    let rows: Vec<_> = (690..710).map(|n| vec![Is(Int(n))]).collect();
    tape.command(&bulk(delete, &[kind::LONGLONG], &rows));
    let replace = tape.prepare("REPLACE INTO many VALUES (?, ?)");
    let rows: Vec<_> = (680..701)
        .map(|n| vec![Is(Int(n)), Is(Text("again"))])
        .collect();
    tape.command(&bulk(replace, &INT_AND_TEXT, &rows));
    tape.query("SELECT COUNT(*), COUNT(DISTINCT t) FROM many");
}

fn returning(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO parents VALUES (?) RETURNING id, id * 2");
    let rows: Vec<_> = (1..10).map(|n| vec![Is(Int(n))]).collect();
    tape.command(&bulk(id, &[kind::LONGLONG], &rows));
    tape.command(&bulk(id, &[kind::LONGLONG], &rows));
    tape.query("DELETE FROM parents");
}

fn not_for_it(tape: &mut Tape) {
    for sql in [
        "SELECT ?",
        "SET @bulk = ?",
        "CALL outs(?, @b, @c)",
        "DO ?",
        "CREATE TABLE b (a INT DEFAULT ?)",
    ] {
        let id = tape.prepare(sql);
        let rows: Vec<_> = (1..4).map(|n| vec![Is(Int(n))]).collect();
        tape.command(&bulk(id, &[kind::LONGLONG], &rows));
    }
    let none = tape.prepare("INSERT INTO pets (name) VALUES ('constant')");
    tape.command(&bulk(none, &[], &[]));
    tape.command(&bulk(54_321, &[kind::LONGLONG], &[vec![Is(Int(1))]]));
    tape.query("SELECT 1");
}

fn last_id(tape: &mut Tape) {
    let rows: Vec<_> = (500..520).map(|n| vec![Is(Int(n))]).collect();
    tape.pipeline(&[
        prepare("INSERT INTO parents VALUES (?)"),
        bulk(u32::MAX, &[kind::LONGLONG], &rows),
        query("SELECT COUNT(*) FROM parents"),
        bulk(u32::MAX, &[kind::LONGLONG], &rows),
        execute(u32::MAX, 0, &[Int(600)]),
        query("DELETE FROM parents"),
    ]);
}

fn cut_short(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO many VALUES (?, ?)");
    let whole = bulk(id, &INT_AND_TEXT, &[vec![Is(Int(900_000)), Is(Text("x"))]]);
    for length in 7..whole.len() {
        let answer = tape.wire.command(&whole[..length]);
        tape.keep(command::STMT_BULK_EXECUTE, "bulk cut short", answer);
    }
    tape.command(&whole);
    tape.query("DELETE FROM many WHERE n = 900000");
}

fn many_rows(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO many VALUES (?, ?)");
    let text = "t".repeat(200);
    let rows: Vec<_> = (200_000..208_000)
        .map(|n| vec![Is(Int(n)), Is(Text(&text))])
        .collect();
    // Longer than the relay looks at.
    tape.command(&bulk(id, &INT_AND_TEXT, &rows));
    tape.query("DELETE FROM many WHERE n >= 200000");
}

fn unasked(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO parents VALUES (?)");
    tape.command(&bulk(
        id,
        &[kind::LONGLONG],
        &[vec![Is(Int(5))], vec![Is(Int(6))]],
    ));
    tape.query("SELECT * FROM parents");
    tape.query("DELETE FROM parents");
}
