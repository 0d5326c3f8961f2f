//! The transcript of a suite in Rust: a line a step, of values that are the same in every run.

use std::fmt::{Debug, Write as _};
use std::fs;

use predictsql_tests::process::checkout;
use sha2::{Digest, Sha256};

/// Longer bytes are shown by length and digest.
const SHOWN_BYTES_MAX: usize = 300;

/// Collects the lines.
#[derive(Default)]
pub struct Transcript {
    text: String,
}

impl Transcript {
    /// Adds a step with what the client gave.
    pub fn say(&mut self, step: &str, value: impl Debug) {
        let value = format!("{value:?}");
        writeln!(self.text, "{step}: {}", short(&value)).unwrap();
    }

    /// All of it.
    pub fn end(self) -> String {
        self.text
    }
}

fn short(value: &str) -> String {
    if value.len() <= 20 * SHOWN_BYTES_MAX {
        return value.to_owned();
    }
    format!("{} characters, {}", value.len(), digest(value.as_bytes()))
}

/// Bytes as text where they are short.
pub fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN_BYTES_MAX {
        return bytes.escape_ascii().to_string();
    }
    format!("{} bytes, {}", bytes.len(), digest(bytes))
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The statements that all suites share: a table of every type, and its rows.
pub fn every_type() -> Vec<String> {
    let text = fs::read_to_string(checkout().join("tests/clients/every_type.sql")).unwrap();
    let statements = text.split(";\n").map(str::to_owned);
    statements
        .filter(|statement| !statement.trim().is_empty())
        .collect()
}
