//! Thresholds: evaluates floors and cascade thresholds in one pass over the rows.

use super::blocks::OTHER;
use super::query::Metric;
use super::replay::{Key, OTHERS, Sample, Tally, block, score, when};

/// Number of thresholds evaluated.
pub(crate) const FLOOR_STEPS: usize = 256;
/// Shift that maps a score to its step.
const FLOOR_SHIFT: u32 = 8;

/// The threshold above step `number`: rows of this step and lower ones are below it.
pub(crate) fn threshold(number: usize) -> u16 {
    u16::try_from((number + 1) << FLOOR_SHIFT).unwrap_or(u16::MAX)
}

impl Sample {
    /// The floor among [`FLOOR_STEPS`] with the best metric for a set's greatest votes (without
    /// floor), and the metric there; the lowest among equals.
    pub(crate) fn best_floor(&self, metric: Metric, best: &[Key]) -> (u16, f64) {
        let mut now = self.tally(best, best);
        if self.unclaimed != OTHER {
            return (0, self.value(metric, now));
        }
        // Effect of a floor above a row's score: a row of a needed block is missed, another is
        // rejected.
        let mut steps = [Tally::default(); FLOOR_STEPS];
        let (needed, rest) = self.halves(best, best);
        for (((best, _), weight), truth) in needed.rows() {
            let step = &mut steps[step(*best)];
            step.found += when(block(*best) == *truth, *weight);
            step.missed += when(block(*best) != OTHERS, *weight);
        }
        for (((best, _), weight), truth) in rest.rows() {
            steps[step(*best)].rejected += when(block(*best) != *truth, *weight);
        }
        let mut found = (0, self.value(metric, now));
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

    /// For each threshold among [`FLOOR_STEPS`], the tally and the weight of the rows that go on,
    /// where rows whose vote in `first` has a score below the threshold are answered as in `both`.
    pub(crate) fn cascades(
        &self,
        first: &[Key],
        both: &[Key],
        floor: u16,
    ) -> [(Tally, u32); FLOOR_STEPS] {
        let floor = self.floor(floor);
        let mut steps = [(Tally::default(), 0_u32); FLOOR_STEPS];
        let mut now = Tally::default();
        // Changes may be negative, but their sums never are, so wrapping arithmetic is correct.
        let change = |sum: &mut u32, now: bool, then: bool, weight: u32| {
            *sum = sum
                .wrapping_add(when(then, weight))
                .wrapping_sub(when(now, weight));
        };
        let (needed, rest) = self.halves(first, both);
        for (((first, both), weight), truth) in needed.rows() {
            let (answer, then) = (block(*first.max(&floor)), block(*both.max(&floor)));
            now.found += when(answer == *truth, *weight);
            now.missed += when(answer == OTHERS, *weight);
            let (step, goes_on) = &mut steps[step(*first)];
            change(&mut step.found, answer == *truth, then == *truth, *weight);
            change(&mut step.missed, answer == OTHERS, then == OTHERS, *weight);
            *goes_on += weight;
        }
        for (((first, both), weight), truth) in rest.rows() {
            let (answer, then) = (block(*first.max(&floor)), block(*both.max(&floor)));
            now.rejected += when(answer == *truth, *weight);
            let (step, goes_on) = &mut steps[step(*first)];
            change(
                &mut step.rejected,
                answer == *truth,
                then == *truth,
                *weight,
            );
            *goes_on += weight;
        }
        let mut going = 0;
        steps.map(|(step, goes_on)| {
            // From this step on its rows go on.
            now.found = now.found.wrapping_add(step.found);
            now.missed = now.missed.wrapping_add(step.missed);
            now.rejected = now.rejected.wrapping_add(step.rejected);
            going += goes_on;
            (now, going)
        })
    }
}

fn step(key: Key) -> usize {
    usize::from(score(key) >> FLOOR_SHIFT)
}

/// Answers of a two-stage cascade: rows whose vote in `first` has a score below `pass_below` are
/// answered as in `both`.
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
