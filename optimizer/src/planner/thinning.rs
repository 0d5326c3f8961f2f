//! Thinning: samples labelled rows to the class frequencies of the population that a prior
//! declares.
//!
//! The bounds of certificates (`certificate`) are bounds of counts, so certification rows are not
//! weighted: each row of class c is kept with a probability proportional to (prior of c) / (share
//! of c), scaled to a maximum of 1, by a pseudo-random number of the row's index. The index is
//! determined by a hash of the row's input and is independent of its content. The kept rows have
//! class frequencies as in the prior, and within a class all rows are equally likely.
//!
//! Assumption: an input of class c of the query is distributed like a labelled row of class c;
//! only the class frequencies differ. The share of c is estimated from the rows that plans are
//! searched on and the certification rows together: rows are assigned to the parts by a hash of
//! the input, so both have the same distribution. Estimating this share from the rows themselves
//! does not weaken a promise: if by chance the certification rows have more of a class, the
//! estimate is higher as well, so that the frequencies of the kept rows vary less about the prior
//! than those of independently drawn rows (with n rows in all, m of which certify, the variance
//! between classes is 1 - m/n of theirs to first order), and rows within a class are still drawn
//! independently. If the share were estimated from other rows only, its error would be added.

use predictsql_catalog::TaskStatistics;

use super::query::Prior;

/// Probability of keeping a row, by outcome.
#[derive(Debug, Clone)]
pub(super) struct Rates(Vec<f64>);

/// Whether each row of a part is kept.
#[derive(Debug)]
pub(super) struct Thinned(Vec<bool>);

impl Rates {
    /// The rates for the certification rows.
    pub(super) fn new(prior: &Prior, statistics: &TaskStatistics) -> Self {
        let (plan, cert) = (counts(&statistics.plan), counts(&statistics.cert));
        let outcomes = plan.len().max(cert.len());
        let of = |counts: &[u32], outcome: usize| counts.get(outcome).copied().unwrap_or(0);
        let rate = |outcome: usize| match of(&cert, outcome) {
            0 => 0.0,
            certify => {
                let all = f64::from(certify) + f64::from(of(&plan, outcome));
                prior.of(u16::try_from(outcome).unwrap_or(u16::MAX)) / all
            }
        };
        let rates: Vec<f64> = (0..outcomes).map(rate).collect();
        let largest = rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        Self(rates.iter().map(|rate| rate / largest).collect())
    }

    /// The probability of keeping a row of an outcome.
    pub(super) fn of(&self, outcome: u16) -> f64 {
        self.0.get(usize::from(outcome)).copied().unwrap_or(0.0)
    }

    /// Thins rows with these true outcomes.
    pub(super) fn thin(&self, truths: &[u16]) -> Thinned {
        let stays = |(row, truth): (u64, &u16)| uniform(row) < self.of(*truth);
        Thinned((0..).zip(truths).map(stays).collect())
    }
}

impl Thinned {
    /// Whether the row at this index is kept.
    pub(super) fn keeps(&self, row: u16) -> bool {
        self.0.get(usize::from(row)).copied().unwrap_or(false)
    }
}

/// Number of rows by true outcome.
pub(super) fn counts(truths: &[u16]) -> Vec<u32> {
    let outcomes = truths.iter().max().map_or(0, |most| usize::from(*most) + 1);
    let mut counts = vec![0; outcomes];
    for truth in truths {
        if let Some(count) = counts.get_mut(usize::from(*truth)) {
            *count += 1;
        }
    }
    counts
}

/// A number in 0..1, the same for the same argument on every platform (the finaliser of
/// SplitMix64, Steele et al. 2014).
fn uniform(number: u64) -> f64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of outcomes 1, 2 and 3: half, three tenths and a fifth of them.
    fn statistics() -> TaskStatistics {
        let truths = |count: u16| {
            (0..count).map(|row| [1, 1, 1, 1, 1, 2, 2, 2, 3, 3][usize::from(row) % 10])
        };
        TaskStatistics {
            task: "t".to_owned(),
            task_version: 1,
            epoch: 1,
            population: String::new(),
            plan: truths(10_000).collect(),
            cert: truths(20_000).collect(),
            models: Vec::new(),
        }
    }

    #[test]
    fn what_stays_is_in_the_shares_of_the_prior() {
        let statistics = statistics();
        let prior = Prior::new(&[0.0, 0.1, 0.3, 0.6]).expect("weights");
        let thinned = Rates::new(&prior, &statistics).thin(&statistics.cert);
        let rows = (0..).zip(&*statistics.cert);
        let stays: Vec<u16> = rows
            .filter(|(row, _)| thinned.keeps(*row))
            .map(|(_, t)| *t)
            .collect();
        let counts = counts(&stays);
        // All rows of the class with the largest rate are kept, and of the others a proportionate
        // number.
        assert_eq!(counts[3], 4_000);
        assert!((1_900..2_100).contains(&counts[2]), "{counts:?}");
        assert!((570..770).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn the_rows_own_shares_keep_all_of_them() {
        let statistics = statistics();
        let own = Prior::new(&[0.0, 0.5, 0.3, 0.2]).expect("weights");
        let thinned = Rates::new(&own, &statistics).thin(&statistics.cert);
        let kept = (0..20_000).filter(|row| thinned.keeps(*row)).count();
        assert!(kept > 19_990, "{kept}");
    }

    #[test]
    fn classes_without_a_share_or_a_row_have_no_part() {
        let mut statistics = statistics();
        let cert = statistics.cert.iter().copied();
        statistics.cert = cert.filter(|truth| *truth != 3).collect();
        let prior = Prior::new(&[0.0, 0.0, 0.5, 0.5]).expect("weights");
        let rates = Rates::new(&prior, &statistics);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|o| rates.of(o)),
            [0.0, 0.0, 1.0, 0.0, 0.0]
        );
    }
}
