//! Prepared statements: parameters of every type, data sent ahead, errors.

use super::script::Script;
use crate::fidelity::encode::{
    Parameter, UNSIGNED, about, close, datetime, duration, execute, execute_again, kind, long_data,
    prepare, query,
};
use crate::fidelity::tape::Tape;
use Parameter::{Counted, Double, Int, Long, Null, Text, Value};
use predictsql_proxy::wire::command;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("parameters", parameters),
        Script::new("parameters of every integer type", integers),
        Script::new("parameters of floating point", floats),
        Script::new("parameters that are dates and times", dates_and_times),
        Script::new("parameters that are texts and bytes", texts),
        Script::new("parameters of types that do not exist", odd_types),
        Script::new("many parameters", many_parameters),
        Script::new("parameters bound once", bound_once),
        Script::new("parameters into every type of column", into_columns),
        Script::new("parameters in odd places", odd_places),
        Script::new("long data", sent_ahead),
        Script::new("long data in many parts", sent_ahead_in_parts),
        Script::new("long data in a pipeline", sent_ahead_pipelined),
        Script::new("many statements at once", many_statements),
        Script::new("statements that change under way", changes),
        Script::new("the last prepared statement", last_prepared),
        Script::new(
            "the last prepared statement, where there is none",
            none_prepared,
        ),
        Script::new("errors of prepared statements", errors),
        Script::new("executions cut short", cut_short),
    ]
}

fn parameters(tape: &mut Tape) {
    let id = tape.prepare("SELECT ?, ?, ?, ? FROM pets WHERE id >= ? LIMIT ?");
    let values = [Int(-5), Double(0.1), Text("é"), Null, Int(2), Int(2)];
    tape.execute(id, 0, &values);
    tape.execute(id, 0, &values);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.execute(id, 0, &values);
    let insert = tape.prepare("INSERT INTO pets (name, age, photo) VALUES (?, ?, ?)");
    tape.execute(insert, 0, &[Text("Hal"), Null, Text("ml.predict('t', x)")]);
    tape.execute(insert, 0, &[Null, Int(1), Null]);
    tape.query("SELECT * FROM pets");
    let all = tape.prepare("SELECT * FROM kinds WHERE a <=> ? OR a = ?");
    tape.execute(all, 0, &[Null, Int(-128)]);
    for id in [id, insert, all] {
        tape.command(&close(id));
    }
    tape.execute(all, 0, &[Null, Null]);
}

/// Executes `SELECT ?` with each.
fn each(tape: &mut Tape, values: &[Parameter<'_>]) {
    let id = tape.prepare("SELECT ?, ? IS NULL");
    for &value in values {
        tape.execute(id, 0, &[value, value]);
    }
}

fn integers(tape: &mut Tape) {
    let ones = [0xff; 8];
    let low = [0, 0, 0, 0, 0, 0, 0, 0x80];
    let mut values = Vec::new();
    for (kind, bytes) in [
        (kind::TINY, 1),
        (kind::SHORT, 2),
        (kind::YEAR, 2),
        (kind::LONG, 4),
        (kind::INT24, 4),
        (kind::LONGLONG, 8),
    ] {
        for flags in [0, UNSIGNED] {
            values.push(Value(kind, flags, &ones[..bytes]));
            values.push(Value(kind, flags, &low[8 - bytes..]));
            values.push(Value(kind, flags, &low[..bytes]));
        }
    }
    each(tape, &values);
}

fn floats(tape: &mut Tape) {
    let floats = [
        0.0_f32,
        -0.0,
        1.5,
        f32::MAX,
        f32::MIN_POSITIVE,
        f32::NAN,
        f32::INFINITY,
    ];
    for value in floats {
        each(tape, &[Value(kind::FLOAT, 0, &value.to_le_bytes())]);
    }
    let doubles = [
        0.0,
        -0.0,
        0.1,
        f64::MAX,
        5e-324,
        f64::NAN,
        f64::NEG_INFINITY,
    ];
    each(tape, &doubles.map(Double));
}

fn dates_and_times(tape: &mut Tape) {
    let dates = [
        vec![0],
        datetime(2024, &[2, 29], None),
        datetime(2024, &[12, 31, 23, 59, 59], None),
        datetime(9999, &[12, 31, 23, 59, 59], Some(999_999)),
        datetime(0, &[0, 0], None),
        datetime(2024, &[13, 45, 99, 99, 99], Some(u32::MAX)),
    ];
    for kind in [kind::DATE, kind::DATETIME, kind::TIMESTAMP] {
        let values: Vec<_> = dates.iter().map(|date| Value(kind, 0, date)).collect();
        each(tape, &values);
    }
    let times = [
        vec![0],
        duration(false, 0, [0, 0, 1], None),
        duration(true, 34, [22, 59, 59], Some(999_999)),
        duration(false, 4000, [99, 99, 99], None),
    ];
    let values: Vec<_> = times
        .iter()
        .map(|time| Value(kind::TIME, 0, time))
        .collect();
    each(tape, &values);
}

fn texts(tape: &mut Tape) {
    let long = "x".repeat(70_000);
    let decimal = "9".repeat(80);
    for kind in [
        kind::VARCHAR,
        kind::VAR_STRING,
        kind::STRING,
        kind::TINY_BLOB,
        kind::MEDIUM_BLOB,
        kind::LONG_BLOB,
        kind::BLOB,
        kind::NEWDECIMAL,
        kind::ENUM,
        kind::SET,
        kind::BIT,
        kind::GEOMETRY,
    ] {
        for value in [
            &b""[..],
            b"text",
            b"-12.50",
            "d\u{e9}j\u{e0} vu \u{1f408}".as_bytes(),
            b"\0\x01\xff\xfe",
            b"ml.predict('apparel', photo)",
            decimal.as_bytes(),
            long.as_bytes(),
        ] {
            each(tape, &[Counted(kind, value)]);
        }
    }
}

fn odd_types(tape: &mut Tape) {
    let id = tape.prepare("SELECT ?");
    for kind in [0, 14, 17, 18, 19, 20, 100, 242, 245] {
        tape.execute(id, 0, &[Value(kind, 0, b"\x04abcd\0\0\0\0")]);
    }
    tape.execute(id, 0, &[Value(kind::NULL, 0, b"")]);
    tape.execute(id, 0, &[Int(1)]);
}

fn many_parameters(tape: &mut Tape) {
    for count in [7, 8, 9, 64, 250, 251, 300, 2000] {
        let marks = vec!["?"; count].join(", ");
        let id = tape.prepare(&format!("SELECT {marks}"));
        let value = |n: usize| match n % 4 {
            0 => Null,
            1 => Int(n as i64),
            2 => Text("t"),
            _ => Double(0.5),
        };
        let values: Vec<_> = (0..count).map(value).collect();
        tape.execute(id, 0, &values);
        tape.execute(id, 0, &vec![Null; count]);
        tape.command(&close(id));
    }
}

fn bound_once(tape: &mut Tape) {
    let id = tape.prepare("SELECT ?, ?, id FROM pets WHERE id = ?");
    tape.command(&execute_again(id, &[Int(1), Int(2), Int(3)]));
    tape.execute(id, 0, &[Int(1), Text("x"), Int(3)]);
    tape.command(&execute_again(id, &[Int(2), Text("longer"), Int(2)]));
    tape.command(&execute_again(id, &[Null, Null, Int(1)]));
    tape.execute(id, 0, &[Text("1"), Double(2.0), Text("2")]);
    tape.command(&execute_again(
        id,
        &[Text("again"), Double(-1.0), Text("3")],
    ));
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.command(&execute_again(
        id,
        &[Text("again"), Double(-1.0), Text("3")],
    ));
}

fn into_columns(tape: &mut Tape) {
    const COLUMNS: &str =
        "a b c d e f g h i j k l m n o p q r s t u v w x y z aa ab ac ad ae af ag";
    let values = [
        Int(1),
        Text("1"),
        Text("not a number"),
        Double(1.5),
        Text("2024-02-29 12:30:45.678"),
        Null,
    ];
    for column in COLUMNS.split(' ') {
        let id = tape.prepare(&format!("INSERT INTO kinds ({column}) VALUES (?)"));
        for value in values {
            tape.execute(id, 0, &[value]);
        }
        tape.command(&close(id));
    }
    tape.query("SHOW WARNINGS");
    let all = tape.prepare("SELECT * FROM kinds");
    tape.execute(all, 0, &[]);
    tape.query("SELECT * FROM kinds");
    tape.query("DELETE FROM kinds WHERE a IS NULL OR a = 1");
}

fn odd_places(tape: &mut Tape) {
    for sql in [
        "SELECT ? + ?",
        "SELECT * FROM pets ORDER BY ?",
        "SELECT * FROM ?",
        "SELECT '?', \"?\", `?` FROM (SELECT 1 AS `?`) t WHERE 1 = ?",
        "SELECT /* ? */ ? -- ?",
        "SELECT name FROM pets WHERE id IN (?, ?, ?)",
        "SELECT name FROM pets LIMIT ? OFFSET ?",
        "SET @p = ?",
        "CALL outs(?, @b, @c)",
        "DO ?",
        "SELECT CASE ? WHEN ? THEN ? END",
        "INSERT INTO pets (name, age) VALUES (?, ?), (?, ?)",
        "UPDATE pets SET age = ? WHERE id = ?",
        "EXECUTE IMMEDIATE 'SELECT 1' USING ?",
        "SHOW TABLES LIKE ?",
        "CREATE TABLE by_parameter (a INT DEFAULT ?)",
        "EXPLAIN SELECT * FROM pets WHERE id = ?",
        "SET STATEMENT lock_wait_timeout = ? FOR SELECT 1",
        "VALUES (?, ?)",
        "KILL ?",
    ] {
        let id = tape.prepare(sql);
        if id > 0 {
            let count = sql.matches('?').count();
            for value in [Int(1), Text("2"), Null] {
                tape.execute(id, 0, &vec![value; count]);
            }
            tape.command(&close(id));
        }
    }
    tape.query("DROP TABLE IF EXISTS by_parameter");
}

fn sent_ahead(tape: &mut Tape) {
    let id = tape.prepare("SELECT LENGTH(?), MD5(?)");
    tape.command(&long_data(id, 0, b"ml.predict("));
    tape.command(&long_data(id, 0, b"more"));
    tape.command(&long_data(id, 1, &[7; 100_000]));
    tape.execute(id, 0, &[Long, Long]);
    tape.command(&long_data(id, 9, b"beyond"));
    tape.execute(id, 0, &[Null, Null]);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.command(&long_data(4711, 0, b"nobody"));
    tape.execute(id, 0, &[Text("a"), Int(1)]);
    // Sent ahead, and given once more; for a number; and empty.
    tape.command(&long_data(id, 0, b"ahead"));
    tape.execute(id, 0, &[Text("given"), Null]);
    tape.command(&long_data(id, 1, b"12"));
    tape.execute(id, 0, &[Null, Int(5)]);
    tape.command(&long_data(id, 0, b""));
    tape.execute(id, 0, &[Long, Text("")]);
}

fn sent_ahead_in_parts(tape: &mut Tape) {
    let id = tape.prepare("INSERT INTO kinds (a, u) VALUES (?, ?) RETURNING a, LENGTH(u), MD5(u)");
    for n in 0..1000_u32 {
        tape.command(&long_data(id, 1, &[n as u8; 77]));
    }
    tape.execute(id, 0, &[Int(99), Long]);
    tape.query("DELETE FROM kinds WHERE a = 99");
}

fn sent_ahead_pipelined(tape: &mut Tape) {
    let id = tape.prepare("SELECT ?, LENGTH(?)");
    tape.pipeline(&[
        query("SELECT 1"),
        long_data(id, 0, b"one "),
        long_data(id, 0, b"two"),
        execute(id, 0, &[Long, Int(7)]),
        long_data(id, 1, b"three"),
        close(12_345),
        vec![command::PING],
        execute(id, 0, &[Text("x"), Long]),
        about(command::STMT_RESET, id, &[]),
        close(id),
        execute(id, 0, &[Text("x"), Int(1)]),
    ]);
}

fn many_statements(tape: &mut Tape) {
    let ids: Vec<_> = (0..100)
        .map(|n| tape.prepare(&format!("SELECT {n}, ? + {n} FROM pets LIMIT 2")))
        .collect();
    for (n, &id) in ids.iter().enumerate().rev() {
        tape.execute(id, 0, &[Int(n as i64)]);
    }
    for &id in ids.iter().step_by(2) {
        tape.command(&close(id));
    }
    for &id in &ids {
        tape.execute(id, 0, &[Null]);
    }
}

/// The store prepares again what has changed.
fn changes(tape: &mut Tape) {
    tape.query("CREATE TABLE changing (a INT)");
    tape.query("INSERT INTO changing VALUES (1), (2)");
    let all = tape.prepare("SELECT * FROM changing WHERE a >= ?");
    tape.execute(all, 0, &[Int(1)]);
    tape.query("ALTER TABLE changing ADD b VARCHAR(10) DEFAULT 'b', MODIFY a VARCHAR(5)");
    tape.execute(all, 0, &[Int(1)]);
    tape.query("ALTER TABLE changing CHANGE a c INT");
    tape.execute(all, 0, &[Int(1)]);
    tape.query("DROP TABLE changing");
    tape.execute(all, 0, &[Int(1)]);
    tape.query("CREATE VIEW changing AS SELECT 5 AS a");
    tape.execute(all, 0, &[Int(1)]);
    tape.query("DROP VIEW changing");
    tape.query("USE mysql");
    tape.execute(all, 0, &[Int(1)]);
}

/// MariaDB: statement id -1 means the one prepared last, so that both commands may go at once.
fn last_prepared(tape: &mut Tape) {
    tape.prepare("SELECT id FROM pets WHERE id > ?");
    tape.execute(u32::MAX, 0, &[Int(2)]);
    let insert = prepare("INSERT INTO pets (name) VALUES (?)");
    tape.pipeline(&[insert, execute(u32::MAX, 0, &[Text("Ivo")])]);
    tape.query("SELECT name FROM pets");
    tape.pipeline(&[
        prepare("SELECT LENGTH(?)"),
        long_data(u32::MAX, 0, b"ahead"),
        execute(u32::MAX, 0, &[Long]),
        about(command::STMT_RESET, u32::MAX, &[]),
        close(u32::MAX),
        execute(u32::MAX, 0, &[Long]),
    ]);
}

fn none_prepared(tape: &mut Tape) {
    tape.execute(u32::MAX, 0, &[]);
    tape.pipeline(&[
        prepare("SELEC"),
        execute(u32::MAX, 0, &[]),
        prepare("SELECT * FROM nowhere WHERE a = ?"),
        execute(u32::MAX, 0, &[Int(1)]),
        query("SELECT 1"),
    ]);
}

fn errors(tape: &mut Tape) {
    tape.prepare("SELEC ?");
    tape.prepare("SELECT * FROM nowhere WHERE a = ?");
    tape.prepare("SELECT 1; SELECT 2");
    tape.prepare("");
    tape.prepare("LOAD DATA LOCAL INFILE 'x' INTO TABLE many");
    tape.prepare("PREPARE p FROM 'SELECT 1'");
    tape.execute(12345, 0, &[]);
    tape.command(&about(command::STMT_RESET, 12345, &[]));
    tape.command(&about(command::STMT_FETCH, 12345, &[1, 0, 0, 0]));
    tape.command(&close(12345));
    for sql in [
        "SELECT CAST(? AS UNSIGNED) * 18446744073709551615",
        "SELECT (SELECT n FROM many LIMIT 3), ?",
        "INSERT INTO parents VALUES (1 + ?)",
        "INSERT INTO children VALUES (100, ?)",
        "SELECT n, IF(n > ?, (SELECT n FROM many LIMIT 2), n) FROM many LIMIT 50",
        "CALL fails()",
    ] {
        let id = tape.prepare(sql);
        let count = sql.matches('?').count();
        for _ in 0..2 {
            tape.execute(id, 0, &vec![Int(20); count]);
        }
    }
    tape.query("DELETE FROM parents");
}

fn cut_short(tape: &mut Tape) {
    let id = tape.prepare("SELECT ?, ?");
    let whole = execute(id, 0, &[Int(1), Text("text")]);
    // Without the whole header; then without types, without values, and with half a value.
    for length in 10..whole.len() {
        let answer = tape.wire.command(&whole[..length]);
        tape.keep(command::STMT_EXECUTE, "an execution cut short", answer);
    }
    tape.command(&whole);
}
