//! Expressions that must be evaluated once: those with side effects, and those that vary.
//!
//! A statement of two passes evaluates parts of its text twice. What changes something would
//! change it twice, and what varies would give other rows in the second pass than in the first.

use sqlparser::tokenizer::Token;

use super::functions::{is_harmless, is_varying};
use super::text::Lexed;

/// Why an expression must be evaluated once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    /// Its name for the client.
    pub(crate) name: String,
    /// Whether it changes something; else it only varies.
    pub(crate) changes: bool,
}

/// Built-in functions with side effects.
const CHANGING: [&str; 10] = [
    "NEXTVAL",
    "SETVAL",
    "GET_LOCK",
    "RELEASE_LOCK",
    "RELEASE_ALL_LOCKS",
    "SLEEP",
    "BENCHMARK",
    "MASTER_POS_WAIT",
    "MASTER_GTID_WAIT",
    "LAST_INSERT_ID",
];

/// Words before a parenthesis that are no stored functions, besides those that are harmless
/// everywhere: functions over windows and groups, what reads the session, types, and syntax.
const KNOWN: &str = "
 AGAINST BIGINT BIT BLOB CHARACTER CUME_DIST DENSE_RANK DES_DECRYPT DES_ENCRYPT DUPLICATE ENCODE ENCRYPT END ENUM
 ESCAPE EXCEPT FETCH FILTER FIRST_VALUE FORCE FOUND_ROWS GROUP HAVING IGNORE INDEX INT INTERSECT IS_FREE_LOCK
 IS_USED_LOCK KEY LAG LAST_VALUE LATERAL LEAD LIMIT LOAD_FILE MATCH MEDIAN MINUS NCHAR NTH_VALUE NTILE NUMERIC
 OFFSET OLD_PASSWORD PARTITION PASSWORD PERCENTILE_CONT PERCENTILE_DISC PERCENT_RANK PRIMARY RANK RECURSIVE
 REFERENCES RETURNING ROWS ROW_COUNT ROW_NUMBER SET SIGNED SMALLINT STRAIGHT_JOIN TABLE TEXT TINYINT UNIQUE UNSIGNED
 UPDATE USE VALUE VARYING WINDOW WITH WITHIN ";

/// Prefixes of built-in functions.
const PREFIXES: [&str; 3] = ["ST_", "JSON_", "MBR"];

/// Words before the name of a table, which its columns may follow in parentheses.
const BEFORE_TABLES: [&str; 9] = [
    "INTO", "INSERT", "REPLACE", "IGNORE", "TABLE", "EXISTS", "AS", "INDEX", "KEY",
];

/// What lexeme `at` begins, if that must be evaluated once.
pub(crate) fn once(lexed: &Lexed<'_>, at: usize) -> Option<Once> {
    let word = match lexed.token(at)? {
        Token::Assignment => return found("an assignment to a user variable (:=)", true),
        Token::Word(word) => word,
        _ => return None,
    };
    let upper = word.value.to_ascii_uppercase();
    let is_plain = word.quote_style.is_none();
    let follows = |after: usize, word: &str| lexed.is_keyword(at + after, word);
    if is_plain && follows(1, "VALUE") && follows(2, "FOR") {
        match upper.as_str() {
            "NEXT" => return found("NEXT VALUE FOR", true),
            "PREVIOUS" => return found("PREVIOUS VALUE FOR", false),
            _ => {}
        }
    }
    let is_period = |at: usize| matches!(lexed.token(at), Some(Token::Period));
    let is_qualified = at > 0 && is_period(at - 1);
    if !matches!(lexed.token(at + 1), Some(Token::LParen)) {
        return match (is_qualified, upper.as_str()) {
            (true, "NEXTVAL") => found("NEXTVAL", true),
            (true, "CURRVAL") => found("CURRVAL", false),
            _ => None,
        };
    }
    let name = format!("{}()", word.value);
    if is_plain && !is_qualified {
        if CHANGING.contains(&upper.as_str()) {
            let reads_only =
                upper == "LAST_INSERT_ID" && matches!(lexed.token(at + 2), Some(Token::RParen));
            return (!reads_only).then_some(Once {
                name,
                changes: true,
            });
        }
        if is_varying(&upper) {
            return found(&name, false);
        }
        let is_known = is_harmless(&upper)
            || KNOWN.split_whitespace().any(|known| known == upper)
            || PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
        if is_known {
            return None;
        }
    }
    (!names_table(lexed, at)).then_some(Once {
        name,
        changes: true,
    })
}

/// Whether a name before a parenthesis is that of a table or of an element of WITH.
fn names_table(lexed: &Lexed<'_>, at: usize) -> bool {
    let mut first = at;
    while first > 1 && matches!(lexed.token(first - 1), Some(Token::Period)) {
        first -= 2;
    }
    let after_table = |before: usize| BEFORE_TABLES.iter().any(|w| lexed.is_keyword(before, w));
    let is_element = || {
        let end = lexed.after_closing(at + 1);
        end.is_some_and(|end| {
            lexed.is_keyword(end, "AS") && matches!(lexed.token(end + 1), Some(Token::LParen))
        })
    };
    first.checked_sub(1).is_some_and(after_table) || is_element()
}

fn found(name: &str, changes: bool) -> Option<Once> {
    let name = name.to_owned();
    Some(Once { name, changes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::text::LexMode;

    fn of(text: &str) -> Option<(String, bool)> {
        let lexed = Lexed::new(text, LexMode::default())?;
        let once = (0..lexed.lexemes.len()).find_map(|at| once(&lexed, at))?;
        Some((once.name, once.changes))
    }

    #[test]
    fn what_must_be_evaluated_once_is_named() {
        for (text, name, changes) in [
            ("SELECT NEXTVAL(s)", "NEXTVAL()", true),
            ("SELECT NEXT VALUE FOR s", "NEXT VALUE FOR", true),
            ("SELECT s.nextval", "NEXTVAL", true),
            ("SELECT LASTVAL(s)", "LASTVAL()", false),
            ("SELECT PREVIOUS VALUE FOR s", "PREVIOUS VALUE FOR", false),
            (
                "SELECT @n := @n + 1",
                "an assignment to a user variable (:=)",
                true,
            ),
            ("SELECT GET_LOCK('a', 0)", "GET_LOCK()", true),
            ("SELECT sleep(1)", "sleep()", true),
            ("SELECT rand(5)", "rand()", false),
            ("SELECT UUID()", "UUID()", false),
            ("SELECT LAST_INSERT_ID(id + 1)", "LAST_INSERT_ID()", true),
            ("SELECT my_function(a)", "my_function()", true),
            ("SELECT d.abs(a)", "abs()", true),
            ("SELECT `abs`(a)", "abs()", true),
        ] {
            assert_eq!(of(text), Some((name.to_owned(), changes)), "{text}");
        }
    }

    #[test]
    fn what_may_be_evaluated_twice_is_not() {
        for text in [
            "SELECT @n, LAST_INSERT_ID(), COUNT(*), ROW_NUMBER() OVER (ORDER BY a) FROM p USE INDEX (x)",
            "INSERT INTO d.t (id, a) VALUES (1, UPPER('x')) ON DUPLICATE KEY UPDATE a = VALUES(a)",
            "WITH a (x) AS (SELECT 1), b (y, z) AS (SELECT 2, 3) SELECT x IN (1, 2) FROM a JOIN b USING (x)",
            "SELECT next, value FROM nextval WHERE MATCH (a) AGAINST ('b') AND ST_X(c) > 1 LIMIT 3",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
