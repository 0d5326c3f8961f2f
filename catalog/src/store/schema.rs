//! The catalog's schema name, and quoting for statements that cannot use parameters.

use std::fmt;

use super::StoreError;

/// Comment of the marker table, which identifies a schema as a catalog, and of objects for the
/// service account.
pub(super) const MARKER: &str = "PredictSQL catalog";

/// Maximum length of a schema name, in characters: a lock name (64) must have room for a prefix,
/// and the names of the additional schemas (64) for a suffix.
const SCHEMA_CHARS_MAX: usize = 48;

/// Name of the schema that contains the catalog (`ml` by default). Letters, digits and `_` only,
/// so that it can be used in backticks in any statement with any `sql_mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaName(String);

impl SchemaName {
    /// Validates a name from the configuration; converts it to lower case.
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

    /// The unquoted name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the schema for temporary tables that predict statements create in sessions. It
    /// contains nothing else.
    pub fn session(&self) -> String {
        format!("{self}_session")
    }

    /// Name of the schema with objects only for the service account: privileges on the catalog's
    /// schema as a whole do not include it.
    pub fn service(&self) -> String {
        format!("{self}_service")
    }

    /// Name of the store's lock for changes of the catalog.
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

/// Quotes an identifier with backticks; valid with any `sql_mode`.
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes a string literal for a session whose `sql_mode` lacks NO_BACKSLASH_ESCAPES.
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
