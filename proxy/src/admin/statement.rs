//! The statements that the admin endpoint understands.

/// One statement.
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
    /// `KILL SESSION n`: the store's id of the connection.
    KillSession(u32),
    /// A greeting of a client's: `SELECT @@name [LIMIT 1]`, with the column's name as written.
    Variable(String),
    /// `SET ...`: clients set what they like, and nothing of it matters here.
    Set,
}

/// What is understood, for the error about anything else.
pub const UNDERSTOOD: &str = "this is PredictSQL's admin endpoint, which understands SHOW SESSIONS, SHOW QUERIES, \
     SHOW METRICS, SHOW CONFIG and KILL SESSION n; SQL goes to the address that --listen names";

impl Statement {
    /// Reads a statement; `None` for what is not understood.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches(';');
        let words: Vec<&str> = text.split_whitespace().collect();
        let is = |at: usize, word: &str| {
            let found = words.get(at);
            found.is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        match words.as_slice() {
            [_, _] if is(0, "SHOW") => match () {
                () if is(1, "SESSIONS") => Some(Self::ShowSessions),
                () if is(1, "QUERIES") => Some(Self::ShowQueries),
                () if is(1, "METRICS") => Some(Self::ShowMetrics),
                () if is(1, "CONFIG") => Some(Self::ShowConfig),
                () => None,
            },
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
