//! Statements supported by the admin endpoint.

use predictsql_optimizer::ddl::parse_listing;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `SHOW SESSIONS`
    ShowSessions,
    /// `SHOW QUERIES`
    ShowQueries,
    /// `SHOW METRICS`
    ShowMetrics,
    /// `SHOW CONFIG`
    ShowConfig,
    /// `KILL SESSION n`: the store's connection id.
    KillSession(u32),
    /// A query that clients send when they connect: `SELECT @@name [LIMIT 1]`, with the column's
    /// name as written.
    Variable(String),
    /// `SET ...`: accepted and ignored.
    Set,
}

/// The supported statements, for the error message.
pub const UNDERSTOOD: &str = "this is PredictSQL's admin endpoint, which understands SHOW SESSIONS, SHOW QUERIES, \
     SHOW METRICS, SHOW CONFIG and KILL SESSION n; SQL goes to the address that --listen names";

impl Statement {
    /// Parses a statement; `None` if it is not supported.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches(';');
        Self::show(text).or_else(|| Self::other(text))
    }

    /// A SHOW, parsed by the catalog's grammar; row filters are not supported here.
    fn show(text: &str) -> Option<Self> {
        let lists = [
            ("SESSIONS", Self::ShowSessions),
            ("QUERIES", Self::ShowQueries),
            ("METRICS", Self::ShowMetrics),
            ("CONFIG", Self::ShowConfig),
        ];
        let (show, filter) = parse_listing(text, &lists).ok()?;
        filter.is_none().then_some(show)
    }

    /// Statements that client libraries send by themselves, and KILL.
    fn other(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is = |at: usize, word: &str| {
            let found = words.get(at);
            found.is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        match words.as_slice() {
            [_, _, id] if is(0, "KILL") && is(1, "SESSION") => {
                id.parse().ok().map(Self::KillSession)
            }
            [_, variable] | [_, variable, _, "1"] if is(0, "SELECT") => {
                let whole = words.len() == 2 || is(2, "LIMIT");
                (whole && is_variable(variable)).then(|| Self::Variable((*variable).to_owned()))
            }
            [_, _, ..] if is(0, "SET") => Some(Self::Set),
            _ => None,
        }
    }
}

fn is_variable(word: &str) -> bool {
    let name = word.strip_prefix("@@");
    name.is_some_and(|name| {
        let mut chars = name.chars();
        !name.is_empty() && chars.all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_read_in_any_case_and_spacing() {
        let read = Statement::parse;
        assert_eq!(read(" show\tSessions ; "), Some(Statement::ShowSessions));
        assert_eq!(read("SHOW QUERIES"), Some(Statement::ShowQueries));
        assert_eq!(read("SHOW METRICS"), Some(Statement::ShowMetrics));
        assert_eq!(read("SHOW CONFIG"), Some(Statement::ShowConfig));
        let commented = "/* all */ show -- them\n config;";
        assert_eq!(read(commented), Some(Statement::ShowConfig));
        assert_eq!(read("kill session 12"), Some(Statement::KillSession(12)));
        assert_eq!(read("SET NAMES utf8mb4"), Some(Statement::Set));
        let variable = Statement::Variable("@@version_comment".to_owned());
        assert_eq!(read("select @@version_comment limit 1"), Some(variable));
    }

    #[test]
    fn anything_else_is_not_understood() {
        for text in [
            "",
            ";",
            "SHOW",
            "SHOW TABLES",
            "SHOW SESSIONS; SHOW CONFIG",
            "SHOW CONFIG LIKE 'a%'",
            "KILL 1",
            "KILL SESSION",
            "KILL SESSION -1",
            "KILL SESSION 99999999999",
            "SELECT 1",
            "SELECT @@a OFFSET 1",
            "SELECT @@",
            "SELECT @@a,@@b",
        ] {
            assert_eq!(Statement::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,60}") {
            let _ = Statement::parse(&text);
        }
    }
}
