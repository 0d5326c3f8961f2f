//! Fast prefilter for every statement: may it contain predict calls?

use sqlparser::tokenizer::Token;

use super::text::{LexMode, Lexed};

/// Whether `sql` may call a function of `schema`: it contains the schema's name followed by a dot.
/// No false negatives; check a positive result with [`has_schema_call`].
///
/// Searches for dots, since plain statements have few of them.
pub fn may_call(sql: &[u8], schema: &str) -> bool {
    memchr::memchr_iter(b'.', sql).any(|dot| {
        let head = sql.get(..dot).unwrap_or_default();
        let before = trim_space_end(head);
        let gap = head.get(before.len()..).unwrap_or_default();
        if before.ends_with(b"*/") || (gap.contains(&b'\n') && ends_in_line_comment(before)) {
            return true;
        }
        let before = before
            .strip_suffix(b"`")
            .or_else(|| before.strip_suffix(b"\""))
            .unwrap_or(before);
        before.len() >= schema.len()
            && before
                .get(before.len() - schema.len()..)
                .is_some_and(|s| s.eq_ignore_ascii_case(schema.as_bytes()))
    })
}

/// Trims trailing white space as the store defines it: ASCII white space plus vertical tab.
pub(super) fn trim_space_end(sql: &[u8]) -> &[u8] {
    let end = sql.iter().rposition(|byte| !is_space(byte));
    sql.get(..end.map_or(0, |last| last + 1))
        .unwrap_or_default()
}

pub(super) fn trim_space_start(sql: &[u8]) -> &[u8] {
    let start = sql.iter().position(|byte| !is_space(byte));
    sql.get(start.unwrap_or(sql.len())..).unwrap_or_default()
}

/// Whether a byte is white space for the store.
pub(super) fn is_space(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || *byte == b'\x0b'
}

/// Whether the last line may end in a comment.
pub(super) fn ends_in_line_comment(sql: &[u8]) -> bool {
    let line = sql.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    line.contains(&b'#') || line.windows(2).any(|pair| pair == b"--")
}

/// Whether the tokens of `sql` contain `schema.name(`, outside strings and comments. Text that is
/// not lexically SQL contains none: the store reports its error.
pub fn has_schema_call(sql: &str, schema: &str) -> bool {
    // The session's sql_mode is unknown here: a backslash may or may not escape a quote.
    [false, true].into_iter().any(|no_backslash_escapes| {
        let mode = LexMode {
            no_backslash_escapes,
            ..LexMode::default()
        };
        Lexed::new(sql, mode).is_some_and(|lexed| holds_schema_call(&lexed, schema))
    })
}

fn holds_schema_call(lexed: &Lexed<'_>, schema: &str) -> bool {
    lexed.lexemes.windows(4).any(|w| match w {
        [a, dot, name, open] => {
            is_name(&a.token, schema)
                && matches!(dot.token, Token::Period)
                && matches!(name.token, Token::Word(_) | Token::DoubleQuotedString(_))
                && matches!(open.token, Token::LParen)
        }
        _ => false,
    })
}

/// Whether a token is the name `name`; under ANSI_QUOTES a double-quoted string may be a name.
fn is_name(token: &Token, name: &str) -> bool {
    match token {
        Token::Word(w) => w.value.eq_ignore_ascii_case(name),
        Token::DoubleQuotedString(s) => s.eq_ignore_ascii_case(name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_seen_in_every_spelling() {
        for sql in [
            "SELECT ml.predict('a', x) FROM t",
            "SELECT ML . `animals` (x)",
            "SELECT `ml`.animals(x)",
            "SELECT ml/* c */.predict('a', x)",
            "SELECT ml\x0b.predict('a', x)",
            "SELECT ml -- c\n.predict('a', x)",
            "SELECT ml # c \n .predict('a', x)",
            "SELECT \"ml\".\"animals\"(x)",
            r"SELECT '\', ml.animals(x)",
            r"SELECT '\', ml.animals(x), '\'",
        ] {
            assert!(
                may_call(sql.as_bytes(), "ml") && has_schema_call(sql, "ml"),
                "{sql}"
            );
        }
    }

    #[test]
    fn others_are_not() {
        for sql in [
            "SELECT 'ml.predict(1)'",
            "SELECT app.predict(x), t.ml FROM t -- ml.predict(",
            "SELECT 1.5",
            "SELECT * FROM ml.tasks",
        ] {
            assert!(
                !(may_call(sql.as_bytes(), "ml") && has_schema_call(sql, "ml")),
                "{sql}"
            );
        }
        assert!(!may_call(b"SELECT c FROM sbtest1 WHERE id=1", "ml"));
    }
}
