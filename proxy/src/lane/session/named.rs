//! Statements that SQL itself has prepared (`PREPARE`) and that predict.

use std::collections::BTreeMap;

use crate::lane::session::settings::Meaning;

/// The session's statements that predict, by name in lower case.
#[derive(Debug, Default)]
pub struct NamedStatements(pub BTreeMap<String, Named>);

/// One of them.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its text.
    pub text: String,
    /// What it was prepared under.
    pub meaning: Meaning,
}
