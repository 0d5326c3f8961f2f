//! SQL text built from pieces of the client's text. Each piece records which of the statement's
//! parameters it contains, so that a rewritten statement is executed with the right ones.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::text::Lexed;

/// SQL text and, for each `?` in it, the index (from 0) of the client's parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The text.
    pub sql: String,
    /// Index of the client's parameter for each placeholder, in order of appearance.
    pub parameters: Vec<usize>,
}

impl Fragment {
    /// Text without placeholders.
    pub(crate) fn plain(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            parameters: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    /// Adds a space if the text and `next` would otherwise form one word.
    fn keep_apart(&mut self, next: &str) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        if self.sql.ends_with(is_word) && next.starts_with(is_word) {
            self.sql.push(' ');
        }
    }

    pub(crate) fn push_fragment(&mut self, other: &Fragment) -> &mut Self {
        self.sql.push_str(&other.sql);
        self.parameters.extend_from_slice(&other.parameters);
        self
    }
}

/// A range of lexemes and its replacement.
pub(crate) type Splice = (Range<usize>, Fragment);

/// Copies the text of `range` (lexemes), including white space and comments, with each splice (in
/// order, not overlapping) in place of its range. Words that were separated by a parenthesis stay
/// separate: `ON(a = b)` with `1` in place of its condition becomes `ON 1`.
pub(crate) fn splice(source: &Lexed<'_>, range: Range<usize>, splices: &[Splice]) -> Fragment {
    let mut out = Fragment::default();
    let mut at = range.start;
    for (replaced, with) in splices
        .iter()
        .filter(|(r, _)| r.start >= range.start && r.end <= range.end)
    {
        copy(source, at..replaced.start, &mut out);
        if replaced.start > at {
            out.push(gap(source, replaced.start - 1, replaced.start));
        }
        if !with.sql.is_empty() {
            out.keep_apart(&with.sql);
        }
        out.push_fragment(with);
        if replaced.end < range.end {
            out.push(gap(source, replaced.end - 1, replaced.end));
            out.keep_apart(source.text_of(&(replaced.end..replaced.end + 1)));
        }
        at = replaced.end;
    }
    copy(source, at..range.end, &mut out);
    out
}

fn copy(source: &Lexed<'_>, range: Range<usize>, out: &mut Fragment) {
    if range.is_empty() {
        return;
    }
    out.push(source.text_of(&range));
    let before = source
        .lexemes
        .iter()
        .take(range.start)
        .filter(|l| is_placeholder(&l.token))
        .count();
    let within = source
        .lexemes
        .get(range)
        .unwrap_or_default()
        .iter()
        .filter(|l| is_placeholder(&l.token))
        .count();
    out.parameters.extend(before..before + within);
}

/// White space and comments between two neighbouring lexemes.
fn gap<'a>(source: &Lexed<'a>, left: usize, right: usize) -> &'a str {
    match (source.lexemes.get(left), source.lexemes.get(right)) {
        (Some(l), Some(r)) => source.text.get(l.range.end..r.range.start).unwrap_or(" "),
        _ => " ",
    }
}

fn is_placeholder(token: &Token) -> bool {
    matches!(token, Token::Placeholder(_))
}

/// A string as a utf8mb4 literal with the same meaning under every `sql_mode`. All strings in
/// generated SQL are quoted by this function.
pub fn quote_string(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | '-' | '_' | '.');
    if value.chars().all(plain) {
        return format!("_utf8mb4'{value}'");
    }
    format!("_utf8mb4 X'{}'", hex::encode_upper(value))
}

/// A name in backquotes.
pub fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::text::LexMode;

    #[test]
    fn splices_keep_gaps_and_count_parameters() {
        let text = "SELECT ? , f( ?,x )/*c*/ + ? FROM t";
        let lexed = Lexed::new(text, LexMode::default()).expect("lexes");
        let call = lexed
            .lexemes
            .iter()
            .position(|l| &text[l.range.clone()] == "f")
            .expect("there");
        let end = lexed.after_closing(call + 1).expect("closed");
        let all = splice(
            &lexed,
            0..lexed.lexemes.len(),
            &[(call..end, Fragment::plain("NULL"))],
        );
        assert_eq!(all.sql, "SELECT ? , NULL/*c*/ + ? FROM t");
        assert_eq!(all.parameters, [0, 2]);
        let none = splice(&lexed, 0..lexed.lexemes.len(), &[]);
        assert_eq!((none.sql.as_str(), none.parameters), (text, vec![0, 1, 2]));
    }

    #[test]
    fn words_stay_apart_that_parentheses_kept_apart() {
        let text = "a join b on(a.x)where(y)and z";
        let lexed = Lexed::new(text, LexMode::default()).expect("lexes");
        let at = |wanted: &str| {
            let mut texts = lexed.lexemes.iter().map(|l| &text[l.range.clone()]);
            texts.position(|t| t == wanted).expect("there")
        };
        let (on, condition) = (at("on"), at("where"));
        let one = || Fragment::plain("1");
        let splices = [
            (on + 1..condition, one()),
            (condition + 1..condition + 4, one()),
        ];
        let all = splice(&lexed, 0..lexed.lexemes.len(), &splices);
        assert_eq!(all.sql, "a join b on 1 where 1 and z");
    }

    #[test]
    fn quoting_survives_any_mode() {
        assert_eq!(quote_string("T-shirt/top"), "_utf8mb4'T-shirt/top'");
        assert_eq!(quote_string(r"a'\"), r"_utf8mb4 X'61275C'");
        assert_eq!(quote_name("a`b"), "`a``b`");
    }
}
