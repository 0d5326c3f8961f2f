//! Counts of one prediction by stage and by model: the figures of ANALYZE.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use predictsql_optimizer::planner::Decision;

use super::answer::Answer;
use crate::spent::{Spent, StageSeconds};

/// Counts of one prediction, during and after its execution.
#[derive(Debug)]
pub struct Tally {
    inputs: AtomicU64,
    repeated: AtomicU64,
    unreadable: AtomicU64,
    /// Number of inputs processed by each stage of the decision.
    stages: Vec<AtomicU64>,
    /// One per voter, in the order of the stages.
    voters: Vec<VoterTally>,
    /// Time spent on preparation for several models.
    pub(super) prepared: Arc<Spent>,
}

/// Counts of one model.
#[derive(Debug)]
pub struct VoterTally {
    inferred: AtomicU64,
    kept: AtomicU64,
    asked_of_store: AtomicU64,
    pub(super) spent: Arc<Spent>,
}

impl Tally {
    /// All zero; times are also added to the statement's total `whole`.
    pub(super) fn new(decision: &Decision, whole: &Arc<Spent>) -> Self {
        let spent = || Arc::new(Spent::within(whole));
        let voter = |_| VoterTally {
            inferred: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            asked_of_store: AtomicU64::new(0),
            spent: spent(),
        };
        Self {
            inputs: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            stages: decision.stages.iter().map(|_| AtomicU64::new(0)).collect(),
            voters: decision.voters().map(voter).collect(),
            prepared: spent(),
        }
    }

    /// Number of inputs, excluding NULL.
    pub fn inputs(&self) -> u64 {
        self.inputs.load(Relaxed)
    }

    /// Number of these inputs with the content of another input.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Relaxed)
    }

    /// Number of these inputs that could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    /// Number of inputs with distinct content processed by each stage.
    pub fn stages(&self) -> Vec<u64> {
        self.stages.iter().map(|n| n.load(Relaxed)).collect()
    }

    /// One per voter, in the order of the stages.
    pub fn voters(&self) -> &[VoterTally] {
        &self.voters
    }

    /// Executor time used.
    pub fn seconds(&self) -> StageSeconds {
        let voters = self.voters.iter().map(VoterTally::seconds);
        voters.fold(self.prepared.seconds(), |sum, voter| sum + voter)
    }

    pub(super) fn answered(&self, answers: &[Answer], repeated: usize) {
        let (mut inputs, mut unreadable) = (0, 0);
        for answer in answers {
            inputs += u64::from(!matches!(answer, Answer::Null));
            unreadable += u64::from(answer.unreadable().is_some());
        }
        self.inputs.fetch_add(inputs, Relaxed);
        self.unreadable.fetch_add(unreadable, Relaxed);
        self.repeated.fetch_add(repeated as u64, Relaxed);
    }

    pub(super) fn at_stage(&self, stage: usize, inputs: usize) {
        if let Some(counted) = self.stages.get(stage) {
            counted.fetch_add(inputs as u64, Relaxed);
        }
    }

    pub(super) fn inferred(&self, voter: usize, inputs: usize) {
        if let Some(voter) = self.voters.get(voter) {
            voter.inferred.fetch_add(inputs as u64, Relaxed);
        }
    }

    pub(super) fn kept(&self, voter: usize, outputs: usize) {
        if let Some(voter) = self.voters.get(voter) {
            voter.kept.fetch_add(outputs as u64, Relaxed);
        }
    }

    pub(super) fn asked_of_store(&self, voter: usize, inputs: usize) {
        if let Some(voter) = self.voters.get(voter) {
            voter.asked_of_store.fetch_add(inputs as u64, Relaxed);
        }
    }

    /// Counter for the executor time of a voter's model.
    pub(super) fn account(&self, voter: usize) -> &Arc<Spent> {
        self.voters.get(voter).map_or(&self.prepared, |v| &v.spent)
    }
}

impl VoterTally {
    /// Number of inputs that the model processed.
    pub fn inferred(&self) -> u64 {
        self.inferred.load(Relaxed)
    }

    /// Number of its outputs that were found kept.
    pub fn kept(&self) -> u64 {
        self.kept.load(Relaxed)
    }

    /// Number of different inputs that the store of kept outputs was asked about, since their
    /// outputs were not in memory.
    pub fn asked_of_store(&self) -> u64 {
        self.asked_of_store.load(Relaxed)
    }

    /// Executor time used.
    pub fn seconds(&self) -> StageSeconds {
        self.spent.seconds()
    }
}
