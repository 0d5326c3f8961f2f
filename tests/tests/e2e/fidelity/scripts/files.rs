//! LOAD DATA LOCAL INFILE: files that clients send in the middle of a statement.

use super::script::Script;
use crate::fidelity::encode::{Parameter, close, query};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::Capabilities;

const LOAD: &str = "LOAD DATA LOCAL INFILE 'any' INTO TABLE many";

pub fn scripts() -> Vec<Script<'static>> {
    let offered = [
        Script::new("local files", files),
        Script::new("local files that look like commands", like_commands),
        Script::new("local files among several statements", among_statements),
        Script::new("local files in a procedure or prepared", elsewhere),
        Script::new("local files that fail", failing),
        Script::new("local files by format", formats),
        Script::new("statements behind a local file", statements_behind),
        Script::new("long local files", long_files).long(),
    ];
    let mut scripts: Vec<_> = offered
        .into_iter()
        .map(|script| script.needs(Capabilities::LOCAL_FILES))
        .collect();
    scripts.push(Script::new("local files that are off", switched_off));
    scripts
}

fn files(tape: &mut Tape) {
    tape.load(LOAD, b"50001\tone\n50002\ttwo\n");
    tape.load(LOAD, b"");
    tape.load(LOAD, b"\n\n\n");
    tape.load(LOAD, b"50003");
    let lines: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| format!("{}\tml.predict(\n", 60_000 + n).into_bytes())
        .collect();
    tape.load(LOAD, &lines);
    tape.query("SHOW WARNINGS LIMIT 3");
    tape.query("SELECT COUNT(*), MAX(n) FROM many");
    tape.query("LOAD DATA INFILE '/nowhere/x' INTO TABLE many");
    tape.query("DELETE FROM many WHERE n > 50000");
}

fn like_commands(tape: &mut Tape) {
    tape.load(LOAD, b"\x03SELECT ml.predict('t', x)\n\x01\n\x0e");
    tape.load(LOAD, b"\xff\x15\x04#42000no\n");
    tape.load(LOAD, b"\xfe\0\0\x02\0");
    tape.load(LOAD, b"\x00\x00\x00\x02\x00\x00\x00");
    tape.load(LOAD, &[0; 30_000]);
    tape.query("SELECT COUNT(*) FROM many");
}

fn among_statements(tape: &mut Tape) {
    tape.load(
        &format!("{LOAD}; SELECT COUNT(*) FROM many; {LOAD}"),
        b"90001\tx\n",
    );
    tape.load(&format!("SELECT 1; {LOAD}; SELEC"), b"90002\tx\n");
    tape.load(
        &format!("SELECT 1; {LOAD} (nothing); SELECT 2"),
        b"90003\tx\n",
    );
    tape.load(&format!("BEGIN; {LOAD}; ROLLBACK"), b"90004\tx\n");
    tape.query("DELETE FROM many WHERE n > 90000");
}

fn elsewhere(tape: &mut Tape) {
    let id = tape.prepare(LOAD);
    if id > 0 {
        tape.wire.local_file = b"90005\tx\n".to_vec();
        tape.execute(id, 0, &[]);
        tape.command(&close(id));
    }
    tape.load(&format!("EXECUTE IMMEDIATE \"{LOAD}\""), b"90006\tx\n");
    tape.load(&format!("CREATE PROCEDURE loads() {LOAD}"), b"");
    tape.load(&format!("BEGIN NOT ATOMIC {LOAD}; END"), b"90007\tx\n");
    tape.query("SELECT 1");
}

fn failing(tape: &mut Tape) {
    tape.load("LOAD DATA LOCAL INFILE 'any' INTO TABLE nowhere", b"1\n");
    tape.load(
        "LOAD DATA LOCAL INFILE 'any' INTO TABLE many (n, nothing)",
        b"1\n",
    );
    tape.load(
        "LOAD DATA LOCAL INFILE 'any' INTO TABLE children",
        b"1\t99\n",
    );
    let long: Vec<u8> = b"-5\n".repeat(30_000);
    tape.load("LOAD DATA LOCAL INFILE 'any' INTO TABLE watched", &long);
    tape.load("LOAD DATA LOCAL INFILE 'any' INTO TABLE checked (a)", &long);
    tape.query("SHOW WARNINGS LIMIT 2");
    tape.load(LOAD, b"not a number\n1\tduplicate\n");
    tape.query("SHOW WARNINGS");
    tape.load(&LOAD.replace("INTO", "REPLACE INTO"), b"1\treplaced\n");
    tape.query("SET sql_mode = 'STRICT_ALL_TABLES', max_statement_time = 3000");
    tape.load(LOAD, b"not a number\n");
    tape.query("START TRANSACTION READ ONLY");
    tape.load(LOAD, b"90008\tx\n");
    tape.query("ROLLBACK");
    tape.query("LOCK TABLES pets READ");
    tape.load(LOAD, b"90009\tx\n");
    tape.query("UNLOCK TABLES");
}

fn formats(tape: &mut Tape) {
    tape.load(
        "LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE pets CHARACTER SET latin1 FIELDS TERMINATED BY ',' \
         OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n' IGNORE 1 LINES (name, @a) SET age = @a + 1",
        b"name,age\r\n\"F\xe9\",3\r\nG,\r\n",
    );
    tape.load(
        "LOAD XML LOCAL INFILE 'a.xml' INTO TABLE pets ROWS IDENTIFIED BY '<pet>'",
        b"<pets><pet name='X' age='1'/><pet><name>Y</name></pet></pets>",
    );
    tape.load(
        "LOAD DATA LOCAL INFILE 'binary' INTO TABLE kinds CHARACTER SET binary (a, u)",
        b"97\t\xff\xd8\xff\\\0\\\t\\\n\\N\n",
    );
    tape.query("SELECT name, age FROM pets ORDER BY id DESC LIMIT 4");
    tape.query("DELETE FROM kinds WHERE a = 97");
}

/// All in one write would be read as the file: only what follows the answer may follow.
fn statements_behind(tape: &mut Tape) {
    for n in 0..20 {
        tape.load(LOAD, format!("{}\tx\n", 95_000 + n).as_bytes());
        tape.pipeline(&[
            query("SELECT MAX(n) FROM many"),
            query("SELECT 'x' FROM pets"),
        ]);
    }
    let id = tape.prepare("SELECT COUNT(*) FROM many WHERE n >= ?");
    tape.execute(id, 0, &[Parameter::Int(95_000)]);
    tape.query("DELETE FROM many WHERE n >= 95000");
}

fn long_files(tape: &mut Tape) {
    let line = [b"96000\t".as_slice(), &[b'y'; 100_000], b"\n"].concat();
    tape.load(&LOAD.replace("INTO", "REPLACE INTO"), &line.repeat(80));
    tape.query("DELETE FROM many WHERE n = 96000");
}

/// By the client, or by the session.
fn switched_off(tape: &mut Tape) {
    if !tape.has(Capabilities::LOCAL_FILES) {
        tape.query(LOAD);
        tape.prepare(LOAD);
    }
    tape.query("SET GLOBAL local_infile = OFF");
    tape.query(LOAD);
    tape.query("SELECT 1");
    tape.query("SET GLOBAL local_infile = ON");
    tape.query("SHOW WARNINGS");
}
