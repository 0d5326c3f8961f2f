//! Statements in other character sets, and bytes that are text in none.

use super::script::Script;
use crate::fidelity::encode::{Parameter, close, text};
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::command;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("statements in latin1", latin1),
        Script::new("statements in sjis", sjis),
        Script::new("statements in gbk", gbk),
        Script::new("statements in big5 and euckr", big5_and_euckr),
        Script::new("results in wide character sets", wide_results),
        Script::new("bytes that are no text", no_text),
        Script::new("bytes within names of ours", names_of_ours),
        Script::new("parameters in character sets", parameters),
    ]
}

/// As text and prepared.
#[track_caller]
fn both(tape: &mut Tape, sql: &[u8]) {
    tape.command(&text(command::QUERY, sql));
    let id = tape.prepare_bytes(sql, &sql.escape_ascii().to_string());
    if id > 0 {
        tape.execute(id, 0, &[]);
        tape.command(&close(id));
    }
}

fn latin1(tape: &mut Tape) {
    tape.query("SET NAMES latin1");
    both(
        tape,
        b"SELECT '\xe9\xe8\xff', LENGTH('\xe9'), name FROM pets",
    );
    both(tape, b"SELECT 1 AS `\xfcber`, 'ml.predict(\xe9)'");
    both(tape, b"SELECT * FROM `t\xe9`");
    both(tape, b"SELECT name FROM pets WHERE name = 'D\xe9e'");
}

/// Its second bytes may be a backslash, a quote's look-alike, or an upper-case letter.
fn sjis(tape: &mut Tape) {
    tape.query("SET NAMES sjis");
    both(tape, b"SELECT '\x83\x5c\x83\x5c', LENGTH('\x95\x5c')");
    both(tape, b"SELECT '\x93\xfa\x96\x7b', 'ml.predict(\x83\x5c)'");
    both(tape, b"SELECT '\x83\x5c' AS `\x83\x5c`");
    both(tape, b"SELECT 'cut \x83'");
}

fn gbk(tape: &mut Tape) {
    tape.query("SET NAMES gbk");
    both(tape, b"SELECT '\xc4\xe3\xba\xc3', HEX('\xbf\x5c')");
    both(tape, b"SELECT '\xbf\x27', 1 -- '");
    both(tape, b"SELECT '\xbf\x5c' OR 1 -- '");
    both(tape, b"SELECT `\xc4\xe3` FROM (SELECT 1 AS `\xc4\xe3`) t");
}

fn big5_and_euckr(tape: &mut Tape) {
    tape.query("SET NAMES big5");
    both(tape, b"SELECT '\xa5\x5c\xb3\x5c', LENGTH('\xa5\x5c')");
    tape.query("SET NAMES euckr");
    both(tape, b"SELECT '\xb0\xa1', CHAR_LENGTH('\xb0\xa1')");
    tape.query("SET NAMES ujis");
    both(tape, b"SELECT '\xa4\xa2', '\x8f\xb0\xa1'");
    tape.query("SET NAMES cp932");
    both(tape, b"SELECT '\x87\x40\xed\x40'");
}

fn wide_results(tape: &mut Tape) {
    for results in [
        "utf16", "utf16le", "utf32", "ucs2", "latin1", "binary", "gb2312", "cp1251", "utf8mb3",
    ] {
        tape.query(&format!("SET character_set_results = {results}"));
        both(tape, b"SELECT name, id, NULL, '', note FROM pets");
        both(tape, b"SELECT o, p, v, w, x, j FROM kinds");
        both(tape, b"SHOW COLUMNS FROM pets");
        both(tape, b"SELECT * FROM nowhere");
        both(tape, b"SELECT 'x' AS `n\xc3\xa4me`");
    }
}

fn no_text(tape: &mut Tape) {
    both(tape, b"SELECT '\xff\xfe\x80'");
    both(tape, b"SELECT '\xc3', LENGTH('\xe2\x82')");
    both(tape, b"SELECT _binary'\x00\x01\xff', 1");
    both(tape, b"SELECT 'a\0b', LENGTH('\0\0')");
    both(tape, b"SELECT 1\0");
    both(tape, b"\0SELECT 1");
    both(tape, b"SELECT\0 1");
    both(tape, b"SELECT 1 -- \xff\0\n");
    both(tape, b"SELECT /* \xff\xfe */ 1");
    both(tape, b"SELECT 1 AS `\xff`");
    both(tape, b"SELECT `\xff` FROM pets");
    both(tape, b"\xef\xbb\xbfSELECT 1");
    both(tape, b"\xff\xff\xff");
    both(tape, b"\x00");
    both(
        tape,
        b"INSERT INTO kinds (a, u) VALUES (98, '\xff\xd8\xff\xe0\x00\x10JFIF\x00')",
    );
    both(tape, b"INSERT INTO pets (name) VALUES ('\xff\xd8')");
    both(tape, b"SELECT HEX(u) FROM kinds WHERE a = 98");
    both(tape, b"DELETE FROM kinds WHERE a = 98");
    tape.query("SET NAMES binary");
    both(tape, b"SELECT '\xff\xd8\xff', 'd\xc3\xa9'");
    let every: Vec<u8> = (0..=255).filter(|byte| !b"'\\".contains(byte)).collect();
    both(tape, &[b"SELECT '", &every[..], b"'"].concat());
}

/// The proxy looks at these, whatever bytes are in them, and leaves them to the store.
fn names_of_ours(tape: &mut Tape) {
    both(tape, b"SELECT 'ml.predict(\xff\xfe)', '\xd8'");
    both(tape, b"SELECT 1 /* ml.predict(\xff */");
    both(tape, b"SELECT \xff.ml.predict FROM pets");
    both(tape, b"SELECT `ml\xff`.predict(1)");
    both(tape, b"SELECT '\0 ml.predict(x)'");
    both(tape, b"SELECT \"ml.\xc3predict(\"");
    both(
        tape,
        b"UPDATE pets SET note = 'ml.predict(\xff\xd8)' WHERE id = 1",
    );
    both(tape, b"SELECT note FROM pets WHERE id = 1");
    tape.query("SET NAMES latin1");
    both(tape, b"SELECT 'ml.predict(\xe9)' AS `ml.\xe9(`");
    tape.query("SET NAMES sjis");
    both(tape, b"SELECT '\x83\x5c', 'ml.predict(\x83\x5c', 1");
}

fn parameters(tape: &mut Tape) {
    for names in ["latin1", "sjis", "gbk", "utf8mb4", "binary"] {
        tape.query(&format!("SET NAMES {names}"));
        let id = tape.prepare("SELECT ?, LENGTH(?), CHARSET(?)");
        for value in [
            &b"plain"[..],
            b"\xe9\x5c",
            b"\xc3\xa9",
            b"\xff\xfe\0",
            b"\xf0\x9f\x90\x88",
        ] {
            let value = Parameter::Counted(crate::fidelity::encode::kind::VAR_STRING, value);
            tape.execute(id, 0, &[value; 3]);
        }
        tape.command(&close(id));
    }
}
