//! Replay: what a set of models would have answered to labelled rows, from their stored votes.
//!
//! Votes are projected once a decision to blocks of the statement, in an order of rows in which those of
//! needed blocks come first; then a set's answers are an elementwise maximum.

use predictsql_catalog::Vote;

use super::blocks::{Blocks, NOBODY, OTHER};
use super::certificate::Counts;
use super::query::{Metric, Prior};

/// Most rows that plans are searched on.
pub const PLAN_ROWS_MAX: usize = 1_536;

/// The weights of all rows sum to about this.
const WEIGHT_TOTAL: f64 = (1_u32 << 30) as f64;

/// A score and a block in one number whose order is that of votes: flipping the sign bit makes
/// signed comparison, which every processor has for vectors, that of unsigned numbers.
pub(crate) type Key = i32;

const SIGN: u32 = 1 << 31;

/// The key of a vote that claims a block.
pub(crate) fn key(score: u16, block: u16) -> Key {
    ((u32::from(score) << 16 | u32::from(block)) ^ SIGN) as Key
}

/// Less than any vote's key, and than where rows begin.
const SILENT: Key = Key::MIN;

/// In as many bits as keys have: rows are compared in vectors of one width.
fn block(key: Key) -> u32 {
    key as u32 & 0xFFFF
}

const OTHERS: u32 = OTHER as u32;

fn score(key: Key) -> u16 {
    ((key as u32 ^ SIGN) >> 16) as u16
}

/// Labelled rows as a statement tells them apart.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Where each row stands among the votes as stored; those of needed blocks come first.
    order: Vec<u16>,
    /// How many are of needed blocks.
    needed: usize,
    /// The true block of each row.
    truth: Vec<u32>,
    /// By how much each row counts.
    weight: Vec<u32>,
    needed_weight: u64,
    other_weight: u64,
    /// What a row is answered that nobody votes on.
    unclaimed: u16,
}

/// Weights of rows by how they were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Of needed blocks, answered right.
    pub(crate) found: u32,
    /// Of needed blocks, answered `other`.
    pub(crate) missed: u32,
    /// Of other blocks, answered right.
    pub(crate) rejected: u32,
}

impl Sample {
    /// Of rows with these true outcomes, of which the first 65,535 count. With a prior, each row counts by its
    /// class's share of the prior over its share of the rows, which is the same as to draw rows anew
    /// by that prior.
    pub(crate) fn new(truths: &[u16], blocks: &Blocks, prior: Option<&Prior>) -> Self {
        let truths = truths
            .get(..truths.len().min(usize::from(u16::MAX)))
            .unwrap_or(truths);
        let is_needed = |truth: u16| !matches!(blocks.truth(truth), OTHER);
        let rows = || (0..truths.len() as u16).zip(truths.iter().copied());
        let order: Vec<u16> = rows()
            .filter(|(_, truth)| is_needed(*truth))
            .chain(rows().filter(|(_, truth)| !is_needed(*truth)))
            .map(|(row, _)| row)
            .collect();
        let truth_of = |row: &u16| truths.get(usize::from(*row)).copied().unwrap_or(0);
        let weights = weights(truths, blocks.outcomes(), prior);
        let weight: Vec<u32> = order
            .iter()
            .map(|row| {
                weights
                    .get(usize::from(truth_of(row)))
                    .copied()
                    .unwrap_or(0)
            })
            .collect();
        let needed = truths.iter().filter(|truth| is_needed(**truth)).count();
        let total = |weights: &[u32]| weights.iter().map(|w| u64::from(*w)).sum();
        Self {
            needed,
            truth: order
                .iter()
                .map(|row| u32::from(blocks.truth(truth_of(row))))
                .collect(),
            needed_weight: total(&weight[..needed]),
            other_weight: total(&weight[needed..]),
            weight,
            order,
            unclaimed: if blocks.has_other() { OTHER } else { NOBODY },
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.order.len()
    }

    /// Whether the metric can be told from these rows.
    pub(crate) fn tells(&self, metric: Metric) -> bool {
        match metric {
            Metric::Accuracy => self.needed_weight + self.other_weight > 0,
            Metric::F1 => self.needed_weight > 0,
        }
    }

    /// Where rows begin: votes with a score below `floor` claim nothing.
    pub(crate) fn floor(&self, floor: u16) -> Key {
        key(floor.saturating_sub(1), self.unclaimed)
    }

    /// Appends the keys of a model's votes, a row each. `none` is the block that "none of my classes" claims,
    /// if any.
    pub(crate) fn project(
        &self,
        votes: &[Vote],
        blocks: &Blocks,
        none: Option<u16>,
        keys: &mut Vec<Key>,
    ) {
        keys.extend(self.order.iter().map(|row| {
            let vote = votes.get(usize::from(*row)).copied().unwrap_or_default();
            let claims = match vote.outcome() {
                0 => none,
                outcome => Some(blocks.of(outcome)),
            };
            claims.map_or(SILENT, |block| key(vote.score().max(1), block))
        }));
    }

    /// Adds up the answers that the votes so far, and one model's, give.
    pub(crate) fn tally(&self, best: &[Key], votes: &[Key]) -> Tally {
        let at = self.needed;
        let (best, best_rest) = best.split_at(at.min(best.len()));
        let (votes, votes_rest) = votes.split_at(at.min(votes.len()));
        let (weight, weight_rest) = self.weight.split_at(at);
        let (truth, truth_rest) = self.truth.split_at(at);
        let mut tally = Tally::default();
        for (((best, vote), weight), truth) in best.iter().zip(votes).zip(weight).zip(truth) {
            let answer = block(*best.max(vote));
            tally.found += if answer == *truth { *weight } else { 0 };
            tally.missed += if answer == OTHERS { *weight } else { 0 };
        }
        let rest = best_rest
            .iter()
            .zip(votes_rest)
            .zip(weight_rest)
            .zip(truth_rest);
        for (((best, vote), weight), truth) in rest {
            tally.rejected += if block(*best.max(vote)) == *truth {
                *weight
            } else {
                0
            };
        }
        tally
    }

    /// The most that rows can be answered right by adding votes out of which `right` are each row's greatest right
    /// ones: each row that is right, or has a greater right vote. As a tally of no set: `missed` is 0.
    pub(crate) fn reachable(&self, best: &[Key], right: &[Key]) -> Tally {
        let mut sums = [0; 2];
        let rows = best.iter().zip(right).zip(&self.weight).zip(&self.truth);
        for (number, (((best, right), weight), truth)) in rows.enumerate() {
            let reaches = block(*best) == *truth || right > best;
            sums[usize::from(number >= self.needed)] += if reaches { *weight } else { 0 };
        }
        Tally {
            found: sums[0],
            missed: 0,
            rejected: sums[1],
        }
    }

    /// What votes on rows that are answered wrong now would make right, by kind of row.
    pub(crate) fn gains(&self, best: &[Key], votes: &[Key]) -> Tally {
        let mut sums = [0; 2];
        let rows = best.iter().zip(votes).zip(&self.weight).zip(&self.truth);
        for (number, (((best, vote), weight), truth)) in rows.enumerate() {
            let gains = block(*vote) == *truth && vote > best && block(*best) != *truth;
            sums[usize::from(number >= self.needed)] += if gains { *weight } else { 0 };
        }
        Tally {
            found: sums[0],
            missed: 0,
            rejected: sums[1],
        }
    }

    /// Raises `right` to the votes that are right.
    pub(crate) fn raise_right(&self, votes: &[Key], right: &mut [Key]) {
        for ((right, vote), truth) in right.iter_mut().zip(votes).zip(&self.truth) {
            let vote = if block(*vote) == *truth {
                *vote
            } else {
                SILENT
            };
            *right = (*right).max(vote);
        }
    }

    /// The metric.
    pub(crate) fn value(&self, metric: Metric, tally: Tally) -> f64 {
        let (found, rejected) = (f64::from(tally.found), f64::from(tally.rejected));
        let (needed, other) = (self.needed_weight as f64, self.other_weight as f64);
        let (part, all) = match metric {
            Metric::Accuracy => (found + rejected, needed + other),
            Metric::F1 => {
                let claimed = needed - f64::from(tally.missed) + other - rejected;
                (2.0 * found, needed + claimed)
            }
        };
        if all > 0.0 { part / all } else { 0.0 }
    }

    /// The most that the metric can be for sets whose tallies are below one of [`Sample::reachable`].
    pub(crate) fn value_bound(&self, metric: Metric, most: Tally) -> f64 {
        let (found, rejected) = (f64::from(most.found), f64::from(most.rejected));
        let (needed, other) = (self.needed_weight as f64, self.other_weight as f64);
        let (part, all) = match metric {
            Metric::Accuracy => (found + rejected, needed + other),
            // Nothing wrong is claimed of needed blocks' rows, and of others no more than must be.
            Metric::F1 => (2.0 * found, needed + found + other - rejected),
        };
        if all > 0.0 { part / all } else { 0.0 }
    }

    /// Weights by which a tally's `found` and `rejected` sum to 0 or more exactly where the metric may reach
    /// `target`, and what else is added.
    pub(crate) fn linear(&self, metric: Metric, target: f64) -> (f64, f64, f64) {
        let (needed, other) = (self.needed_weight as f64, self.other_weight as f64);
        match metric {
            Metric::Accuracy => (1.0, 1.0, -target * (needed + other)),
            Metric::F1 => (2.0 - target, target, -target * (needed + other)),
        }
    }

    /// Seconds of each threshold: the floor among [`FLOOR_STEPS`] at which the metric of a set's greatest votes
    /// (without floor) is best, and the metric there; the lowest among equals.
    pub(crate) fn best_floor(&self, metric: Metric, best: &[Key]) -> (u16, f64) {
        let mut steps = [Tally::default(); FLOOR_STEPS];
        // What a floor above a row's score changes: of needed blocks it is missed, of others rejected.
        let mut now = Tally::default();
        let rows = best.iter().zip(&self.weight).zip(&self.truth).enumerate();
        for (number, ((best, weight), truth)) in rows {
            let step = &mut steps[usize::from(score(*best) >> FLOOR_SHIFT)];
            let answer = block(*best);
            if number < self.needed {
                let found = if answer == *truth { *weight } else { 0 };
                let missed = if answer == OTHERS { *weight } else { 0 };
                now.found += found;
                now.missed += missed;
                step.found += found;
                step.missed += *weight - missed;
            } else {
                let rejected = if answer == *truth { *weight } else { 0 };
                now.rejected += rejected;
                step.rejected += *weight - rejected;
            }
        }
        let mut found = (0, self.value(metric, now));
        if self.unclaimed != OTHER {
            return found;
        }
        for (number, step) in steps.iter().enumerate().take(FLOOR_STEPS - 1) {
            now.found -= step.found;
            now.missed += step.missed;
            now.rejected += step.rejected;
            let value = self.value(metric, now);
            if value > found.1 {
                found = (((number + 1) << FLOOR_SHIFT) as u16, value);
            }
        }
        found
    }

    /// Steps of a cascade: for each threshold among [`FLOOR_STEPS`] the tally, and the weight of the rows that go
    /// on, where rows whose vote in `first` has a score below the threshold are answered as in `both`.
    pub(crate) fn cascades(
        &self,
        first: &[Key],
        both: &[Key],
        floor: u16,
    ) -> [(Tally, u64); FLOOR_STEPS] {
        let floor = self.floor(floor);
        let mut gained = [[0_i64; 4]; FLOOR_STEPS];
        let mut now = [0_i64; 4];
        let rows = first.iter().zip(both).zip(&self.weight).zip(&self.truth);
        for (number, (((first, both), weight), truth)) in rows.enumerate() {
            let is_needed = number < self.needed;
            let w = i64::from(*weight);
            let count = |key: Key, sums: &mut [i64; 4], w: i64| {
                let answer = block(key.max(floor));
                match (is_needed, answer == *truth, answer == OTHERS) {
                    (true, true, _) => sums[0] += w,
                    (true, false, true) => sums[1] += w,
                    (false, true, _) => sums[2] += w,
                    _ => {}
                }
            };
            count(*first, &mut now, w);
            let step = &mut gained[usize::from(score(*first) >> FLOOR_SHIFT)];
            count(*first, step, -w);
            count(*both, step, w);
            step[3] += w;
        }
        gained.map(|step| {
            // After this step its rows go on.
            now.iter_mut()
                .zip(step)
                .for_each(|(now, step)| *now += step);
            let part = |sum: i64| u32::try_from(sum).unwrap_or(0);
            let tally = Tally {
                found: part(now[0]),
                missed: part(now[1]),
                rejected: part(now[2]),
            };
            (tally, u64::try_from(now[3]).unwrap_or(0))
        })
    }

    /// Counts of rows, whatever their weight, for answers of a plan.
    pub(crate) fn counts(&self, answers: &[Key]) -> Counts {
        let mut counts = Counts {
            rows: self.rows() as u64,
            needed: self.needed as u64,
            ..Counts::default()
        };
        for (number, (key, truth)) in answers.iter().zip(&self.truth).enumerate() {
            let (answer, is_needed) = (block(*key), number < self.needed);
            let is_right = answer == *truth;
            counts.right += u64::from(is_right);
            counts.claimed += u64::from(answer != OTHERS);
            counts.found += u64::from(is_right && is_needed);
        }
        counts
    }

    /// Weight of all rows.
    pub(crate) fn total(&self) -> u64 {
        self.needed_weight + self.other_weight
    }

    /// Share of each true block's rows that are answered right: block, weight right, weight.
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

/// How many thresholds are looked at.
pub(crate) const FLOOR_STEPS: usize = 256;
/// From a score to its step.
const FLOOR_SHIFT: u32 = 8;

/// The threshold above step `number`: rows of that step and below are below it.
pub(crate) fn threshold(number: usize) -> u16 {
    u16::try_from((number + 1) << FLOOR_SHIFT).unwrap_or(u16::MAX)
}

/// By how much a row of each outcome counts.
fn weights(truths: &[u16], outcomes: usize, prior: Option<&Prior>) -> Vec<u32> {
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
    shares
        .iter()
        .map(|share| (share * scale).round() as u32)
        .collect()
}

/// The greatest of two votes on each row.
pub(crate) fn combine(best: &[Key], votes: &[Key], into: &mut [Key]) {
    for ((into, best), vote) in into.iter_mut().zip(best).zip(votes) {
        *into = *best.max(vote);
    }
}

/// Raises the greatest votes so far by a model's.
pub(crate) fn raise(best: &mut [Key], votes: &[Key]) {
    for (best, vote) in best.iter_mut().zip(votes) {
        *best = (*best).max(*vote);
    }
}

/// Answers of two stages: rows whose vote in `first` has a score below `pass_below` are answered as in
/// `both`.
pub(crate) fn cascade(first: &[Key], both: &[Key], pass_below: u16) -> Vec<Key> {
    let pick = |(first, both): (&Key, &Key)| {
        if score(*first) < pass_below {
            *both
        } else {
            *first
        }
    };
    first.iter().zip(both).map(pick).collect()
}
