//! Answers of a choice to all labelled rows of one part.

use std::borrow::Cow;
use std::collections::HashMap;

use predictsql_catalog::{ModelStatistics, Vote};

use super::certificate::{Counts, FAILURE_PROBABILITY};
use super::choice::Choice;
use super::measured::Measured;
use super::plan::Guarantee;
use super::replay::{Key, MORE_ROWS_MAX, Sample, raise};
use super::rows::Chosen;
use super::thinning::Thinned;
use super::thresholds::cascade;

/// Rows on which choices are fully replayed, with the projected votes of the candidates used so
/// far.
pub(super) struct Rows<'m, 'a> {
    measured: &'m Measured<'a>,
    sample: Cow<'m, Sample>,
    votes: fn(&ModelStatistics) -> &[Vote],
    known: HashMap<u16, Vec<Key>>,
    /// The rows that count where rows are counted rather than weighted; `None`: all.
    thinned: Option<Thinned>,
}

impl<'m, 'a> Rows<'m, 'a> {
    /// The certification rows: all are weighted; for counts they are thinned to a sample of the
    /// population that a prior declares.
    pub(super) fn cert(measured: &'m Measured<'a>) -> Self {
        let (query, cert) = (measured.query, &measured.statistics.cert);
        let all = Chosen::all(cert, query.blocks);
        let sample = Sample::new(cert, query.blocks, query.prior, &all);
        let rates = measured.rates.as_ref();
        Self {
            measured,
            sample: Cow::Owned(sample),
            votes: |s| &s.cert,
            known: HashMap::new(),
            thinned: rates.map(|rates| rates.thin(cert)),
        }
    }

    /// The rows that plans are searched on, plus more of the same part.
    pub(super) fn more(measured: &'m Measured<'a>) -> Self {
        let (query, plan) = (measured.query, &measured.statistics.plan);
        let chosen = match query.prior {
            None => Chosen::new(plan, query.blocks, MORE_ROWS_MAX, &[]),
            Some(prior) => Chosen::by_prior(plan, query.blocks, prior, MORE_ROWS_MAX),
        };
        let sample = Sample::new(plan, query.blocks, query.prior, &chosen);
        Self {
            sample: Cow::Owned(sample),
            ..Self::plan(measured)
        }
    }

    /// The rows that plans are searched on.
    pub(super) fn plan(measured: &'m Measured<'a>) -> Self {
        let sample = Cow::Borrowed(&measured.sample);
        Self {
            measured,
            sample,
            votes: |s| &s.plan,
            known: HashMap::new(),
            thinned: None,
        }
    }

    pub(super) fn counts(&mut self, choice: &Choice) -> Counts {
        let answers = self.answers(choice);
        match &self.thinned {
            None => self.sample.counts(&answers, |_| true),
            Some(thinned) => self.sample.counts(&answers, |row| thinned.keeps(row)),
        }
    }

    /// Confidence interval of a choice, from rows that were not used to choose it.
    pub(super) fn interval(&mut self, choice: &Choice) -> Option<Guarantee> {
        let (counts, metric) = (self.counts(choice), self.measured.query.metric);
        counts.observed(metric).map(|observed| Guarantee {
            observed,
            at_least: counts.lower_bound(metric, FAILURE_PROBABILITY),
            failure: FAILURE_PROBABILITY,
            rows: counts.rows,
            is_asked_for: false,
        })
    }

    /// Expected metric of a choice: measured on these rows if they are sufficient, since its value
    /// on the rows it was searched on is biased upwards.
    pub(super) fn expected(&mut self, choice: &Choice) -> f64 {
        let metric = self.measured.query.metric;
        if !self.sample.tells(metric) {
            return choice.value;
        }
        let answers = self.answers(choice);
        let tally = self.sample.tally(&answers, &answers);
        self.sample.value(metric, tally)
    }

    /// The answers of a choice.
    pub(super) fn answers(&mut self, choice: &Choice) -> Vec<Key> {
        let mut best = vec![self.sample.floor(0); self.sample.rows()];
        self.raise(&mut best, &choice.first);
        let mut answers = best.clone();
        if let Some(second) = &choice.second {
            if second.replaces {
                best.fill(self.sample.floor(0));
            }
            self.raise(&mut best, &second.set);
            answers = cascade(&answers, &best, second.pass_below);
        }
        let floor = self.sample.floor(choice.floor);
        answers
            .iter_mut()
            .for_each(|answer| *answer = floor.max(*answer));
        answers
    }

    fn raise(&mut self, best: &mut [Key], set: &[u16]) {
        let blocks = self.measured.query.blocks;
        for m in set {
            let Some(candidate) = self.measured.candidates.get(usize::from(*m)) else {
                continue;
            };
            let keys = self.known.entry(*m).or_insert_with(|| {
                let mut keys = Vec::new();
                let votes = (self.votes)(candidate.statistics);
                self.sample
                    .project(votes, blocks, candidate.none, &mut keys);
                keys
            });
            raise(best, keys);
        }
    }
}
