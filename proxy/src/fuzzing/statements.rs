//! Fuzzing of the small parsers applied to every statement: the lane's, the catalog's and the
//! admin endpoint's.

use super::input::Input;
use crate::admin::statement::Statement;
use crate::lane::session::diagnostics::ShowDiagnostics;
use crate::lane::statements::kill::Kill;
use crate::lane::store::text_encoding::TextEncoding;
use predictsql_optimizer::{LexMode, ddl, mask_literals};

/// Any bytes as a statement: recognised or not, only by its first word; the text and the original
/// bytes give the same result.
pub fn statements(data: &[u8]) {
    let mut input = Input::new(data);
    let bits = input.byte();
    let sql = input.rest();
    let mode = lex_mode(bits);
    let text = String::from_utf8_lossy(sql);
    let starts_with = |word: &str| {
        let head = sql.trim_ascii_start().get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    };
    if Kill::parse(sql).is_some() {
        assert!(starts_with("KILL"));
    }
    if ShowDiagnostics::recognise(sql).is_some() {
        assert!(starts_with("SHOW"));
    }
    if let Ok(statement) = Statement::parse(&text) {
        let words = statement.first_words();
        let upper = text.to_ascii_uppercase();
        assert!(words.iter().any(|word| upper.contains(word)));
    }
    if let Ok(parsed) = ddl::parse_in(&text, mode) {
        assert!(ddl::recognise(&text), "{parsed:?}");
    }
    let charsets = ["utf8mb4", "latin1", "sjis", "binary"];
    for charset in charsets {
        if let Some(encoding) = TextEncoding::of(sql, charset) {
            let decoded = encoding.decode(sql);
            assert_eq!(*encoding.encode(&decoded), *sql);
        }
    }
    masks_every_literal(&text, mode);
}

pub(super) fn lex_mode(bits: u8) -> LexMode {
    LexMode {
        ansi_quotes: bits & 1 != 0,
        no_backslash_escapes: bits & 2 != 0,
        pipes_as_concat: bits & 4 != 0,
    }
}

/// Remaining quotes are those of names.
fn masks_every_literal(text: &str, mode: LexMode) {
    let masked = mask_literals(text, mode);
    let names_are_quoted = text.contains('`') || (mode.ansi_quotes && text.contains('"'));
    assert!(
        names_are_quoted || !masked.contains(['\'', '"']),
        "{masked}"
    );
}
