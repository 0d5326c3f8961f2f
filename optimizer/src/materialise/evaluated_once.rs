//! What a statement must evaluate once, as found in its text.

use std::collections::BTreeSet;
use std::ops::Range;

/// What the statement must evaluate once.
#[derive(Debug, Default)]
pub(super) struct EvaluatedOnce {
    /// Elements of select lists of derived tables: the expression, without its alias, and the name
    /// of its column where it has no alias.
    pub(super) blanks: Vec<(Range<usize>, Option<String>)>,
    /// Names of columns with their values, or with values derived from these, in lower case.
    pub(super) names: BTreeSet<String>,
    /// Whether the statement changes something besides tables and rows.
    pub(super) changes: Option<String>,
}

impl EvaluatedOnce {
    /// Whether a lexeme is part of such an element.
    pub(super) fn is_blank(&self, at: usize) -> bool {
        self.blanks.iter().any(|(range, _)| range.contains(&at))
    }
}
