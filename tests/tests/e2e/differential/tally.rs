//! Counts of verdicts.

use std::collections::BTreeMap;
use std::fmt;

use super::verdict::Verdict;

/// How many answers compared how.
#[derive(Debug, Default)]
pub struct Tally {
    pub same: usize,
    pub errors: usize,
    pub lenient: usize,
    pub different: usize,
    /// By what the refusals name.
    pub refused: BTreeMap<String, usize>,
}

impl Tally {
    pub fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Same => self.same += 1,
            Verdict::SameError => self.errors += 1,
            Verdict::Lenient => self.lenient += 1,
            Verdict::Different(_) => self.different += 1,
            Verdict::Refused(reason) => *self.refused.entry(reason.clone()).or_default() += 1,
        }
    }

    pub fn add(&mut self, other: Self) {
        self.same += other.same;
        self.errors += other.errors;
        self.lenient += other.lenient;
        self.different += other.different;
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
    }

    pub fn refusals(&self) -> usize {
        self.refused.values().sum()
    }

    /// Answers that were held against the naive evaluation's.
    pub fn compared(&self) -> usize {
        self.same + self.errors + self.different
    }

    pub fn brief(&self) -> String {
        let (different, lenient) = (self.different, self.lenient);
        let refused = self.refusals();
        format!("{different} different, {lenient} without a reference, {refused} refused")
    }

    pub fn answers(&self) -> usize {
        self.same + self.errors + self.lenient + self.different + self.refusals()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            same,
            errors,
            lenient,
            different,
            refused,
        } = self;
        let refusals = self.refusals();
        write!(
            f,
            "{same} answers equal, {errors} errors equal, {lenient} in place of errors, {different} different, {refusals} refused {refused:#?}"
        )
    }
}
