//! Statements prepared in SQL (`PREPARE`) that contain predict calls.

use std::collections::BTreeMap;

use crate::lane::session::settings::Meaning;

/// The session's named prepared statements with predict calls, by lower-case name.
#[derive(Debug, Default)]
pub struct NamedStatements(pub BTreeMap<String, Named>);

/// A named prepared statement.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its text.
    pub text: String,
    /// The session settings at its preparation.
    pub meaning: Meaning,
}
