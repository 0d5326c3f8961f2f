//! Replay: computes what a set of models would have answered on labelled rows, from their stored
//! votes.
//!
//! Votes are projected once per decision to blocks of the statement, with rows of needed blocks
//! first; then a set's answers are an elementwise maximum.

use predictsql_catalog::Vote;

use super::blocks::{Blocks, NOBODY, OTHER};
use super::certificate::Counts;
use super::query::{Metric, Prior};
use super::rows::Chosen;

/// Maximum number of rows that plans are searched on.
pub const PLAN_ROWS_MAX: usize = 1_024;
/// Maximum number of rows for the final choice.
pub(super) const MORE_ROWS_MAX: usize = 4 * PLAN_ROWS_MAX;

/// Approximate sum of the weights of all rows.
const WEIGHT_TOTAL: f64 = (1_u32 << 30) as f64;

/// Score and block packed into a number that sorts like votes: flipping the sign bit turns
/// unsigned order into signed order, for which every processor has vector comparisons.
pub(crate) type Key = i32;

const SIGN: u32 = 1 << 31;

/// The key of a vote for a block.
pub(crate) fn key(score: u16, block: u16) -> Key {
    ((u32::from(score) << 16 | u32::from(block)) ^ SIGN) as Key
}

/// Less than the key of any vote or floor.
const SILENT: Key = Key::MIN;

/// The block of a key, as wide as a key: rows are compared in vectors of one width.
pub(super) fn block(key: Key) -> u32 {
    key as u32 & 0xFFFF
}

pub(super) const OTHERS: u32 = OTHER as u32;

pub(super) fn score(key: Key) -> u16 {
    ((key as u32 ^ SIGN) >> 16) as u16
}

/// Labelled rows, prepared for a statement's blocks.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Index of each row in the stored votes; rows of needed blocks come first.
    order: Vec<u16>,
    /// Number of rows of needed blocks.
    pub(super) needed: usize,
    /// The true block of each row.
    pub(super) truth: Vec<u32>,
    /// Weight of each row.
    pub(super) weight: Vec<u32>,
    needed_weight: u64,
    other_weight: u64,
    /// The block answered for a row without votes.
    pub(super) unclaimed: u16,
    /// Whether there is only one needed block, so that a row of it cannot be answered with
    /// another.
    is_one_block: bool,
    /// Whether F1 is computed over `other`. Then there is exactly one other block.
    other_passes: bool,
    /// Whether no row can belong to `other`.
    all_are_needed: bool,
}

/// The rows of needed blocks, or the others.
pub(super) struct Half<'a> {
    best: &'a [Key],
    votes: &'a [Key],
    weight: &'a [u32],
    truth: &'a [u32],
}

impl<'a> Half<'a> {
    #[inline(always)]
    pub(super) fn rows(
        &self,
    ) -> impl Iterator<Item = (((&'a Key, &'a Key), &'a u32), &'a u32)> + use<'a> {
        self.best
            .iter()
            .zip(self.votes)
            .zip(self.weight)
            .zip(self.truth)
    }

    /// The total weight of the rows that satisfy a predicate.
    #[inline(always)]
    fn sum(&self, holds: impl Fn(Key, Key, u32) -> bool) -> u32 {
        let weight = |(((best, vote), weight), truth): (((&Key, &Key), &u32), &u32)| {
            when(holds(*best, *vote, *truth), *weight)
        };
        self.rows().map(weight).sum()
    }
}

/// The weight, or 0: branch-free, so that the loop is vectorized.
#[inline(always)]
pub(super) fn when(holds: bool, weight: u32) -> u32 {
    weight & u32::from(holds).wrapping_neg()
}

/// Weights of rows by kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Rows of needed blocks, answered right.
    pub(crate) found: u32,
    /// Rows of needed blocks, answered `other`.
    pub(crate) missed: u32,
    /// Rows of other blocks, answered right.
    pub(crate) rejected: u32,
}

impl Sample {
    /// Samples the chosen rows from those with these true outcomes. With a prior, a row's weight
    /// is its class's prior share divided by the class's share of the rows, which corresponds to
    /// resampling the rows by that prior.
    pub(crate) fn new(
        truths: &[u16],
        blocks: &Blocks,
        prior: Option<&Prior>,
        chosen: &Chosen,
    ) -> Self {
        let truth_of = |row: &u16| truths.get(usize::from(*row)).copied().unwrap_or(0);
        let weights = weights(truths, blocks.outcomes(), prior);
        let weigh = |(row, factor): &(u16, f64)| {
            let weight = weights.get(usize::from(truth_of(row)));
            (weight.copied().unwrap_or(0.0) * factor).round() as u32
        };
        let weight: Vec<u32> = chosen.rows.iter().map(weigh).collect();
        let order: Vec<u16> = chosen.rows.iter().map(|(row, _)| *row).collect();
        let (needed, others) = weight.split_at(chosen.needed.min(weight.len()));
        let total = |weights: &[u32]| weights.iter().map(|w| u64::from(*w)).sum();
        Self {
            needed: needed.len(),
            truth: order
                .iter()
                .map(|row| u32::from(blocks.truth(truth_of(row))))
                .collect(),
            needed_weight: total(needed),
            other_weight: total(others),
            weight,
            order,
            unclaimed: if blocks.has_other() { OTHER } else { NOBODY },
            is_one_block: blocks.is_one(),
            other_passes: blocks.other_passes(),
            all_are_needed: !blocks.has_other(),
        }
    }

    /// Indexes of the rows of needed blocks in the stored votes.
    pub(crate) fn rows_needed(&self) -> &[u16] {
        self.order.get(..self.needed).unwrap_or_default()
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.order.len()
    }

    /// Effective sample size: the number of equally weighted rows with the same information (Kish
    /// 1965).
    pub(crate) fn rows_in_effect(&self) -> f64 {
        let squares: f64 = self.weight.iter().map(|w| f64::from(*w).powi(2)).sum();
        (self.total() as f64).powi(2) / squares.max(1.0)
    }

    /// Whether the metric is defined on these rows.
    pub(crate) fn tells(&self, metric: Metric) -> bool {
        match metric {
            Metric::Accuracy => self.needed_weight + self.other_weight > 0,
            Metric::F1 if self.other_passes => self.other_weight > 0,
            Metric::F1 => self.needed_weight > 0,
        }
    }

    /// The initial key of rows: votes with a score below `floor` are ignored.
    pub(crate) fn floor(&self, floor: u16) -> Key {
        key(floor.saturating_sub(1), self.unclaimed)
    }

    /// Appends the keys of a model's votes, one per row. `none` is the block that "none of my
    /// classes" votes for, if any.
    pub(crate) fn project(
        &self,
        votes: &[Vote],
        blocks: &Blocks,
        none: Option<u16>,
        keys: &mut Vec<Key>,
    ) {
        let mut claims: Vec<u16> = (0..blocks.outcomes())
            .map(|outcome| blocks.of(u16::try_from(outcome).unwrap_or(u16::MAX)))
            .collect();
        if let Some(claim) = claims.first_mut() {
            *claim = none.unwrap_or(0);
        }
        let is_silent = none.is_none();
        keys.extend(self.order.iter().map(|row| {
            let vote = votes.get(usize::from(*row)).copied().unwrap_or_default();
            let claim = claims.get(usize::from(vote.outcome())).copied();
            let key = key(vote.score().max(1), claim.unwrap_or(OTHER));
            if is_silent && vote.outcome() == 0 {
                SILENT
            } else {
                key
            }
        }));
    }

    /// Tallies the answers from the best votes so far and one more model's votes.
    pub(crate) fn tally(&self, best: &[Key], votes: &[Key]) -> Tally {
        let (needed, rest) = self.halves(best, votes);
        let (mut found, mut missed) = (0, 0);
        for (((best, vote), weight), truth) in needed.rows() {
            let answer = block(*best.max(vote));
            found += when(answer == *truth, *weight);
            missed += when(answer == OTHERS, *weight);
        }
        Tally {
            found,
            missed,
            rejected: rest.sum(|best, vote, truth| block(best.max(vote)) == truth),
        }
    }

    /// The most that can be right after adding votes, where `right` has each row's greatest right
    /// vote among them: a row counts if it is right already, or has a greater right vote. It is
    /// not the tally of a set: `missed` is 0.
    pub(crate) fn reachable(&self, best: &[Key], right: &[Key]) -> Tally {
        let (needed, rest) = self.halves(best, right);
        let reaches = |best, right, truth| (block(best) == truth) | (right > best);
        Tally {
            found: needed.sum(reaches),
            missed: 0,
            rejected: rest.sum(reaches),
        }
    }

    /// The weight of rows that are wrong now and that these votes would make right, by kind of
    /// row.
    pub(crate) fn gains(&self, best: &[Key], votes: &[Key]) -> Tally {
        let (needed, rest) = self.halves(best, votes);
        let gains =
            |best, vote, truth| (block(vote) == truth) & (vote > best) & (block(best) != truth);
        Tally {
            found: needed.sum(gains),
            missed: 0,
            rejected: rest.sum(gains),
        }
    }

    /// The rows of needed blocks, and the others.
    pub(super) fn halves<'a>(&'a self, best: &'a [Key], votes: &'a [Key]) -> (Half<'a>, Half<'a>) {
        let at = self.needed;
        let (best, best_rest) = best.split_at(at.min(best.len()));
        let (votes, votes_rest) = votes.split_at(at.min(votes.len()));
        let (weight, weight_rest) = self.weight.split_at(at);
        let (truth, truth_rest) = self.truth.split_at(at);
        let needed = Half {
            best,
            votes,
            weight,
            truth,
        };
        let rest = Half {
            best: best_rest,
            votes: votes_rest,
            weight: weight_rest,
            truth: truth_rest,
        };
        (needed, rest)
    }

    /// Raises `right` to the votes that are right.
    pub(crate) fn raise_right(&self, votes: &[Key], right: &mut [Key]) {
        for ((right, vote), truth) in right.iter_mut().zip(votes).zip(&self.truth) {
            let is_right = block(*vote) == *truth;
            *right = (*right).max(if is_right { *vote } else { SILENT });
        }
    }

    /// Weights of the relevant rows, the found ones among them, the irrelevant rows, and the
    /// rejected ones among them. With two blocks either may be `other`.
    fn roles(&self, tally: Tally) -> [f64; 4] {
        let (found, rejected) = (f64::from(tally.found), f64::from(tally.rejected));
        let (needed, other) = (self.needed_weight as f64, self.other_weight as f64);
        match self.other_passes {
            true => [other, rejected, needed, found],
            false => [needed, found, other, rejected],
        }
    }

    /// The metric.
    pub(crate) fn value(&self, metric: Metric, tally: Tally) -> f64 {
        let [wanted, found, unwanted, rejected] = self.roles(tally);
        // With two blocks, every row not found is missed.
        let missed = match self.other_passes {
            true => wanted - found,
            false => f64::from(tally.missed),
        };
        let (part, all) = match metric {
            Metric::Accuracy => (found + rejected, wanted + unwanted),
            Metric::F1 => {
                let claimed = wanted - missed + unwanted - rejected;
                (2.0 * found, wanted + claimed)
            }
        };
        if all > 0.0 { part / all } else { 0.0 }
    }

    /// Upper bound of the metric for sets whose tallies are at most that of [`Sample::reachable`].
    pub(crate) fn value_bound(&self, metric: Metric, most: Tally) -> f64 {
        let [wanted, found, unwanted, rejected] = self.roles(most);
        let (part, all) = match metric {
            Metric::Accuracy => (found + rejected, wanted + unwanted),
            // The bound assumes no false claims on relevant rows, and on others only the
            // unavoidable ones.
            Metric::F1 => (2.0 * found, wanted + found + unwanted - rejected),
        };
        if all > 0.0 { part / all } else { 0.0 }
    }

    /// Coefficients for `found` and `rejected` of a tally, and a constant: the sum is at least 0
    /// exactly where the metric may reach `target`.
    pub(crate) fn linear(&self, metric: Metric, target: f64) -> (f64, f64, f64) {
        let (needed, other) = (self.needed_weight as f64, self.other_weight as f64);
        let constant = -target * (needed + other);
        match metric {
            Metric::Accuracy => (1.0, 1.0, constant),
            Metric::F1 if self.other_passes => (target, 2.0 - target, constant),
            Metric::F1 => (2.0 - target, target, constant),
        }
    }

    /// Unweighted row counts for the answers of a plan. Rows that are not kept (by index in the
    /// stored votes) are skipped.
    pub(crate) fn counts(&self, answers: &[Key], is_kept: impl Fn(u16) -> bool) -> Counts {
        let mut counts = Counts {
            all_are_needed: self.all_are_needed,
            ..Counts::default()
        };
        let mut mistaken = 0;
        let rows = self.order.iter().zip(answers).zip(&self.truth).enumerate();
        for (number, ((_, key), truth)) in rows.filter(|(_, ((row, _), _))| is_kept(**row)) {
            let (answer, is_needed) = (block(*key), number < self.needed);
            counts.rows += 1;
            counts.needed += u64::from(is_needed);
            let is_right = answer == *truth;
            counts.right += u64::from(is_right);
            counts.claimed += u64::from(answer != OTHERS);
            counts.found += u64::from(is_right && is_needed);
            mistaken += u64::from(!is_right && is_needed && answer != OTHERS);
        }
        counts.mistaken = (!self.is_one_block).then_some(mistaken);
        if self.other_passes {
            counts = Counts {
                needed: counts.rows - counts.needed,
                claimed: counts.rows - counts.claimed,
                found: counts.right - counts.found,
                ..counts
            };
        }
        counts
    }

    /// Total weight of all rows.
    pub(crate) fn total(&self) -> u64 {
        self.needed_weight + self.other_weight
    }

    /// Recall of each needed true block as (block, weight answered right, total weight).
    pub(crate) fn recalls(&self, answers: &[Key]) -> Vec<(u32, u64, u64)> {
        let mut recalls: std::collections::BTreeMap<u32, (u64, u64)> =
            std::collections::BTreeMap::new();
        let rows = answers.iter().zip(&self.truth).zip(&self.weight);
        for ((key, truth), weight) in rows.take(self.needed) {
            let entry = recalls.entry(*truth).or_default();
            entry.1 += u64::from(*weight);
            entry.0 += if block(*key) == *truth {
                u64::from(*weight)
            } else {
                0
            };
        }
        recalls
            .into_iter()
            .map(|(block, (right, all))| (block, right, all))
            .collect()
    }
}

/// Row weight by outcome.
pub(super) fn weights(truths: &[u16], outcomes: usize, prior: Option<&Prior>) -> Vec<f64> {
    let mut counts = vec![0_u32; outcomes.max(1)];
    for truth in truths {
        if let Some(count) = counts.get_mut(usize::from(*truth)) {
            *count += 1;
        }
    }
    let outcome = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
    let share = |(index, count): (usize, &u32)| match (prior, *count) {
        (_, 0) => 0.0,
        (None, _) => 1.0,
        (Some(prior), count) => prior.of(outcome(index)) / f64::from(count),
    };
    let shares: Vec<f64> = counts.iter().enumerate().map(share).collect();
    let total: f64 = shares
        .iter()
        .zip(&counts)
        .map(|(s, c)| s * f64::from(*c))
        .sum();
    let scale = if total > 0.0 {
        WEIGHT_TOTAL / total
    } else {
        0.0
    };
    shares.iter().map(|share| share * scale).collect()
}

/// The elementwise maximum of two sets of votes.
pub(crate) fn combine(best: &[Key], votes: &[Key], into: &mut [Key]) {
    for ((into, best), vote) in into.iter_mut().zip(best).zip(votes) {
        *into = *best.max(vote);
    }
}

/// Raises the best votes so far to a model's votes where these are greater.
pub(crate) fn raise(best: &mut [Key], votes: &[Key]) {
    for (best, vote) in best.iter_mut().zip(votes) {
        *best = (*best).max(*vote);
    }
}
