//! ROW_COUNT() and other values that a statement reads of the previous one. The proxy runs its own
//! statements in between on the same connection, so the values are written into the text.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use crate::sql::LexMode;
use crate::sql::blocks::Blocks;
use crate::sql::fragment::{Fragment, Splice, quote_name, splice};
use crate::sql::select_list;
use crate::sql::text::Lexed;

/// Longest expression that names its own column, in characters: the store's limit on aliases.
const NAME_CHARS_MAX: usize = 256;

/// Values that a statement leaves for the next one; `None` where the store has the right value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastStatement {
    /// `ROW_COUNT()`
    pub row_count: Option<i64>,
    /// `FOUND_ROWS()`
    pub found_rows: Option<u64>,
    /// `@@warning_count`
    pub warnings: Option<u64>,
    /// `@@error_count`
    pub errors: Option<u64>,
}

/// Whether a text may read any of these values; no false negatives.
pub fn may_read_last_statement(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [
        b"ROW_COUNT",
        b"FOUND_ROWS",
        b"WARNING_COUNT",
        b"ERROR_COUNT",
    ];
    // All names have an underscore, and few statements contain many underscores.
    memchr::memchr_iter(b'_', text).any(|at| {
        NAMES.iter().any(|name| {
            let before = name.iter().position(|&b| b == b'_').unwrap_or(0);
            let start = at.checked_sub(before);
            let found = start.and_then(|start| text.get(start..start + name.len()));
            found.is_some_and(|found| found.eq_ignore_ascii_case(name))
        })
    })
}

/// First words of statements that may read no table.
const READING: [&str; 5] = ["SELECT", "WITH", "VALUES", "SET", "DO"];

/// Whether a statement makes the store clear the warnings of the previous one. A query, SET or DO
/// does if it reads a table (MariaDB 10.11); of other statements it is assumed. `FROM` within
/// EXTRACT or TRIM is not a FROM clause.
pub fn forgets_warnings(text: &str, mode: LexMode) -> bool {
    // A long INSERT is not cut into tokens to find out.
    let first = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '(');
    let word = first.split(|c: char| !c.is_ascii_alphabetic()).next();
    let is_other = |word: &str| {
        !word.is_empty() && !READING.iter().any(|known| word.eq_ignore_ascii_case(known))
    };
    word.is_some_and(is_other) || Lexed::new(text, mode).is_none_or(|lexed| forgets(&lexed))
}

fn forgets(lexed: &Lexed<'_>) -> bool {
    let all = 0..lexed.lexemes.len();
    let is = |at: usize, word: &str| lexed.is_keyword(at, word);
    let mut body = all.clone();
    if is(0, "SET") && is(1, "STATEMENT") {
        let head = lexed
            .outside_parentheses(all.clone())
            .find(|at| is(*at, "FOR"));
        body.start = head.map_or(all.end, |at| at + 1);
    }
    let open = |at: &usize| matches!(lexed.token(*at), Some(Token::LParen));
    let first = body.clone().find(|at| !open(at)).unwrap_or(all.end);
    if !READING.iter().any(|word| is(first, word)) {
        return true;
    }
    // A sequence is a table.
    let sequence = |at: usize| {
        let function = ["NEXTVAL", "LASTVAL", "SETVAL"].iter().any(|w| is(at, w));
        function || ((is(at, "NEXT") || is(at, "PREVIOUS")) && is(at + 1, "VALUE"))
    };
    let dual = |from: &Range<usize>| from.len() == 1 && is(from.start, "DUAL");
    let blocks = Blocks::cut(lexed, body.clone()).blocks;
    blocks.iter().any(|b| !b.from.is_empty() && !dual(&b.from)) || body.clone().any(sequence)
}

impl LastStatement {
    /// The text with these values written in; elements of its select list keep their names. If the
    /// statement reads tables, the warning counts are 0, since the store clears warnings first.
    /// `None`: it reads none of the values known here.
    pub fn written_into(&self, text: &str, mode: LexMode) -> Option<String> {
        if !may_read_last_statement(text.as_bytes()) {
            return None;
        }
        let lexed = Lexed::new(text, mode)?;
        let all = 0..lexed.lexemes.len();
        let mut last = *self;
        if forgets(&lexed) {
            last.warnings = last.warnings.map(|_| 0);
            last.errors = last.errors.map(|_| 0);
        }
        let mut splices: Vec<Splice> = Vec::new();
        for at in all.clone() {
            splices.extend(last.reading(&lexed, at));
        }
        if splices.is_empty() {
            return None;
        }
        let names: Vec<Splice> = elements(&lexed)
            .into_iter()
            .filter(|element| splices.iter().any(|(r, _)| element.contains(&r.start)))
            .filter_map(|element| name(&lexed, &element))
            .collect();
        splices.extend(names);
        splices.sort_by_key(|(range, _)| (range.start, range.end));
        Some(splice(&lexed, all, &splices).sql)
    }

    /// Replacement of the function or variable at `at`. The original stays as a second operand, so
    /// that the expression keeps its type.
    fn reading(&self, lexed: &Lexed<'_>, at: usize) -> Option<Splice> {
        let Some(Token::Word(word)) = lexed.token(at) else {
            return None;
        };
        let name = word.value.to_ascii_uppercase();
        let called = word.quote_style.is_none()
            && matches!(lexed.token(at + 1), Some(Token::LParen))
            && matches!(lexed.token(at + 2), Some(Token::RParen))
            && !is_period(lexed, at.wrapping_sub(1));
        let value = match name.as_str() {
            "ROW_COUNT" if called => self.row_count?.to_string(),
            "FOUND_ROWS" if called => self.found_rows?.to_string(),
            _ => return self.variable(lexed, at, &name),
        };
        let text = format!("IFNULL({value}, {name}())");
        Some((at..at + 3, Fragment::plain(text)))
    }

    /// `@@warning_count` and `@@session.warning_count`
    fn variable(&self, lexed: &Lexed<'_>, at: usize, name: &str) -> Option<Splice> {
        let of_session = ["@@SESSION", "@@LOCAL"].contains(&name) && is_period(lexed, at + 1);
        let end = if of_session { at + 3 } else { at + 1 };
        let name = match lexed.token(end - 1) {
            Some(Token::Word(word)) if of_session => format!("@@{}", word.value.to_uppercase()),
            _ => name.to_owned(),
        };
        let value = match name.as_str() {
            "@@WARNING_COUNT" => self.warnings?,
            "@@ERROR_COUNT" => self.errors?,
            _ => return None,
        };
        let text = format!("({value} | 0 * {})", name.to_lowercase());
        Some((at..end, Fragment::plain(text)))
    }
}

fn is_period(lexed: &Lexed<'_>, at: usize) -> bool {
    matches!(lexed.token(at), Some(Token::Period))
}

/// The elements of the outermost select list.
fn elements(lexed: &Lexed<'_>) -> Vec<Range<usize>> {
    const ENDS: [&str; 12] = [
        "FROM",
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "INTO",
        "FOR",
        "LOCK",
        "UNION",
        "EXCEPT",
        "INTERSECT",
    ];
    let all = 0..lexed.lexemes.len();
    if !lexed.is_keyword(0, "SELECT") {
        return Vec::new();
    }
    let ends = |at: &usize| {
        ENDS.iter().any(|word| lexed.is_keyword(*at, word))
            || matches!(lexed.token(*at), Some(Token::SemiColon))
    };
    let end = lexed.outside_parentheses(all.clone()).find(ends);
    select_list::elements(lexed, 1..end.unwrap_or(all.end))
}

/// Gives an element its own text as alias, if it has no name.
fn name(lexed: &Lexed<'_>, element: &Range<usize>) -> Option<Splice> {
    let text = lexed.text_of(element);
    let unnamed = select_list::is_unnamed(lexed, element).unwrap_or(false);
    (unnamed && text.chars().count() <= NAME_CHARS_MAX).then(|| {
        let alias = Fragment::plain(format!(" AS {}", quote_name(text)));
        (element.end..element.end, alias)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        let last = LastStatement {
            row_count: Some(-1),
            found_rows: Some(7),
            warnings: Some(2),
            errors: None,
        };
        last.written_into(text, LexMode::default())
    }

    #[test]
    fn what_is_read_is_written_in_under_its_name() {
        assert_eq!(
            written("SELECT ROW_COUNT(), found_rows ( )+1 x, @@Session.warning_count FROM t")
                .as_deref(),
            Some(
                "SELECT IFNULL(-1, ROW_COUNT()) AS `ROW_COUNT()`, IFNULL(7, FOUND_ROWS())+1 x, \
                 (0 | 0 * @@warning_count)  AS `@@Session.warning_count` FROM t"
            )
        );
        assert_eq!(
            written("SET @n = FOUND_ROWS()").as_deref(),
            Some("SET @n = IFNULL(7, FOUND_ROWS())")
        );
    }

    #[test]
    fn warnings_are_forgotten_where_a_table_is_read() {
        for (text, forgets) in [
            ("SELECT @@warning_count", false),
            ("(SELECT 'x FROM y')", false),
            (
                "SELECT TRIM('a' FROM 'abc'), EXTRACT(DAY FROM '2020-01-01') FROM DUAL",
                false,
            ),
            ("SELECT /* FROM t */ 1 UNION VALUES (2)", false),
            ("SET @x = @@warning_count", false),
            ("DO 1", false),
            ("SELECT(1)FROM`t`", true),
            ("SELECT 1 + (SELECT MAX(a) FROM t)", true),
            ("WITH c AS (SELECT 1 FROM t) SELECT 1", true),
            ("SET @x = (SELECT MAX(a) FROM t)", true),
            ("UPDATE t SET a = @@warning_count", true),
            (
                "SET STATEMENT max_statement_time = 9 FOR SELECT @@warning_count",
                false,
            ),
            (
                "SET STATEMENT max_statement_time = 9 FOR UPDATE t SET a = 1",
                true,
            ),
            ("SELECT NEXTVAL(s)", true),
            ("SELECT NEXT VALUE FOR s", true),
            ("SHOW TABLES", true),
            ("SELECT 'open", true),
        ] {
            assert_eq!(
                forgets_warnings(text, LexMode::default()),
                forgets,
                "{text}"
            );
        }
    }

    #[test]
    fn all_else_is_left_alone() {
        for text in [
            "SELECT 1",
            "SELECT 'ROW_COUNT()', row_count, `FOUND_ROWS`",
            "SELECT @@error_count",
            "SELECT s.FOUND_ROWS(), ROW_COUNT(1)",
            "SELECT @warning_count",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }
}
