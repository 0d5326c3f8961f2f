//! The catalog's schema name, and quoting for the few statements that cannot take parameters.

use std::fmt;

use super::StoreError;

/// Comment of the marker table, by which a schema is known as ours,
/// and of what serves the service account.
pub(super) const MARKER: &str = "PredictSQL catalog";

/// Longest schema name, in characters: it must leave room in a lock name (64) for a prefix, and in
/// the names of the schemas beside it (64) for a suffix.
const SCHEMA_CHARS_MAX: usize = 48;

/// Name of the schema that holds the catalog (`ml` by default). Letters, digits and `_` only, so
/// that it can stand in backticks in any statement under any `sql_mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaName(String);

impl SchemaName {
    /// Checks a name from the configuration; it is lower-cased.
    pub fn parse(name: &str) -> Result<Self, StoreError> {
        let fits = !name.is_empty() && name.len() <= SCHEMA_CHARS_MAX;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let systems = ["mysql", "information_schema", "performance_schema", "sys"];
        let system = systems.iter().any(|s| s.eq_ignore_ascii_case(name));
        if fits && plain && !system {
            Ok(Self(name.to_ascii_lowercase()))
        } else {
            Err(StoreError::SchemaName(name.to_owned()))
        }
    }

    /// The bare name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the schema of temporary tables that predict statements make in sessions.
    /// It holds nothing else.
    pub fn session(&self) -> String {
        format!("{self}_session")
    }

    /// Name of the schema that holds what serves the service account alone: whoever has rights on
    /// the catalog's schema as a whole has none on it.
    pub fn service(&self) -> String {
        format!("{self}_service")
    }

    /// Name of the store's lock under which the catalog is changed.
    pub(super) fn lock_name(&self) -> String {
        format!("predictsql {}", self.0)
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("ml".to_owned())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An identifier in backticks, right under any `sql_mode`.
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal for a session whose `sql_mode` lacks NO_BACKSLASH_ESCAPES.
pub fn quote_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("''"),
            '\\' => quoted.push_str("\\\\"),
            '\0' => quoted.push_str("\\0"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn schema_names_are_plain_and_never_the_systems_own() {
        assert_eq!(SchemaName::parse("ML_2").unwrap().as_str(), "ml_2");
        for bad in [
            "",
            "m`l",
            "mysql",
            "Information_Schema",
            "a b",
            &"x".repeat(49),
        ] {
            assert!(SchemaName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quoting_doubles_what_would_end_the_quotes() {
        assert_eq!(quote_identifier("a`b"), "`a``b`");
        assert_eq!(quote_text(r"it's a \ path"), r"'it''s a \\ path'");
    }
}
