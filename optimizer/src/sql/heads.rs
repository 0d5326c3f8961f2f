//! Statements that wrap another statement: `SET STATEMENT ... FOR`, `PREPARE`, `EXECUTE`.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::text::{LexMode, Lexed};

/// Splits `SET STATEMENT a = b FOR rest` into the text before `rest`, and `rest`.
pub fn statement_settings(text: &str, mode: LexMode) -> Option<(&str, &str)> {
    let lexed = Lexed::new(text, mode)?;
    if !(lexed.is_keyword(0, "SET") && lexed.is_keyword(1, "STATEMENT")) {
        return None;
    }
    let all = 0..lexed.lexemes.len();
    let mut words = lexed.outside_parentheses(all.clone());
    let rest = words.find(|at| lexed.is_keyword(*at, "FOR"))? + 1;
    let is_parameter = |at: usize| matches!(lexed.token(at), Some(Token::Placeholder(_)));
    let is_plain = rest < all.end && !(0..rest).any(is_parameter);
    is_plain.then(|| (lexed.text_of(&(0..rest)), lexed.text_of(&(rest..all.end))))
}

/// A statement on SQL-level prepared statements. Expressions are kept as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedStatement {
    /// `PREPARE name FROM text`
    Prepare {
        /// Lower case.
        name: String,
        /// Expression for the text.
        text: String,
    },
    /// `EXECUTE name USING values`
    Execute {
        /// Lower case.
        name: String,
        /// Expressions for the parameters.
        values: Vec<String>,
    },
    /// `EXECUTE IMMEDIATE text USING values`
    Immediate {
        /// Expression for the text.
        text: String,
        /// Expressions for the parameters.
        values: Vec<String>,
    },
    /// `DEALLOCATE PREPARE name`, `DROP PREPARE name`
    Deallocate {
        /// Lower case.
        name: String,
    },
}

impl NamedStatement {
    /// Parses a statement; `None` for any other.
    pub fn read(text: &str, mode: LexMode) -> Option<Self> {
        let lexed = Lexed::new(text, mode)?;
        let mut end = lexed.lexemes.len();
        while end > 0 && matches!(lexed.token(end - 1), Some(Token::SemiColon)) {
            end -= 1;
        }
        let is = |at: usize, word: &str| lexed.is_keyword(at, word);
        let name = |at: usize| Some(lexed.name(at)?.to_lowercase());
        let written = |range: Range<usize>| {
            let text = lexed.text_of(&range).to_owned();
            (!range.is_empty()).then_some(text)
        };
        if is(0, "PREPARE") && is(2, "FROM") {
            return Some(Self::Prepare {
                name: name(1)?,
                text: written(3..end)?,
            });
        }
        if (is(0, "DEALLOCATE") || is(0, "DROP")) && is(1, "PREPARE") && end == 3 {
            return Some(Self::Deallocate { name: name(2)? });
        }
        if !is(0, "EXECUTE") {
            return None;
        }
        let using = lexed
            .outside_parentheses(0..end)
            .find(|at| is(*at, "USING"));
        let values = match using {
            Some(using) => lexed.split_commas(using + 1..end),
            None => Vec::new(),
        };
        let values = values.into_iter().map(written).collect::<Option<_>>()?;
        let head = using.unwrap_or(end);
        match is(1, "IMMEDIATE") {
            true => Some(Self::Immediate {
                text: written(2..head)?,
                values,
            }),
            false => (head == 2).then_some(Self::Execute {
                name: name(1)?,
                values,
            }),
        }
    }
}

/// A statement with its parameters replaced by values; `None` if the counts differ.
pub fn with_values(text: &str, mode: LexMode, values: &[String]) -> Option<String> {
    let lexed = Lexed::new(text, mode)?;
    let is_parameter = |l: &&super::text::Lexeme| matches!(l.token, Token::Placeholder(_));
    let places: Vec<_> = lexed.lexemes.iter().filter(is_parameter).collect();
    if places.len() != values.len() {
        return None;
    }
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for (place, value) in places.iter().zip(values) {
        out.push_str(text.get(end..place.range.start)?);
        out.push_str(value);
        end = place.range.end;
    }
    out.push_str(text.get(end..)?);
    Some(out)
}

/// Number of a statement's parameters; `None` if it is not lexically SQL.
pub fn parameter_count(text: &str, mode: LexMode) -> Option<usize> {
    let lexed = Lexed::new(text, mode)?;
    let places = lexed.lexemes.iter();
    Some(
        places
            .filter(|l| matches!(l.token, Token::Placeholder(_)))
            .count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: LexMode = LexMode {
        ansi_quotes: false,
        no_backslash_escapes: false,
        pipes_as_concat: false,
    };

    #[test]
    fn settings_of_one_statement_are_cut_off() {
        assert_eq!(
            statement_settings(
                "SET STATEMENT a = (SELECT 1 FOR UPDATE), b='FOR' FOR SELECT ?;",
                MODE
            ),
            Some((
                "SET STATEMENT a = (SELECT 1 FOR UPDATE), b='FOR' FOR",
                "SELECT ?;"
            ))
        );
        for other in [
            "SET a = 1",
            "SET STATEMENT a = ? FOR SELECT 1",
            "SET STATEMENT a = 1",
        ] {
            assert_eq!(statement_settings(other, MODE), None, "{other}");
        }
    }

    #[test]
    fn statements_about_statements_are_read() {
        let text = |s: &str| s.to_owned();
        for (sql, expected) in [
            (
                "PREPARE `S` FROM CONCAT('a', @b);",
                NamedStatement::Prepare {
                    name: text("s"),
                    text: text("CONCAT('a', @b)"),
                },
            ),
            (
                "execute s using @a, f(1, 2)",
                NamedStatement::Execute {
                    name: text("s"),
                    values: vec![text("@a"), text("f(1, 2)")],
                },
            ),
            (
                "EXECUTE IMMEDIATE 'SELECT ?' USING 5",
                NamedStatement::Immediate {
                    text: text("'SELECT ?'"),
                    values: vec![text("5")],
                },
            ),
            (
                "DROP PREPARE s",
                NamedStatement::Deallocate { name: text("s") },
            ),
        ] {
            assert_eq!(NamedStatement::read(sql, MODE), Some(expected), "{sql}");
        }
        for other in ["EXECUTE", "PREPARE s", "DROP TABLE s", "SELECT 1"] {
            assert_eq!(NamedStatement::read(other, MODE), None, "{other}");
        }
    }

    #[test]
    fn values_stand_in_place_of_parameters() {
        let values = ["5".to_owned(), "'?'".to_owned()];
        let text = "SELECT ?, '?' /* ? */ FROM t WHERE a = ? -- ?";
        let expected = "SELECT 5, '?' /* ? */ FROM t WHERE a = '?' -- ?";
        assert_eq!(with_values(text, MODE, &values).as_deref(), Some(expected));
        assert_eq!(with_values(text, MODE, &values[..1]), None);
    }
}
