//! Unqualified calls: predict calls without a schema name, in a session whose current database is
//! the schema.

use std::collections::BTreeSet;

use sqlparser::tokenizer::Token;

use super::prefilter::{ends_in_line_comment, is_space, trim_space_end, trim_space_start};
use super::text::{LexMode, Lexed};

/// Lower-case names of functions that belong to the schema even when unqualified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BareNames(pub BTreeSet<String>);

impl BareNames {
    /// The call that begins at `at`: its name, and the index of the parenthesis.
    pub(crate) fn call(&self, lexed: &Lexed<'_>, at: usize) -> Option<(String, usize)> {
        if self.0.is_empty() {
            return None;
        }
        let name = bare_call(lexed, at)?;
        let known = self.0.contains(&name.to_ascii_lowercase());
        known.then_some((name, at + 1))
    }
}

/// Whether a function is generic: its arguments name the task or model.
pub fn is_generic(name: &str) -> bool {
    let generic = ["predict", "predict_proba"];
    generic.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// An unqualified call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareCall {
    /// Function name, in lower case.
    pub name: String,
    /// Text from the name to the opening parenthesis.
    pub head: String,
}

/// The unqualified calls of functions that satisfy `is_known`, without duplicate heads.
pub fn bare_calls(text: &str, mode: LexMode, is_known: impl Fn(&str) -> bool) -> Vec<BareCall> {
    let mut calls: Vec<BareCall> = Vec::new();
    let Some(lexed) = Lexed::new(text, mode) else {
        return calls;
    };
    for at in 0..lexed.lexemes.len() {
        let Some(name) = bare_call(&lexed, at).filter(|name| is_known(name)) else {
            continue;
        };
        let call = BareCall {
            name: name.to_ascii_lowercase(),
            head: lexed.text_of(&(at..at + 2)).to_owned(),
        };
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    calls
}

/// Whether a text contains such a call, outside strings and comments, under any sql_mode.
pub fn has_bare_call(text: &str, is_known: impl Fn(&str) -> bool) -> bool {
    let mut modes = LexMode::QUOTINGS.into_iter();
    modes.any(|mode| !bare_calls(text, mode, &is_known).is_empty())
}

/// The name at `at`, if a function call may begin there: not a name followed by a column list.
fn bare_call(lexed: &Lexed<'_>, at: usize) -> Option<String> {
    const LISTS_COLUMNS: [&str; 21] = [
        "INTO",
        "INSERT",
        "REPLACE",
        "IGNORE",
        "DELAYED",
        "LOW_PRIORITY",
        "HIGH_PRIORITY",
        "TABLE",
        "VIEW",
        "EXISTS",
        "WITH",
        "RECURSIVE",
        "INDEX",
        "KEY",
        "UNIQUE",
        "REFERENCES",
        "CONSTRAINT",
        "FUNCTION",
        "PROCEDURE",
        "CALL",
        "ON", // of CREATE INDEX i ON t (c); not of a join condition ON f(x), see below
    ];
    if !matches!(lexed.token(at + 1), Some(Token::LParen)) {
        return None;
    }
    let Some(Token::Word(_)) = lexed.token(at) else {
        return None;
    };
    let before = at.checked_sub(1);
    if before.is_some_and(|before| matches!(lexed.token(before), Some(Token::Period))) {
        return None;
    }
    let makes_index =
        || lexed.is_keyword(0, "CREATE") && (0..at).any(|at| lexed.is_keyword(at, "INDEX"));
    let lists_columns = |before: usize| {
        let mut words = LISTS_COLUMNS.iter();
        words.any(|word| lexed.is_keyword(before, word) && (*word != "ON" || makes_index()))
    };
    if before.is_some_and(lists_columns) || is_common_table(lexed, at) {
        return None;
    }
    lexed.name(at)
}

/// `name (columns) AS (query)`
fn is_common_table(lexed: &Lexed<'_>, at: usize) -> bool {
    lexed.after_closing(at + 1).is_some_and(|end| {
        lexed.is_keyword(end, "AS") && matches!(lexed.token(end + 1), Some(Token::LParen))
    })
}

/// May contain an unqualified call to a function that satisfies `is_known`; no false negatives.
pub fn may_call_bare(sql: &[u8], is_known: impl Fn(&str) -> bool) -> bool {
    memchr::memchr_iter(b'(', sql).any(|open| {
        let head = sql.get(..open).unwrap_or_default();
        let before = trim_space_end(head);
        let gap = head.get(before.len()..).unwrap_or_default();
        if before.ends_with(b"*/") || (gap.contains(&b'\n') && ends_in_line_comment(before)) {
            return true;
        }
        let is_quote = |byte: &u8| matches!(byte, b'`' | b'"');
        let name = match before.split_last() {
            Some((quote, quoted)) if is_quote(quote) => quoted
                .rsplit(|byte| byte == quote)
                .next()
                .unwrap_or_default(),
            _ => last_word(before),
        };
        std::str::from_utf8(name).is_ok_and(&is_known)
    })
}

fn last_word(sql: &[u8]) -> &[u8] {
    let start = sql.iter().rposition(|&byte| !is_word(byte));
    sql.get(start.map_or(0, |at| at + 1)..).unwrap_or_default()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// Whether executing or preparing a text may make `schema` the session's current database. No
/// false negatives.
pub fn may_use(sql: &[u8], schema: &str) -> bool {
    let sql = trim_space_start(sql);
    let begins = |word: &str| {
        let head = sql.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    };
    if begins("PREPARE") || begins("EXECUTE") {
        return true; // the text may come from a variable
    }
    let stands_later = ["/*", "--", "#", "SET"].iter().any(|head| begins(head));
    let may_stand = begins("USE") || stands_later || memchr::memchr(b';', sql).is_some();
    may_stand && names_after_use(sql, schema.as_bytes())
}

fn names_after_use(sql: &[u8], schema: &[u8]) -> bool {
    memchr::memchr2_iter(b'u', b'U', sql).any(|at| {
        let rest = sql.get(at..).unwrap_or_default();
        let Some(([_, b'S' | b's', b'E' | b'e'], rest)) = rest.split_at_checked(3) else {
            return false;
        };
        let space = |byte: &u8| is_space(byte) || matches!(byte, b'`' | b'"');
        let from = rest.iter().position(|byte| !space(byte));
        let name = rest.get(from.unwrap_or(rest.len())..).unwrap_or_default();
        let is_named = name
            .get(..schema.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(schema))
            && name.get(schema.len()).is_none_or(|&byte| !is_word(byte));
        let comments = [&b"/*"[..], b"--", b"#"];
        is_named || comments.iter().any(|comment| name.starts_with(comment))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> bool {
        ["predict", "animals"].contains(&name.to_ascii_lowercase().as_str())
    }

    fn heads(text: &str) -> Vec<String> {
        let seen = may_call_bare(text.as_bytes(), known);
        let calls = bare_calls(text, LexMode::default(), known);
        assert!(seen || calls.is_empty(), "the prefilter misses {text}");
        calls.into_iter().map(|call| call.head).collect()
    }

    #[test]
    fn calls_are_seen_in_every_spelling() {
        for (text, expected) in [
            ("SELECT animals(x)", &["animals("][..]),
            (
                "SELECT `Animals` (x), ANIMALS\n(x)",
                &["`Animals` (", "ANIMALS\n("],
            ),
            ("SELECT predict/* c */('animals', x)", &["predict/* c */("]),
            ("SELECT animals -- c\n(x)", &["animals -- c\n("]),
            (
                "SELECT 1 FROM a JOIN b ON animals(a.x) = b.k",
                &["animals("],
            ),
            (
                "SELECT 1 FROM a USE INDEX (i) JOIN b ON animals(a.x) = b.k",
                &["animals("],
            ),
            ("SELECT animals(x), (animals(y))", &["animals("]),
        ] {
            assert_eq!(heads(text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_so_is_none() {
        for text in [
            "SELECT shop.animals(x), 'animals(x)' -- animals(x)",
            "INSERT INTO animals (x) VALUES (1)",
            "WITH a AS (SELECT 1), animals (x) AS (SELECT 2) SELECT x FROM animals",
            "CREATE INDEX i ON animals (x)",
            "CALL animals(1)",
            "SELECT animals, COUNT(*) FROM animals",
        ] {
            assert!(heads(text).is_empty(), "{text}");
            assert!(!has_bare_call(text, known), "{text}");
        }
        assert!(has_bare_call("SELECT \"animals\"(x)", known));
    }

    #[test]
    fn whatever_may_choose_the_database_is_seen() {
        for text in [
            "USE ml",
            " use `ML`;",
            "\x0bUSE\x0bml",
            "SELECT 1; USE\nml; SELECT 2",
            "/* c */ use ml",
            "USE/**/ml",
            "USE -- c\n ml",
            "SET STATEMENT max_statement_time=1 FOR USE ml",
            "PREPARE s FROM @t",
        ] {
            assert!(may_use(text.as_bytes(), "ml"), "{text}");
        }
        for text in [
            "USE shop",
            "USE mlx",
            "SELECT ml FROM t USE INDEX (ml)",
            "INSERT INTO t VALUES ('use; it')",
            "SET NAMES utf8mb4",
        ] {
            assert!(!may_use(text.as_bytes(), "ml"), "{text}");
        }
    }
}
