//! Executes a decision for some inputs stage by stage, using kept outputs where possible.

use std::collections::HashMap;

use predictsql_optimizer::planner::{Leader, Voter};
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::shared::Shared;
use crate::backend::LoadedModel;
use crate::error::PredictError;
use crate::identity::InputId;
use crate::input::{Input, Outcome, Scores};
use crate::prepared::Prepared;

/// Scores are rounded to multiples of 1/`SCORE_PARTS`: six decimals, the same on every device.
const SCORE_PARTS: f64 = 1e6;

/// Inputs with distinct contents, during execution of the stages.
pub(super) struct StagedRun<'p> {
    shared: &'p Shared,
    cancel: &'p CancellationToken,
    inputs: Vec<Input>,
    ids: Vec<Option<InputId>>,
    rows: Vec<Row>,
    /// Tensors prepared for several models, and each input's index in them. At most one: waiting
    /// for a second while holding the first could deadlock.
    prepared: Option<(Prepared, HashMap<usize, usize>)>,
    hits: usize,
}

/// State of one input.
#[derive(Debug, Clone, Default)]
struct Row {
    leader: Leader,
    /// Scores of the requested classes.
    scores: Option<Box<[Option<f64>]>>,
    /// Final answer that does not depend on the votes.
    answer: Option<Answer>,
    /// Whether a model had to process it.
    looked_at: bool,
}

impl<'p> StagedRun<'p> {
    /// Inputs with their identities, if outputs are looked up.
    pub(super) fn new(
        shared: &'p Shared,
        contents: Vec<(Input, Option<InputId>)>,
        cancel: &'p CancellationToken,
    ) -> Self {
        let rows = vec![Row::default(); contents.len()];
        let (inputs, ids) = contents.into_iter().unzip();
        Self {
            shared,
            cancel,
            inputs,
            ids,
            rows,
            prepared: None,
            hits: 0,
        }
    }

    /// Returns one answer per input.
    pub(super) async fn answer(&mut self) -> Result<Vec<Answer>, PredictError> {
        let decision = self.shared.decision();
        let mut rows: Vec<usize> = (0..self.inputs.len()).collect();
        let mut voter_number = 0;
        for (number, stage) in decision.stages.iter().enumerate() {
            self.shared.tally.at_stage(number, rows.len());
            for row in &rows {
                if let Some(row) = self.rows.get_mut(*row) {
                    row.leader = decision.before(number, row.leader);
                    if stage.replaces {
                        row.scores = None;
                    }
                }
            }
            for voter in &stage.voters {
                let outcomes = self.outcomes(voter_number, voter, &rows).await?;
                for (row, outcome) in rows.iter().zip(outcomes) {
                    self.take(*row, voter, outcome);
                }
                rows.retain(|row| self.is_open(*row));
                voter_number += 1;
            }
            let leader = |row: &usize| self.rows.get(*row).map(|r| r.leader).unwrap_or_default();
            rows.retain(|row| decision.goes_on(number, leader(row)));
            if rows.is_empty() {
                break;
            }
        }
        self.prepared = None;
        let rows = std::mem::take(&mut self.rows);
        self.hits = rows.iter().filter(|row| !row.looked_at).count();
        Ok(rows.into_iter().map(|row| self.answer_of(row)).collect())
    }

    /// Number of inputs that no model had to process, once they are answered.
    pub(super) fn hits(&self) -> usize {
        self.hits
    }

    fn is_open(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(|row| row.answer.is_none())
    }

    fn answer_of(&self, row: Row) -> Answer {
        row.answer.unwrap_or_else(|| Answer::Class {
            code: usize::from(self.shared.decision().outcome(row.leader)),
            scores: row.scores.unwrap_or_default(),
        })
    }

    /// Applies the outcome of a voter's model for an input.
    fn take(&mut self, row: usize, voter: &Voter, outcome: Outcome) {
        let decision = self.shared.decision();
        let scored = &self.shared.scored;
        let Some(row) = self.rows.get_mut(row) else {
            return;
        };
        match outcome {
            Outcome::Null => row.answer = Some(Answer::Null),
            // Adding 0.0 turns -0.0 into 0.0: the store has no -0.0.
            Outcome::Value(value) => row.answer = Some(Answer::Value(value + 0.0)),
            Outcome::Unreadable(reason) => row.answer = Some(Answer::Unreadable(reason)),
            Outcome::Scores(scores) => {
                let vote = voter.vote(scores.probabilities());
                row.leader = row.leader.max(decision.leader(voter, vote));
                if !scored.is_empty() {
                    let of_voter = scored.iter().map(|c| score(voter, &scores, *c));
                    row.scores = Some(greatest(row.scores.take(), of_voter));
                }
            }
        }
    }

    /// Outcomes of a voter's model for these inputs, from kept outputs or by running it.
    async fn outcomes(
        &mut self,
        number: usize,
        voter: &Voter,
        rows: &[usize],
    ) -> Result<Vec<Outcome>, PredictError> {
        let mut outcomes: Vec<Option<Outcome>> = self.kept(number, voter, rows).await?;
        let places = outcomes.iter().enumerate().filter(|(_, o)| o.is_none());
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        let missing: Vec<usize> = places
            .iter()
            .filter_map(|p| rows.get(*p).copied())
            .collect();
        if !missing.is_empty() {
            let run = self.run(number, &missing).await?;
            for (place, outcome) in places.into_iter().zip(run) {
                if let Some(known) = outcomes.get_mut(place) {
                    *known = Some(outcome);
                }
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    async fn kept(
        &self,
        number: usize,
        voter: &Voter,
        rows: &[usize],
    ) -> Result<Vec<Option<Outcome>>, PredictError> {
        let model = self.shared.models.get(number);
        let (Some(model), true) = (model, self.shared.looks_up()) else {
            return Ok(vec![None; rows.len()]);
        };
        let id = |row: &usize| self.ids.get(*row).copied().flatten();
        let ids: Vec<Option<InputId>> = rows.iter().map(id).collect();
        let codec = voter.model.options.output_codec();
        let (found, asked_of_store) = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(PredictError::Cancelled),
            found = self.shared.cache.find(model.output, codec, &ids) => found,
        };
        let missing = found
            .iter()
            .zip(&ids)
            .filter(|(f, id)| f.is_none() && id.is_some());
        self.shared.work.missed(missing.count());
        let kept = found.iter().flatten().count();
        self.shared.tally.kept(number, kept);
        self.shared.tally.asked_of_store(number, asked_of_store);
        Ok(found.into_iter().map(|f| f.map(Outcome::Scores)).collect())
    }

    /// Runs a voter's model on these inputs, and keeps its outputs.
    async fn run(&mut self, number: usize, rows: &[usize]) -> Result<Vec<Outcome>, PredictError> {
        for row in rows {
            if let Some(row) = self.rows.get_mut(*row) {
                row.looked_at = true;
            }
        }
        let (outcomes, ids) = match &self.shared.models[..] {
            [_] => self.run_alone(rows).await?,
            _ => self.run_prepared(number, rows).await?,
        };
        if let (Some(model), true) = (self.shared.models.get(number), self.shared.keeps()) {
            let said = ids.into_iter().zip(&outcomes);
            let scores = said.filter_map(|(id, outcome)| match outcome {
                Outcome::Scores(scores) => Some((id, scores)),
                Outcome::Value(_) | Outcome::Null | Outcome::Unreadable(_) => None,
            });
            self.shared.cache.keep(model.output, scores);
        }
        let seen = |outcome: &&Outcome| match outcome {
            Outcome::Scores(_) | Outcome::Value(_) => true,
            Outcome::Null | Outcome::Unreadable(_) => false,
        };
        let inferred = outcomes.iter().filter(seen).count();
        self.shared.tally.inferred(number, inferred);
        self.shared.work.inferred(inferred)?;
        Ok(outcomes)
    }

    /// Runs the only model: no tensors are prepared for others.
    async fn run_alone(
        &self,
        rows: &[usize],
    ) -> Result<(Vec<Outcome>, Vec<Option<InputId>>), PredictError> {
        let (shared, cancel) = (self.shared, self.cancel);
        let model = shared.model(0, cancel).await?;
        let inputs = self.inputs_of(rows);
        let executor = shared.executor.on_account(shared.tally.account(0));
        if shared.keeps() {
            let predicted = executor.predict_identified(model, inputs, cancel);
            return predicted.await;
        }
        let predicted = executor.predict(model, inputs, cancel).await;
        Ok((predicted?, Vec::new()))
    }

    async fn run_prepared(
        &mut self,
        number: usize,
        rows: &[usize],
    ) -> Result<(Vec<Outcome>, Vec<Option<InputId>>), PredictError> {
        let (shared, cancel) = (self.shared, self.cancel);
        let covers = |(_, places): &(Prepared, HashMap<usize, usize>)| {
            rows.iter().all(|row| places.contains_key(row))
        };
        if !self.prepared.as_ref().is_some_and(covers) {
            self.prepared = None;
            let mut models: Vec<LoadedModel> = Vec::new();
            for voter in number..shared.models.len() {
                models.push(shared.model(voter, cancel).await?.clone());
            }
            let inputs = self.inputs_of(rows);
            let prepared = shared.executor.prepare(&models, inputs, cancel).await;
            let places = rows.iter().enumerate().map(|(place, row)| (*row, place));
            self.prepared = Some((prepared?, places.collect()));
        }
        let Some((prepared, places)) = &self.prepared else {
            return Err(PredictError::Internal {
                reason: "inputs that were not prepared",
            });
        };
        let model = shared.model(number, cancel).await?;
        let places: Vec<usize> = rows.iter().filter_map(|r| places.get(r).copied()).collect();
        let outcomes = shared
            .executor
            .on_account(shared.tally.account(number))
            .infer(prepared, model, &places, cancel)
            .await;
        let id = |place: &usize| prepared.ids().get(*place).copied().flatten();
        Ok((outcomes?, places.iter().map(id).collect()))
    }

    fn inputs_of(&self, rows: &[usize]) -> Vec<Input> {
        let input = |row: &usize| self.inputs.get(*row).cloned().unwrap_or(Input::Null);
        rows.iter().map(input).collect()
    }
}

/// For each requested class, the greatest score that a voter gives it.
fn greatest(
    known: Option<Box<[Option<f64>]>>,
    of_voter: impl Iterator<Item = Option<f64>>,
) -> Box<[Option<f64>]> {
    let mut known = known.unwrap_or_default().into_iter();
    let merge = |score: Option<f64>| match (known.next().flatten(), score) {
        (Some(known), Some(score)) => Some(known.max(score)),
        (known, score) => known.or(score),
    };
    of_voter.map(merge).collect()
}

/// The score of a class by a voter, calibrated if a calibration was published, rounded to six
/// decimals; `None` if the voter does not cover the class.
fn score(voter: &Voter, scores: &Scores, class: usize) -> Option<f64> {
    let label = voter.label_of_class(class)?;
    let score = f64::from(match &voter.calibration {
        Some(calibration) => calibration.score_of(scores.probabilities(), label)?,
        None => *scores.probabilities().get(label)?,
    });
    Some((score * SCORE_PARTS).round() / SCORE_PARTS)
}
