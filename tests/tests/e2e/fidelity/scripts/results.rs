//! Results in rows: of procedures, of several statements, with errors in the middle,
//! and of odd shapes.

use super::script::Script;
use crate::fidelity::encode::{Parameter, close, query};
use crate::fidelity::tape::Tape;
use Parameter::{Double, Int, Null, Text};
use predictsql_proxy::wire::{Capabilities, command};

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("prepared procedures", prepared_procedures),
        Script::new("procedures with parameters that go out", parameters_out),
        Script::new("procedures with many results", many_results),
        Script::new("errors in the middle of results", errors_in_the_middle),
        Script::new("results of many statements", many_statements)
            .needs(Capabilities::MULTI_STATEMENTS),
        Script::new("statements in turns with procedures", in_turns)
            .needs(Capabilities::MULTI_STATEMENTS),
        Script::new("results of many columns", many_columns),
        Script::new("results of no rows", no_rows),
        Script::new("rows around the lengths that lengths have", around_lengths),
        Script::new("warnings in numbers", warnings),
        Script::new("affected rows and ids in numbers", numbers).long(),
        Script::new("triggers and events", triggers_and_events),
        Script::new("plans with times", plans_with_times),
        Script::new("query cache and profiling", settings_of_statements),
    ]
}

fn prepared_procedures(tape: &mut Tape) {
    let two = tape.prepare("CALL two_results()");
    tape.execute(two, 0, &[]);
    tape.execute(two, 0, &[]);
    for sql in [
        "CALL fails()",
        "CALL resignals()",
        "CALL deep(2)",
        "CALL warns()",
        "CALL loops(2)",
    ] {
        let id = tape.prepare(sql);
        tape.execute(id, 0, &[]);
        tape.command(&close(id));
    }
    tape.query("SELECT 1");
}

fn parameters_out(tape: &mut Tape) {
    tape.query("CREATE PROCEDURE outs_of_types(OUT a TINYINT, OUT b VARCHAR(300), OUT c DATETIME(6), OUT d DOUBLE, \
                INOUT e DECIMAL(20,5), OUT f BLOB) BEGIN SET a = -1, b = REPEAT('b', 300), c = '2024-02-29 01:02:03.4', \
                d = 1e300, e = e * 2, f = NULL; END");
    let id = tape.prepare("CALL outs(?, ?, ?)");
    tape.execute(id, 0, &[Int(1), Null, Text("c")]);
    tape.execute(id, 0, &[Null, Null, Null]);
    tape.execute(id, 0, &[Text("x"), Int(1), Double(1.5)]);
    let typed = tape.prepare("CALL outs_of_types(?, ?, ?, ?, ?, ?)");
    for flags in [0, 1] {
        tape.execute(typed, flags, &[Null, Null, Null, Null, Text("10.5"), Null]);
    }
    tape.query("CALL outs_of_types(@a, @b, @c, @d, @e, @f)");
    tape.query("SELECT @a, @b, @c, @d, @e, @f");
    tape.query("CALL outs(1, 2, 3)");
    tape.query("DROP PROCEDURE outs_of_types");
}

fn many_results(tape: &mut Tape) {
    tape.query("CALL many_results(5)");
    tape.query("CALL loops(40)");
    let id = tape.prepare("CALL many_results(?)");
    tape.execute(id, 0, &[Int(3)]);
    tape.execute(id, 1, &[Int(0)]);
    tape.query("CALL dynamic('CALL fidelity.two_results()')");
}

fn errors_in_the_middle(tape: &mut Tape) {
    for sql in [
        "SELECT n, IF(n = 300, (SELECT n FROM many LIMIT 2), n) FROM many",
        "SELECT n, t, IF(n = 650, JSON_EXTRACT('[]', CONCAT('$', n)), 1) FROM many",
        "SELECT n, 9223372036854775000 + n * 2 FROM many",
        "CALL fails()",
        "SELECT n, fails_in_function() FROM many WHERE n > 5",
        "SELECT n, IF(n = 20, fails_in_function(), n) FROM many",
    ] {
        tape.query(sql);
        let id = tape.prepare(sql);
        tape.execute(id, 0, &[]);
        tape.command(&close(id));
        tape.command(&[command::PING]);
    }
}

fn many_statements(tape: &mut Tape) {
    let numbers: Vec<_> = (0..300).map(|n| format!("SELECT {n}")).collect();
    tape.query(&numbers.join(";"));
    let mixed: Vec<_> = (0..100)
        .map(|n| match n % 4 {
            0 => "SET @n = 1",
            1 => "SELECT * FROM pets",
            2 => "UPDATE pets SET age = age",
            _ => "SELECT n FROM many WHERE 0",
        })
        .collect();
    tape.query(&mixed.join("; "));
    tape.query(&format!("{}; SELEC", mixed.join("; ")));
}

fn in_turns(tape: &mut Tape) {
    tape.query(
        "CALL two_results(); CALL outs(1, @x, @y); SELECT @x; CALL many_results(2); SELECT 'end'",
    );
    tape.query("CALL warns(); SHOW WARNINGS; CALL fails(); SELECT 'not reached'");
    tape.query("BEGIN NOT ATOMIC SELECT 1; CALL fidelity.two_results(); END; SELECT 2");
    tape.pipeline(&[
        query("CALL two_results(); SELECT 3"),
        query("SELECT 4; CALL fails()"),
        query("SELECT 5; SELECT 6"),
    ]);
}

fn many_columns(tape: &mut Tape) {
    for count in [249, 250, 251, 252, 253, 254, 255, 256, 1000, 4096, 4097] {
        let columns: Vec<_> = (0..count).map(|n| format!("{n} c{n}")).collect();
        let sql = format!("SELECT {}", columns.join(","));
        tape.query(&sql);
        if count < 300 {
            let id = tape.prepare(&sql);
            tape.execute(id, 0, &[]);
            tape.command(&close(id));
        }
    }
}

fn no_rows(tape: &mut Tape) {
    for sql in [
        "SELECT 1 WHERE 0",
        "SELECT * FROM kinds WHERE 0",
        "SELECT * FROM kinds LIMIT 0",
        "SHOW TABLES LIKE 'nothing'",
        "SHOW WARNINGS",
        "INSERT INTO parents SELECT 1 WHERE 0 RETURNING id",
        "DELETE FROM parents RETURNING id",
        "HANDLER pets OPEN",
        "HANDLER pets READ FIRST WHERE id < 0",
        "HANDLER pets CLOSE",
        "SELECT NULL",
        "SELECT ''",
        "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "SELECT '', '', ''",
    ] {
        tape.query(sql);
        let id = tape.prepare(sql);
        if id > 0 {
            tape.execute(id, 0, &[]);
            tape.command(&close(id));
        }
    }
}

fn around_lengths(tape: &mut Tape) {
    for bytes in [
        0, 1, 7, 8, 9, 249, 250, 251, 252, 253, 254, 255, 256, 4094, 65_534, 65_535, 65_536,
        131_072,
    ] {
        tape.query(&format!("SELECT REPEAT('x', {bytes})"));
        tape.query(&format!(
            "SELECT REPEAT('\u{e9}', {bytes}), 1 UNION ALL SELECT '', 2"
        ));
    }
    let id = tape.prepare("SELECT REPEAT('x', ?), ?");
    for bytes in [0, 250, 251, 65_535, 65_536] {
        tape.execute(id, 0, &[Int(bytes), Null]);
    }
}

fn warnings(tape: &mut Tape) {
    for count in [1, 63, 64, 65, 700] {
        tape.query(&format!("SELECT 'x' + n FROM many LIMIT {count}"));
        tape.query("SHOW COUNT(*) WARNINGS");
    }
    tape.query("SET max_error_count = 3");
    tape.query("SELECT CAST('x' AS UNSIGNED) FROM many");
    tape.query("SHOW WARNINGS");
    tape.query("SELECT @@warning_count, @@error_count");
    tape.query("DROP TABLE IF EXISTS no_1, no_2, no_3, no_4, no_5");
    tape.query("SHOW WARNINGS");
    let id = tape.prepare("SELECT 'y' + n FROM many WHERE n < ?");
    tape.execute(id, 0, &[Int(9)]);
    tape.query("SHOW WARNINGS");
}

fn numbers(tape: &mut Tape) {
    tape.query("CREATE TABLE numbered (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, a INT) ENGINE = MEMORY");
    for rows in [1, 250, 251, 252, 65_535, 65_536] {
        tape.query(&format!(
            "INSERT INTO numbered (a) SELECT seq FROM seq_1_to_{rows}"
        ));
    }
    for id in [
        "250",
        "251",
        "65535",
        "65536",
        "16777215",
        "16777216",
        "18446744073709551000",
    ] {
        tape.query(&format!("INSERT IGNORE INTO numbered VALUES ({id}, 1)"));
    }
    tape.query("INSERT INTO numbered (a) VALUES (9)");
    tape.query("UPDATE numbered SET a = 0");
    tape.query("UPDATE numbered SET a = 0");
    tape.query("DROP TABLE numbered");
}

fn triggers_and_events(tape: &mut Tape) {
    tape.query("SET timestamp = 1700000000");
    tape.query("CREATE TRIGGER after_update AFTER UPDATE ON watched FOR EACH ROW INSERT INTO watch_log VALUES ('updated')");
    tape.query("CREATE TRIGGER refuses BEFORE DELETE ON watched FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kept'");
    tape.query("INSERT INTO watched VALUES (1), (-2)");
    tape.query("INSERT INTO watched VALUES (5), (6)");
    tape.query("UPDATE watched SET id = id + 1");
    tape.query("DELETE FROM watched");
    tape.query("SELECT * FROM watch_log");
    tape.query("SHOW CREATE TRIGGER after_update");
    tape.query("SHOW TRIGGERS LIKE 'watched'");
    tape.query("DROP TRIGGER refuses");
    tape.query("DROP TRIGGER after_update");
    tape.query(
        "CREATE EVENT often ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' DO SELECT 1",
    );
    tape.query("SHOW EVENTS FROM fidelity");
    tape.query("ALTER EVENT often DISABLE RENAME TO seldom");
    tape.query("SHOW CREATE EVENT seldom");
    tape.query("DROP EVENT seldom");
    tape.query("CREATE PROCEDURE dated() SELECT 1");
    tape.query("SHOW PROCEDURE STATUS LIKE 'dated'");
    tape.query("DROP PROCEDURE dated");
    tape.query("DELETE FROM watched");
}

/// The one cell holds times: all but that cell is compared.
fn plans_with_times(tape: &mut Tape) {
    for sql in [
        "ANALYZE FORMAT=JSON SELECT * FROM pets WHERE id < 3",
        "ANALYZE FORMAT=JSON UPDATE pets SET age = age WHERE id = 1",
    ] {
        tape.command_but_for_cells(&query(sql), &[0]);
    }
    tape.query("EXPLAIN FORMAT=JSON SELECT * FROM pets WHERE id < 3");
    tape.query("SET optimizer_trace = 'enabled=on'");
    tape.query("SELECT id FROM pets WHERE id = 1");
    let trace = query("SELECT query, trace FROM information_schema.optimizer_trace");
    tape.command_but_for_cells(&trace, &[1]);
}

fn settings_of_statements(tape: &mut Tape) {
    tape.query("SET profiling = 1");
    tape.query("SELECT id FROM pets WHERE id = 1");
    tape.command_but_for_cells(&query("SHOW PROFILES"), &[1]);
    tape.query("SET profiling = 0");
    tape.query("SET query_cache_type = ON");
    for _ in 0..2 {
        tape.query("SELECT SQL_CACHE n FROM many LIMIT 3");
    }
    tape.query("SET SESSION debug_no_thread_alarm = 1");
}
