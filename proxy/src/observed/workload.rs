//! The work of one statement: as estimated before it runs, and as counted afterwards.

use predictsql_executor::{Executor, StageSeconds};
use predictsql_optimizer::plan::{Plan, Prediction};

use super::counts::{Counts, PredictionCounts};
use super::memory::{Fingerprint, Kept};
use crate::predict::Predictor;

/// Inferences below which a second thread has nothing to do.
const INFERENCES_PER_THREAD: f64 = 16.0;

/// What executes a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Materialise,
}

impl Kind {
    pub(super) const COUNT: usize = 2;
}

/// The work of one statement.
#[derive(Debug)]
pub struct Workload<'r> {
    pub(super) fingerprint: Fingerprint,
    plan: &'r Plan<'r, 'r>,
    predictions: Vec<PredictionWork<'r>>,
    threads: f64,
}

/// The work of one prediction.
#[derive(Debug)]
pub(super) struct PredictionWork<'r> {
    /// Name of the task.
    pub(super) task: &'r str,
    /// Decoding and preprocessing an input, as the plan has it, in CPU seconds.
    pub(super) preparing_published: f64,
    prediction: &'r Prediction,
    predictor: &'r Predictor,
    is_needed: bool,
    voters: Vec<VoterWork>,
}

/// The work of one model.
#[derive(Debug, Clone, Copy)]
pub(super) struct VoterWork {
    pub(super) output: [u8; 16],
    /// CPU seconds of an inference, as the plan has it.
    pub(super) published: Option<f64>,
    /// Seconds of its load, if the statement loaded it.
    pub(super) loaded_in: Option<f64>,
    stage: usize,
    was_loaded: bool,
}

impl<'r> Workload<'r> {
    /// The work of a plan that has not run yet.
    #[must_use]
    pub fn new(
        fingerprint: Fingerprint,
        plan: &'r Plan<'r, 'r>,
        predictors: &'r [Predictor],
        executor: &Executor,
    ) -> Self {
        let numbered = plan.predictions.iter().zip(predictors).enumerate();
        let predictions: Vec<_> = numbered
            .map(|(number, (prediction, predictor))| {
                let is_needed = plan.predict(number).is_none_or(|predict| predict.needed);
                PredictionWork::new(prediction, predictor, is_needed, executor)
            })
            .collect();
        let voters = predictions.iter().flat_map(PredictionWork::voters);
        let outputs: Vec<[u8; 16]> = voters.map(|voter| voter.output).collect();
        Self {
            fingerprint: fingerprint.answered_by(&outputs),
            plan,
            predictions,
            threads: executor.threads().max(1) as f64,
        }
    }

    /// Looks at what the statement has done; call it when it has ended.
    pub fn ended(&mut self) {
        for prediction in &mut self.predictions {
            let loads = prediction.predictor.load_seconds();
            for (voter, seconds) in prediction.voters.iter_mut().zip(loads) {
                voter.loaded_in = seconds.filter(|_| !voter.was_loaded);
            }
        }
    }

    pub(super) fn predictions(&self) -> impl Iterator<Item = &PredictionWork<'r>> {
        self.predictions.iter()
    }

    pub(super) fn kind(&self) -> Kind {
        match self.plan.project() {
            Some(_) => Kind::Stream,
            None => Kind::Materialise,
        }
    }

    fn harvests(&self) -> f64 {
        self.plan.relates().len() as f64
    }

    /// The numbers as the store and the plan estimate them. `kept` tells how many of a number of
    /// inputs a model has kept outputs for.
    pub(super) fn estimated(&self, kept: impl Fn([u8; 16], f64) -> f64) -> Option<Counts> {
        let predictions = self.predictions.iter();
        let predictions: Option<Vec<_>> = predictions.map(|p| p.estimated(&kept)).collect();
        let predictions = predictions?;
        let inputs = || predictions.iter().map(|p| p.inputs);
        let scan = self.plan.scan();
        let rows = match scan {
            Some(scan) if scan.pushdown.limit_pushed => inputs().fold(0.0, f64::max),
            Some(scan) => scan.rows?,
            None => inputs().sum(),
        };
        Some(Counts {
            rows,
            harvests: self.harvests(),
            predictions,
        })
    }

    /// The numbers of the same statement if it ran again.
    pub(super) fn again(&self, counts: &Counts) -> Counts {
        let mut counts = counts.clone();
        for (counts, prediction) in counts.predictions.iter_mut().zip(&self.predictions) {
            if prediction.predictor.looks_up() {
                counts.inferred.clone_from(&counts.again);
            } else {
                let most = counts.inputs;
                counts
                    .inferred
                    .clone_from(&prediction.without_lookups(most));
            }
            counts.prepared = prediction.prepared(&counts.inferred);
            // What is kept is in memory now, and what is not kept is asked for again.
            counts.asked_of_store = prediction.asked_of_store(&counts.inferred);
        }
        counts
    }

    /// The numbers as counted.
    pub(super) fn counted(&self, rows_read: u64) -> Counts {
        Counts {
            rows: rows_read as f64,
            harvests: self.harvests(),
            predictions: self
                .predictions
                .iter()
                .map(PredictionWork::counted)
                .collect(),
        }
    }

    /// Outputs that are kept since it ran, by output id.
    pub(super) fn kept(&self) -> impl Iterator<Item = ([u8; 16], Kept)> {
        self.predictions.iter().flat_map(PredictionWork::kept)
    }

    /// Seconds of the work on models, summed over threads, as counted.
    pub(super) fn spent(&self) -> StageSeconds {
        let spent = self.predictions.iter().map(PredictionWork::spent);
        spent.fold(StageSeconds::default(), |sum, spent| sum + spent)
    }

    /// Seconds in which the models are loaded that must run and are not loaded yet; `expected`
    /// tells them by output id.
    pub(super) fn loading_seconds(
        &self,
        counts: &Counts,
        expected: impl Fn([u8; 16]) -> f64,
    ) -> f64 {
        let predictions = self.predictions.iter().zip(&counts.predictions);
        let voters = predictions.flat_map(|(p, counts)| p.voters.iter().zip(&counts.inferred));
        let loads = voters.filter(|(voter, inferred)| !voter.was_loaded && **inferred > 0.0);
        loads.map(|(voter, _)| expected(voter.output)).sum()
    }

    /// Seconds in which the statement has loaded models.
    pub(super) fn loaded_seconds(&self) -> f64 {
        let voters = self.predictions.iter().flat_map(PredictionWork::voters);
        voters.filter_map(|voter| voter.loaded_in).sum()
    }

    /// Elapsed seconds of work on models if nothing else is to do.
    pub(super) fn elapsed(&self, counts: &Counts, work: &StageSeconds) -> f64 {
        let pieces = counts.inferences() / INFERENCES_PER_THREAD;
        let threads = pieces.clamp(1.0, self.threads);
        let cpu = (work.preparing + work.inferring) / threads;
        cpu.max(work.fetching / self.threads)
    }
}

impl<'r> PredictionWork<'r> {
    fn new(
        prediction: &'r Prediction,
        predictor: &'r Predictor,
        is_needed: bool,
        executor: &Executor,
    ) -> Self {
        let plan = &prediction.decided.plan;
        let mut outputs = predictor.outputs();
        let mut voters = Vec::new();
        let stages = plan.decision.stages.iter().zip(&plan.stages).enumerate();
        for (stage, (decided, estimate)) in stages {
            let declared = |model: &predictsql_catalog::Model| model.seconds_per_image;
            let all: Option<f64> = decided.voters.iter().map(|v| declared(&v.model)).sum();
            for voter in &decided.voters {
                // The plan has the seconds of a stage: each model's share is as at its creation.
                let share = match (declared(&voter.model), all) {
                    (Some(own), Some(all)) if all > 0.0 => own / all,
                    _ => 1.0 / decided.voters.len().max(1) as f64,
                };
                let published = estimate.inference_seconds.value();
                voters.push(VoterWork {
                    output: outputs.next().unwrap_or_default(),
                    published: published.map(|seconds| seconds * share),
                    loaded_in: None,
                    stage,
                    was_loaded: executor.is_loaded(&voter.model),
                });
            }
        }
        let first = plan.stages.first();
        let preparing =
            first.and_then(|stage| Some(stage.seconds.value()? - stage.inference_seconds.value()?));
        Self {
            task: &prediction.task.name,
            preparing_published: preparing.unwrap_or(0.0).max(0.0),
            prediction,
            predictor,
            is_needed,
            voters,
        }
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = &VoterWork> {
        self.voters.iter()
    }

    /// Where its images come from and how they are prepared.
    pub(super) fn source(&self) -> Option<(String, [u8; 16])> {
        let first = self.voters.first()?;
        Some((self.task.to_owned(), first.output))
    }

    /// Seconds spent so far, summed over threads.
    pub(super) fn spent(&self) -> StageSeconds {
        self.predictor.tally().seconds()
    }

    /// Inferences and CPU seconds of each voter so far.
    pub(super) fn inferring(&self) -> impl Iterator<Item = (f64, f64)> {
        let voters = self.predictor.tally().voters().iter();
        voters.map(|voter| (voter.inferred() as f64, voter.seconds().inferring))
    }

    fn share(&self, stage: usize) -> f64 {
        let stages = &self.prediction.decided.plan.stages;
        stages.get(stage).map_or(0.0, |stage| stage.share)
    }

    fn estimated(&self, kept: impl Fn([u8; 16], f64) -> f64) -> Option<PredictionCounts> {
        let inputs = match self.is_needed {
            true => self.prediction.inputs.value()? as f64,
            false => 0.0,
        };
        let mut inferred = self.without_lookups(inputs);
        if self.predictor.looks_up() {
            for (inferred, voter) in inferred.iter_mut().zip(&self.voters) {
                *inferred -= kept(voter.output, *inferred);
            }
        }
        Some(PredictionCounts {
            inputs,
            prepared: self.prepared(&inferred),
            asked_of_store: self.asked_of_store(&inferred),
            again: inferred.clone(),
            inferred,
        })
    }

    /// Inferences by voter if no outputs are looked up.
    fn without_lookups(&self, inputs: f64) -> Vec<f64> {
        let voters = self.voters.iter();
        voters
            .map(|voter| inputs * self.share(voter.stage))
            .collect()
    }

    /// Inputs that the store of kept outputs is asked about before so many inferences.
    fn asked_of_store(&self, inferred: &[f64]) -> f64 {
        match self.predictor.looks_up() {
            true => inferred.iter().sum(),
            false => 0.0,
        }
    }

    /// Inputs that must be prepared: once for all models of a stage.
    fn prepared(&self, inferred: &[f64]) -> f64 {
        let mut by_stage = vec![0.0_f64; self.prediction.decided.plan.stages.len()];
        for (voter, inferred) in self.voters.iter().zip(inferred) {
            if let Some(most) = by_stage.get_mut(voter.stage) {
                *most = most.max(*inferred);
            }
        }
        by_stage.iter().sum()
    }

    pub(super) fn counted(&self) -> PredictionCounts {
        let tally = self.predictor.tally();
        let voters = tally.voters().iter();
        let inferred: Vec<f64> = voters.map(|voter| voter.inferred() as f64).collect();
        let again = match self.predictor.keeps() {
            true => vec![0.0; inferred.len()],
            false => inferred.clone(),
        };
        PredictionCounts {
            inputs: tally.inputs().saturating_sub(tally.repeated()) as f64,
            prepared: self.prepared(&inferred),
            asked_of_store: tally
                .voters()
                .iter()
                .map(|v| v.asked_of_store() as f64)
                .sum(),
            inferred,
            again,
        }
    }

    fn kept(&self) -> impl Iterator<Item = ([u8; 16], Kept)> {
        let keeps = self.predictor.keeps();
        let counted = self.predictor.tally().voters().iter();
        self.voters
            .iter()
            .zip(counted)
            .map(move |(voter, counted)| {
                let (found, added) = (counted.kept() as f64, counted.inferred() as f64);
                let kept = Kept {
                    inputs: found + added,
                    found,
                    added: if keeps { added } else { 0.0 },
                };
                (voter.output, kept)
            })
    }
}
