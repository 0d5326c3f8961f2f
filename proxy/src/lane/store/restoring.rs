//! Sets a statement's effects in the store: a statement that finds as many rows sets FOUND_ROWS(),
//! and one that fails with the same error sets the rest.

use predictsql_optimizer::quote_string;

use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;
use crate::wire::{ErrPacket, command};

/// Rows that one JSON list produces in the statement that sets FOUND_ROWS().
const LIST_ROWS: u64 = 1000;

/// Longest message text of a condition in the store, in bytes.
const CONDITION_BYTES_MAX: usize = 512;

impl StoreLink<'_> {
    /// Sets FOUND_ROWS() of the session. This clears the warnings and sets ROW_COUNT() to -1, as
    /// any SELECT does.
    pub async fn set_found_rows(&mut self, rows: u64) -> Result<(), LinkError> {
        match self.command(&finding(rows)).await {
            // FOUND_ROWS() is wrong then, but the session goes on.
            Err(LinkError::Refused(_)) => Ok(()),
            done => done,
        }
    }

    /// Sets the session state of a statement that fails with this error before it begins.
    pub async fn leave_error(&mut self, command: u8, error: &ErrPacket) -> Result<(), LinkError> {
        if command == command::STMT_PREPARE {
            // Preparing and closing a statement leaves the store without a last prepared
            // statement, as a failed preparation does.
            match self.describe("DO 0").await {
                Ok(_) | Err(LinkError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(before) = self.before {
            self.set_found_rows(before.found_rows).await?;
        }
        match self.command(&failing(error)).await {
            Err(LinkError::Refused(_)) => Ok(()), // expected: SIGNAL fails
            done => done,
        }
    }
}

/// A statement that finds `rows` rows and sends none.
fn finding(rows: u64) -> String {
    let list = |name: &str, rows: u64| {
        let zeros = rows.saturating_sub(1);
        format!(
            "JSON_TABLE(CONCAT('[0', REPEAT(',0', {zeros}), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) AS {name}"
        )
    };
    match rows {
        0 => "SELECT 1 LIMIT 0".to_owned(),
        1..=LIST_ROWS => format!(
            "SELECT SQL_CALC_FOUND_ROWS 1 FROM {} LIMIT 0",
            list("a", rows)
        ),
        _ => format!(
            "SELECT STRAIGHT_JOIN SQL_CALC_FOUND_ROWS 1 FROM {} JOIN {} \
             WHERE (a.n - 1) * {LIST_ROWS} + b.n <= {rows} LIMIT 0",
            list("a", rows.div_ceil(LIST_ROWS)),
            list("b", LIST_ROWS)
        ),
    }
}

/// A statement that fails with the given error.
fn failing(error: &ErrPacket) -> String {
    let message = String::from_utf8_lossy(&error.message);
    let mut end = message.len().min(CONDITION_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let state: String = error
        .sqlstate
        .iter()
        .map(|&byte| char::from(byte))
        .collect();
    format!(
        "SIGNAL SQLSTATE '{}' SET MYSQL_ERRNO = {}, MESSAGE_TEXT = {}",
        match state.chars().all(|c| c.is_ascii_alphanumeric()) && !state.starts_with("00") {
            true => &state,
            false => "HY000",
        },
        error.code.max(1),
        quote_string(message.get(..end).unwrap_or_default())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_between_characters() {
        let error = ErrPacket::new(1235, b"42000", "é".repeat(400));
        let sql = failing(&error);
        assert!(
            sql.ends_with(&format!("X'{}'", "C3A9".repeat(256))),
            "{sql}"
        );
        assert!(sql.starts_with("SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1235"));
    }
}
