//! Executor time used by callers' work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::caller::CallerId;

/// Time that the stages have spent for one caller, which passes it to
/// [`crate::Executor::on_account`]. It is complete for all answered work. All parts of one whole
/// belong to one caller, and callers take turns.
#[derive(Debug, Default)]
pub struct Spent {
    by_stage: [AtomicU64; 3],
    whole: Option<Arc<Spent>>,
    caller: CallerId,
}

/// The stages in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Fetching,
    Preparing,
    Inferring,
}

/// Seconds by stage, summed over threads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StageSeconds {
    /// Reading and identifying files: elapsed time.
    pub fetching: f64,
    /// Decoding and preprocessing: CPU time.
    pub preparing: f64,
    /// Inference: CPU time. A run for several callers is divided by number of inputs.
    pub inferring: f64,
}

impl Spent {
    /// Zero counts; what is added is also added to `whole`.
    #[must_use]
    pub fn within(whole: &Arc<Spent>) -> Self {
        Self {
            by_stage: Default::default(),
            whole: Some(whole.clone()),
            caller: whole.caller,
        }
    }

    /// Time spent so far.
    #[must_use]
    pub fn seconds(&self) -> StageSeconds {
        let [fetching, preparing, inferring] = self
            .by_stage
            .each_ref()
            .map(|ns| ns.load(Ordering::Relaxed) as f64 / 1e9);
        StageSeconds {
            fetching,
            preparing,
            inferring,
        }
    }

    /// The caller of the work.
    pub(crate) fn caller(&self) -> CallerId {
        self.caller
    }

    pub(crate) fn add(&self, stage: Stage, ns: u64) {
        if let Some(counted) = self.by_stage.get(stage as usize) {
            counted.fetch_add(ns, Ordering::Relaxed);
        }
        if let Some(whole) = &self.whole {
            whole.add(stage, ns);
        }
    }
}

impl std::ops::Add for StageSeconds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            fetching: self.fetching + other.fetching,
            preparing: self.preparing + other.preparing,
            inferring: self.inferring + other.inferring,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_in_the_whole() {
        let whole = Arc::new(Spent::default());
        let (one, two) = (Spent::within(&whole), Spent::within(&whole));
        one.add(Stage::Fetching, 1_000_000_000);
        one.add(Stage::Inferring, 2_000_000_000);
        two.add(Stage::Inferring, 3_000_000_000);
        assert_eq!(one.seconds() + two.seconds(), whole.seconds());
        assert_eq!(one.caller(), two.caller());
        assert_ne!(one.caller(), Spent::default().caller());
        assert_eq!(whole.seconds().inferring, 5.0);
        assert_eq!(two.seconds().fetching, 0.0);
    }
}
