//! The warnings and errors of the last predict statement, as SHOW WARNINGS gives them.

use bytes::Bytes;

use super::result::{TextResult, text_column};
use crate::error::SqlError;

/// Warnings kept, as `max_error_count` has it by default; all are counted.
const KEPT_MAX: usize = 64;

/// Code of a warning about an input that could not be read: ER_WARN_DATA_OUT_OF_RANGE's
/// neighbour 1366, ER_TRUNCATED_WRONG_VALUE_FOR_FIELD.
pub const UNREADABLE_INPUT: u16 = 1366;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    level: &'static str,
    code: u16,
    message: String,
}

/// Diagnostics of one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    entries: Vec<Entry>,
    count: u64,
    errors: u64,
}

/// A statement that reads the diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowDiagnostics {
    /// SHOW WARNINGS
    Warnings,
    /// SHOW ERRORS
    Errors,
    /// SHOW COUNT(*) WARNINGS
    CountWarnings,
    /// SHOW COUNT(*) ERRORS
    CountErrors,
}

impl ShowDiagnostics {
    /// Recognises the statement, whatever its spacing; a LIMIT is not taken.
    pub fn recognise(sql: &[u8]) -> Option<Self> {
        let head = sql.trim_ascii_start().get(..4)?;
        if !head.eq_ignore_ascii_case(b"SHOW") || sql.len() > 64 {
            return None;
        }
        let text = std::str::from_utf8(sql).ok()?;
        let words: String = text
            .split_whitespace()
            .collect::<String>()
            .to_ascii_uppercase();
        Some(match words.trim_end_matches(';') {
            "SHOWWARNINGS" => Self::Warnings,
            "SHOWERRORS" => Self::Errors,
            "SHOWCOUNT(*)WARNINGS" => Self::CountWarnings,
            "SHOWCOUNT(*)ERRORS" => Self::CountErrors,
            _ => return None,
        })
    }
}

impl Diagnostics {
    /// Adds a warning.
    pub fn warn(&mut self, code: u16, message: impl FnOnce() -> String) {
        self.count += 1;
        if self.entries.len() < KEPT_MAX {
            self.entries.push(Entry {
                level: "Warning",
                code,
                message: message(),
            });
        }
    }

    /// Adds an entry that the store reported (`Note`, `Warning` or `Error`).
    pub fn add(&mut self, level: &str, code: u16, message: String) {
        let level = match level {
            "Note" => "Note",
            "Error" => "Error",
            _ => "Warning",
        };
        self.count += 1;
        if self.entries.len() < KEPT_MAX {
            self.entries.push(Entry {
                level,
                code,
                message,
            });
        }
    }

    /// The diagnostics of a statement that failed.
    pub fn of_error(error: &SqlError) -> Self {
        let entry = Entry {
            level: "Error",
            code: error.code,
            message: error.message.clone(),
        };
        Self {
            entries: vec![entry],
            count: 1,
            errors: 1,
        }
    }

    /// The warning count of the protocol.
    pub fn count(&self) -> u16 {
        u16::try_from(self.count).unwrap_or(u16::MAX)
    }

    /// The answer to a statement that reads them.
    pub fn show(&self, what: ShowDiagnostics) -> TextResult {
        let count = |name: &'static str, n: u64| TextResult {
            columns: vec![text_column(name, 21)],
            rows: vec![vec![Bytes::from(n.to_string())]],
        };
        match what {
            ShowDiagnostics::CountWarnings => count("@@session.warning_count", self.count),
            ShowDiagnostics::CountErrors => count("@@session.error_count", self.errors),
            ShowDiagnostics::Warnings => self.rows(|_| true),
            ShowDiagnostics::Errors => self.rows(|e| e.level == "Error"),
        }
    }

    fn rows(&self, wanted: impl Fn(&Entry) -> bool) -> TextResult {
        let row = |e: &Entry| {
            vec![
                Bytes::from_static(e.level.as_bytes()),
                Bytes::from(e.code.to_string()),
                Bytes::from(e.message.clone()),
            ]
        };
        TextResult {
            columns: vec![
                text_column("Level", 7),
                text_column("Code", 4),
                text_column("Message", 512),
            ],
            rows: self.entries.iter().filter(|e| wanted(e)).map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn statements_are_recognised_whatever_their_spacing() {
        assert_eq!(
            ShowDiagnostics::recognise(b" show\twarnings ; "),
            Some(ShowDiagnostics::Warnings)
        );
        assert_eq!(
            ShowDiagnostics::recognise(b"SHOW COUNT ( * ) ERRORS"),
            Some(ShowDiagnostics::CountErrors)
        );
        assert_eq!(ShowDiagnostics::recognise(b"SHOW WARNINGS LIMIT 1"), None);
        assert_eq!(ShowDiagnostics::recognise(b"SHOW TABLES"), None);
    }

    #[test]
    fn all_are_counted_and_some_kept() {
        let mut diagnostics = Diagnostics::default();
        for n in 0..100 {
            diagnostics.warn(UNREADABLE_INPUT, || format!("input {n}"));
        }
        assert_eq!(diagnostics.count(), 100);
        assert_eq!(
            diagnostics.show(ShowDiagnostics::Warnings).rows.len(),
            KEPT_MAX
        );
        assert_eq!(diagnostics.show(ShowDiagnostics::Errors).rows.len(), 0);
        assert_eq!(
            diagnostics.show(ShowDiagnostics::CountWarnings).rows,
            [[Bytes::from("100")]]
        );
    }
}
