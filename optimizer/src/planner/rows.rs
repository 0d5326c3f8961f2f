//! Selects the labelled rows that plans are searched on, if there are more than the limit.
//!
//! The rows are stratified and each stratum keeps its total weight, so that replay stays unbiased
//! for every set of models. The strata are: rows of needed blocks, of which the first represent
//! the rest (rows are stored in random order); other rows that a model claims to be of a needed
//! block with a high score, all of which are kept, since they determine the false claims and are
//! few; and the remaining others, again represented by the first.

use predictsql_catalog::Vote;

use super::blocks::{Blocks, OTHER};
use super::query::Prior;

/// Maximum share of rows of needed blocks in the selection, if there are enough others.
const NEEDED_SHARE: f64 = 0.4;
/// Share of the others that are selected for being claimed with high scores.
const CLAIMED_SHARE: f64 = 0.75;
/// Maximum number of rows among which these are searched.
const SOUGHT_MAX: usize = 6_144;

/// A weighted sample of the rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    /// Sampled rows as (row, weight); rows of needed blocks come first.
    pub(super) rows: Vec<(u16, f64)>,
    /// Number of rows of needed blocks.
    pub(super) needed: usize,
}

impl Chosen {
    /// All rows, up to the first 65,535.
    pub(crate) fn all(truths: &[u16], blocks: &Blocks) -> Self {
        Self::new(truths, blocks, usize::MAX, &[])
    }

    /// At most `rows_max` of the rows with these true outcomes. `votes` are those of each
    /// candidate model.
    pub(crate) fn new(truths: &[u16], blocks: &Blocks, rows_max: usize, votes: &[&[Vote]]) -> Self {
        let rows = 0..u16::try_from(truths.len()).unwrap_or(u16::MAX);
        let (mut needed, mut others) = (Vec::new(), Vec::new());
        for (row, truth) in rows.zip(truths) {
            match blocks.truth(*truth) {
                OTHER => others.push(row),
                _ => needed.push(row),
            }
        }
        let all = (needed.len(), others.len());
        let mut chosen = Self::default();
        if all.0 + all.1 > rows_max {
            let share = (rows_max as f64 * NEEDED_SHARE) as usize;
            needed.truncate(share.max(rows_max - all.1.min(rows_max)));
        }
        chosen.needed = needed.len();
        chosen.add(&needed, all.0);
        let room = rows_max - needed.len().min(rows_max);
        if others.len() <= room {
            chosen.add(&others, all.1);
            return chosen;
        }
        others.truncate(SOUGHT_MAX.max(room));
        let stands_for = all.1 as f64 / others.len() as f64;
        let (claimed, rest) = by_claims(others, room, blocks, votes);
        for (kept, of) in [(&claimed, claimed.len()), (&rest.0, rest.1)] {
            chosen.add(kept, (of as f64 * stands_for).round() as usize);
        }
        chosen
    }

    /// About `rows_max` rows or fewer, with each outcome in proportion to its share in a prior;
    /// the first rows of an outcome represent the rest.
    pub(crate) fn by_prior(
        truths: &[u16],
        blocks: &Blocks,
        prior: &Prior,
        rows_max: usize,
    ) -> Self {
        if truths.len() <= rows_max {
            return Self::all(truths, blocks);
        }
        let mut by_outcome: Vec<Vec<u16>> = vec![Vec::new(); blocks.outcomes()];
        for (row, truth) in (0..u16::MAX).zip(truths) {
            if let Some(rows) = by_outcome.get_mut(usize::from(*truth)) {
                rows.push(row);
            }
        }
        let mut chosen = Self::default();
        for is_needed in [true, false] {
            for (outcome, rows) in (0..u16::MAX).zip(&by_outcome) {
                if (blocks.truth(outcome) != OTHER) == is_needed {
                    let share = (prior.share_of(outcome) * rows_max as f64).ceil() as usize;
                    chosen.add(rows.get(..share).unwrap_or(rows), rows.len());
                }
            }
            if is_needed {
                chosen.needed = chosen.rows.len();
            }
        }
        chosen
    }

    /// Adds rows with the total weight of `all` rows.
    fn add(&mut self, rows: &[u16], all: usize) {
        let factor = all as f64 / rows.len().max(1) as f64;
        self.rows.extend(rows.iter().map(|row| (*row, factor)));
    }
}

/// Of rows that are of no needed block: those claimed with the highest scores, and the first of
/// the rest, with the number of the rest.
fn by_claims(
    rows: Vec<u16>,
    room: usize,
    blocks: &Blocks,
    votes: &[&[Vote]],
) -> (Vec<u16>, (Vec<u16>, usize)) {
    let is_needed: Vec<u16> = (0..blocks.outcomes())
        .map(|outcome| u16::try_from(outcome).unwrap_or(u16::MAX))
        .map(|outcome| {
            if blocks.of(outcome) == OTHER {
                0
            } else {
                u16::MAX
            }
        })
        .collect();
    let last = rows.last().map_or(0, |row| usize::from(*row) + 1);
    let mut claims = vec![0_u16; last];
    for votes in votes {
        for (claim, vote) in claims.iter_mut().zip(*votes) {
            let mask = is_needed.get(usize::from(vote.outcome())).copied();
            *claim = (*claim).max(vote.score() & mask.unwrap_or(0));
        }
    }
    let claim = |row: &u16| claims.get(usize::from(*row)).copied().unwrap_or(0);
    let count = (room as f64 * CLAIMED_SHARE) as usize;
    let mut scores: Vec<u16> = rows.iter().map(claim).collect();
    let least = match scores.len().checked_sub(count) {
        Some(place) if place < scores.len() => *scores.select_nth_unstable(place).1,
        _ => u16::MAX,
    };
    // Rows with the same score go to the same stratum.
    let (claimed, mut rest): (Vec<u16>, Vec<u16>) =
        rows.into_iter().partition(|row| claim(row) > least);
    let all = rest.len();
    rest.truncate(room.saturating_sub(claimed.len()).max(1));
    (claimed, (rest, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::replay::Sample;

    /// Of 5,000 rows every tenth is of class 0, which is needed.
    fn truths() -> Vec<u16> {
        (0..5_000)
            .map(|row| if row % 10 == 0 { 1 } else { 2 })
            .collect()
    }

    fn counted(chosen: &Chosen) -> (f64, f64) {
        let sum = |rows: &[(u16, f64)]| rows.iter().map(|(_, factor)| factor).sum();
        (
            sum(&chosen.rows[..chosen.needed]),
            sum(&chosen.rows[chosen.needed..]),
        )
    }

    #[test]
    fn rows_count_for_all() {
        let blocks = Blocks::any_of(&[0], 2, false);
        let claims: Vec<Vote> = (0..5_000).map(|row| Vote::new(row % 997, 1)).collect();
        for rows_max in [10, 300, 1_024, 4_999, 5_000, usize::MAX] {
            let chosen = Chosen::new(&truths(), &blocks, rows_max, &[&claims]);
            assert_eq!(chosen.rows.len(), rows_max.min(5_000), "{rows_max}");
            let (needed, others) = counted(&chosen);
            assert!((needed - 500.0).abs() < 1e-6, "{needed}");
            assert!((others - 4_500.0).abs() < 1e-6, "{others}");
        }
    }

    #[test]
    fn what_is_claimed_with_high_scores_is_looked_at() {
        let blocks = Blocks::any_of(&[0], 2, false);
        // Another model's votes on the same rows claim no needed class.
        let claims: Vec<Vote> = (0..5_000_u16)
            .map(|row| Vote::new(if row % 50 == 7 { 60_000 } else { 9 }, 1))
            .collect();
        let rest: Vec<Vote> = vec![Vote::new(65_000, 2); 5_000];
        let chosen = Chosen::new(&truths(), &blocks, 500, &[&claims, &rest]);
        let claimed = chosen.rows[chosen.needed..]
            .iter()
            .filter(|(row, _)| row % 50 == 7);
        let factors: Vec<f64> = claimed.map(|(_, factor)| *factor).collect();
        assert_eq!(factors, [1.0; 100]);
    }

    #[test]
    fn rows_of_a_prior_are_of_its_classes_however_rare() {
        // Two rows of class 0 among 5,000, the first one far from the start.
        let mut truths = vec![2_u16; 5_000];
        truths[3_000] = 1;
        truths[4_000] = 1;
        let prior = Prior::new(&[0.0, 0.9, 0.1]).expect("weights");
        for (blocks, needed) in [
            (Blocks::any_of(&[0], 2, false), 2),
            (Blocks::any_of(&[1], 2, false), 103),
        ] {
            let chosen = Chosen::by_prior(&truths, &blocks, &prior, 1_024);
            assert_eq!((chosen.needed, chosen.rows.len()), (needed, 105));
            let rare: Vec<_> = chosen
                .rows
                .iter()
                .filter(|(row, _)| truths[usize::from(*row)] == 1)
                .collect();
            assert_eq!(rare, [&(3_000, 1.0), &(4_000, 1.0)]);
            let sum: f64 = chosen.rows.iter().map(|(_, factor)| factor).sum();
            assert!((sum - 5_000.0).abs() < 1e-6, "{sum}");
            // However large the weight of a rare class is, the sum of the weights stays below the
            // type's maximum.
            let sample = Sample::new(&truths, &blocks, Some(&prior), &chosen);
            let total = sample.total() as f64 / f64::from(1_u32 << 30);
            assert!((total - 1.0).abs() < 1e-3, "{total}");
        }
    }

    #[test]
    fn where_all_is_needed_the_first_stand_for_all() {
        let blocks = Blocks::every_class(2, false);
        let chosen = Chosen::new(&truths(), &blocks, 1_000, &[]);
        assert_eq!((chosen.needed, chosen.rows.len()), (1_000, 1_000));
        assert_eq!(chosen.rows[999], (999, 5.0));
    }
}
