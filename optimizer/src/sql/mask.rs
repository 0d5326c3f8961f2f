//! Statements for operators' logs: literals masked, comments removed.

use super::text::{LexMode, Lexed};

/// The statement with every literal replaced by `?`, and comments and white space by single
/// spaces. A text that is not lexically SQL is hidden completely.
pub fn mask_literals(text: &str, mode: LexMode) -> String {
    let Some(lexed) = Lexed::new(text, mode) else {
        return "(not readable as SQL)".to_owned();
    };
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for lexeme in &lexed.lexemes {
        if lexeme.range.start > end && !masked.is_empty() {
            masked.push(' ');
        }
        end = lexeme.range.end;
        let written = text.get(lexeme.range.clone()).unwrap_or_default();
        masked.push_str(if is_shown(written, mode) {
            written
        } else {
            "?"
        });
    }
    masked
}

/// Names and punctuation are shown; anything else is treated as a literal.
fn is_shown(written: &str, mode: LexMode) -> bool {
    let Some(first) = written.chars().next() else {
        return false;
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@');
    match first {
        '`' => true,
        '"' => mode.ansi_quotes,
        '\'' => false,
        c if c.is_ascii_digit() => false,
        c if is_name(c) => written.chars().all(is_name),
        // `.5` is a number.
        _ => written
            .chars()
            .all(|c| c.is_ascii_punctuation() && !matches!(c, '\'' | '"')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        mask_literals(text, LexMode::from_sql_mode(""))
    }

    #[test]
    fn literals_of_every_kind_are_masked() {
        assert_eq!(
            masked(
                "SELECT ml.predict('t', p), \"s\", 1, -2.5e3, .5, 0x41, x'41', b'01', N'n', _utf8'u' FROM `a b`"
            ),
            "SELECT ml.predict(?, p), ?, ?, -?, ?, ?, ?, ?, ?, _utf8? FROM `a b`"
        );
    }

    #[test]
    fn comments_go_with_what_they_say() {
        assert_eq!(
            masked(
                "SELECT /* secret 's' */ a -- it's\n  , b # x\nFROM\tt WHERE c='it''s' AND d = @v"
            ),
            "SELECT a , b FROM t WHERE c=? AND d = @v"
        );
    }

    #[test]
    fn double_quotes_are_names_where_the_mode_says_so() {
        let mode = LexMode::from_sql_mode("ANSI_QUOTES");
        assert_eq!(
            mask_literals("SELECT \"a\" = 'b'", mode),
            "SELECT \"a\" = ?"
        );
    }

    #[test]
    fn what_is_not_sql_shows_nothing() {
        assert!(!masked("SELECT 'open secret").contains("secret"));
    }
}
