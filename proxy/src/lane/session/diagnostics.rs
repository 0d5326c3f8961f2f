//! The warnings and errors of the last predict statement, as SHOW WARNINGS returns them.

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{StoreLink, WARNINGS_KEPT};
use crate::lane::store::result::{TextResult, count_column, not_null, text_column};
use mysql_common::constants::ColumnType;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    level: &'static str,
    code: u16,
    message: String,
}

/// Diagnostics of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    entries: Vec<Entry>,
    kept_max: usize,
    count: u64,
    errors: u64,
    /// Number of warnings that the store holds and that have not been fetched yet.
    at_store: u64,
}

/// A statement that reads the diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowDiagnostics {
    /// SHOW WARNINGS with its LIMIT: (offset, maximum number of rows).
    Warnings(usize, usize),
    /// SHOW ERRORS with its LIMIT: (offset, maximum number of rows).
    Errors(usize, usize),
    /// SHOW COUNT(*) WARNINGS
    CountWarnings,
    /// SHOW COUNT(*) ERRORS
    CountErrors,
}

impl ShowDiagnostics {
    /// Recognises the statement with any whitespace.
    pub fn recognise(sql: &[u8]) -> Option<Self> {
        let head = sql.trim_ascii_start().get(..4)?;
        if !head.eq_ignore_ascii_case(b"SHOW") || sql.len() > 100 {
            return None;
        }
        let text = std::str::from_utf8(sql).ok()?;
        let words: String = text.split_whitespace().collect();
        let words = words.trim_end_matches(';').to_ascii_uppercase();
        match words.as_str() {
            "SHOWCOUNT(*)WARNINGS" => return Some(Self::CountWarnings),
            "SHOWCOUNT(*)ERRORS" => return Some(Self::CountErrors),
            _ => {}
        }
        if let Some(limit) = words.strip_prefix("SHOWWARNINGS") {
            let (skip, most) = limit_of(limit)?;
            return Some(Self::Warnings(skip, most));
        }
        let (skip, most) = limit_of(words.strip_prefix("SHOWERRORS")?)?;
        Some(Self::Errors(skip, most))
    }
}

/// Parses an empty text, `LIMIT n` or `LIMIT skip,n`, without spaces.
fn limit_of(text: &str) -> Option<(usize, usize)> {
    if text.is_empty() {
        return Some((0, usize::MAX));
    }
    let limit = text.strip_prefix("LIMIT")?;
    match limit.split_once(',') {
        Some((skip, most)) => Some((skip.parse().ok()?, most.parse().ok()?)),
        None => Some((0, limit.parse().ok()?)),
    }
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self::keeping(WARNINGS_KEPT)
    }
}

impl Diagnostics {
    /// Empty diagnostics that keep at most `kept_max` entries; all are counted.
    pub fn keeping(kept_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            kept_max,
            count: 0,
            errors: 0,
            at_store: 0,
        }
    }

    /// Adds a warning.
    pub fn warn(&mut self, kind: ErrorKind, message: impl FnOnce() -> String) {
        self.count += 1;
        if self.entries.len() < self.kept_max {
            self.entries.push(Entry {
                level: "Warning",
                code: kind.code(),
                message: message(),
            });
        }
    }

    /// Adds an entry that the store reported (`Note`, `Warning` or `Error`), without counting it.
    pub fn add(&mut self, level: &str, code: u16, message: String) {
        let level = match level {
            "Note" => "Note",
            "Error" => "Error",
            _ => "Warning",
        };
        if self.entries.len() < self.kept_max {
            self.entries.push(Entry {
                level,
                code,
                message,
            });
        }
    }

    /// Sets the number of warnings that the store holds in addition.
    pub fn note_at_store(&mut self, warnings: u16) {
        self.at_store = u64::from(warnings);
    }

    /// Adds warnings of the store to the count.
    pub fn count_more(&mut self, warnings: u64) {
        self.count += warnings;
    }

    /// `@@warning_count`
    pub fn warning_count(&self) -> u64 {
        self.count + self.at_store
    }

    /// `@@error_count`
    pub fn error_count(&self) -> u64 {
        self.errors
    }

    /// The warning count as sent in the protocol, capped at `u16::MAX`.
    pub fn count(&self) -> u16 {
        u16::try_from(self.warning_count()).unwrap_or(u16::MAX)
    }

    /// The answer to a statement that reads the diagnostics.
    pub fn show(&self, what: ShowDiagnostics) -> TextResult {
        let count = |name: &'static str, n: u64| TextResult {
            columns: vec![count_column(name, ColumnType::MYSQL_TYPE_LONGLONG, 21)],
            rows: vec![vec![Bytes::from(n.to_string())]],
        };
        match what {
            ShowDiagnostics::CountWarnings => count("@@session.warning_count", self.count),
            ShowDiagnostics::CountErrors => count("@@session.error_count", self.errors),
            ShowDiagnostics::Warnings(skip, most) => self.rows(skip, most, |_| true),
            ShowDiagnostics::Errors(skip, most) => self.rows(skip, most, |e| e.level == "Error"),
        }
    }

    fn rows(&self, skip: usize, most: usize, wanted: impl Fn(&Entry) -> bool) -> TextResult {
        let row = |e: &Entry| {
            vec![
                Bytes::from_static(e.level.as_bytes()),
                Bytes::from(e.code.to_string()),
                Bytes::from(e.message.clone()),
            ]
        };
        TextResult {
            columns: vec![
                not_null(text_column("Level", 7)),
                not_null(count_column("Code", ColumnType::MYSQL_TYPE_LONG, 4)),
                not_null(text_column("Message", 512)),
            ],
            rows: self
                .entries
                .iter()
                .filter(|e| wanted(e))
                .skip(skip)
                .take(most)
                .map(row)
                .collect(),
        }
    }
}

impl Diagnostics {
    /// Adds the warnings that the store holds besides, if there are any.
    ///
    /// # Errors
    /// Fails if `SHOW WARNINGS` fails at the store.
    pub async fn fetch_from(&mut self, store: &mut StoreLink<'_>) -> Result<(), LinkError> {
        match std::mem::take(&mut self.at_store) {
            0 => Ok(()),
            count => self.add_from_store(store, count).await,
        }
    }

    /// Counts the statement's `count` warnings at the store and adds those that the store shows.
    ///
    /// # Errors
    /// Fails if `SHOW WARNINGS` fails at the store.
    pub async fn add_from_store(
        &mut self,
        store: &mut StoreLink<'_>,
        count: u64,
    ) -> Result<(), LinkError> {
        self.count_more(count);
        let answer = store.ask_text("SHOW WARNINGS").await?;
        for row in 0..answer.rows.len() {
            self.errors += u64::from(answer.text(row, 0)?.as_deref() == Some("Error"));
            let code = answer.text(row, 1)?.and_then(|code| code.parse().ok());
            self.add(
                &answer.text(row, 0)?.unwrap_or_default(),
                code.unwrap_or(0),
                answer.text(row, 2)?.unwrap_or_default(),
            );
        }
        Ok(())
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
            Some(ShowDiagnostics::Warnings(0, usize::MAX))
        );
        assert_eq!(
            ShowDiagnostics::recognise(b"SHOW COUNT ( * ) ERRORS"),
            Some(ShowDiagnostics::CountErrors)
        );
        assert_eq!(
            ShowDiagnostics::recognise(b"SHOW WARNINGS LIMIT 1"),
            Some(ShowDiagnostics::Warnings(0, 1))
        );
        assert_eq!(ShowDiagnostics::recognise(b"SHOW TABLES"), None);
    }

    #[test]
    fn all_are_counted_and_some_kept() {
        let mut diagnostics = Diagnostics::default();
        for n in 0..100 {
            diagnostics.warn(ErrorKind::UnreadableInput, || format!("input {n}"));
        }
        assert_eq!(diagnostics.count(), 100);
        assert_eq!(
            diagnostics
                .show(ShowDiagnostics::Warnings(0, usize::MAX))
                .rows
                .len(),
            WARNINGS_KEPT
        );
        assert_eq!(
            diagnostics
                .show(ShowDiagnostics::Errors(0, usize::MAX))
                .rows
                .len(),
            0
        );
        assert_eq!(
            diagnostics.show(ShowDiagnostics::CountWarnings).rows,
            [[Bytes::from("100")]]
        );
    }
}
