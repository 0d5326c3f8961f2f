//! Choices: sets of candidates in one or two stages, from which plans are built.

use super::frontier::Found;

/// Sets of candidates in one or two stages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    /// Candidates run on every row.
    pub(super) first: Vec<u16>,
    /// Candidates run on rows whose best vote has a score below a threshold.
    pub(super) second: Option<Second>,
    /// Votes with a lower score are ignored.
    pub(super) floor: u16,
    /// Expected seconds of work per input.
    pub(super) seconds: f64,
    /// The metric on the rows that plans are searched on.
    pub(super) value: f64,
    /// Share of the rows that reach the second stage.
    pub(super) share: f64,
}

/// The second stage of a choice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Second {
    /// Rows whose best vote has a lower score reach this stage.
    pub(super) pass_below: u16,
    /// Candidates run on these rows.
    pub(super) set: Vec<u16>,
    /// Whether their votes replace those of the first stage.
    pub(super) replaces: bool,
}

impl Choice {
    /// A single-stage choice from a set found by the search.
    pub(super) fn of(found: &Found) -> Self {
        Self {
            first: found.set.clone(),
            second: None,
            floor: found.floor,
            seconds: found.seconds,
            value: found.value,
            share: 0.0,
        }
    }

    pub(super) fn is_single(&self) -> bool {
        self.first.len() == 1 && self.second.is_none()
    }

    /// The candidates of all stages.
    pub(super) fn all(&self) -> Vec<u16> {
        let second = self.second.iter().flat_map(|second| &second.set);
        self.first.iter().chain(second).copied().collect()
    }
}
