//! A running predict statement: its phase, its progress, and its estimated remaining time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use predictsql_executor::decision::Counters;
use predictsql_optimizer::statement::explained_statement;
use predictsql_optimizer::{LexMode, mask_literals};
use strum::{IntoStaticStr, VariantArray};
use tokio_util::sync::CancellationToken;

use super::lock::locked;
use crate::observed::Fingerprint;

/// Maximum length of a displayed statement text, in characters.
const STATEMENT_CHARS_MAX: usize = 4096;

/// A running predict statement.
pub struct Statement {
    /// When it began.
    pub since: Instant,
    /// Rows read from the store.
    pub rows_read: AtomicU64,
    /// Rows sent to the client.
    pub rows_sent: AtomicU64,
    /// Inputs to predict that are known so far.
    pub inputs: AtomicU64,
    /// Whether all inputs of this phase are known.
    pub inputs_known: AtomicBool,
    /// Inputs among them that are predicted.
    pub predicted: AtomicU64,
    /// Images among them that could not be read or decoded.
    pub images_unreadable: AtomicU64,
    /// Work of models for this statement, and its duration.
    pub counters: Arc<Counters>,
    /// Cancelled when the statement must end with error 1317.
    pub cancel: CancellationToken,
    plan: OnceLock<String>,
    phases: Mutex<Phases>,
    /// Nanoseconds in which the store executed or sent.
    store_ns: AtomicU64,
    text: String,
    mode: LexMode,
}

/// Phases of a statement, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// The statement is checked and described, and models are chosen.
    Planning,
    /// Rows from the store pass through the models to the client.
    Streaming,
    /// Inputs are read from the store.
    #[strum(serialize = "reading inputs")]
    Reading,
    /// Models predict the inputs.
    Predicting,
    /// The answers are written to the session.
    #[strum(serialize = "relating answers")]
    Relating,
    /// The store executes the statement over the answers.
    #[strum(serialize = "pass 2")]
    Answering,
    /// Rows are sent to the client.
    Sending,
}

/// Duration of each phase of a statement.
#[derive(Debug)]
struct Phases {
    now: Phase,
    /// Start of the phase, since the statement's start.
    entered: Duration,
    /// Inputs predicted before the phase.
    predicted_before: u64,
    spent: [Duration; Phase::VARIANTS.len()],
}

impl Phase {
    /// Name shown to operators.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut statement = formatter.debug_struct("Statement");
        statement.field("text", &self.masked_text());
        statement.finish_non_exhaustive()
    }
}

impl Statement {
    /// A statement that starts now.
    pub(super) fn new(text: &str, mode: LexMode) -> Self {
        Self {
            since: Instant::now(),
            rows_read: AtomicU64::new(0),
            rows_sent: AtomicU64::new(0),
            inputs: AtomicU64::new(0),
            inputs_known: AtomicBool::new(false),
            predicted: AtomicU64::new(0),
            images_unreadable: AtomicU64::new(0),
            counters: Arc::default(),
            cancel: CancellationToken::new(),
            plan: OnceLock::new(),
            phases: Mutex::new(Phases {
                now: Phase::Planning,
                entered: Duration::ZERO,
                predicted_before: 0,
                spent: Default::default(),
            }),
            store_ns: AtomicU64::new(0),
            text: text.to_owned(),
            mode,
        }
    }

    /// The statement without its literals.
    #[must_use]
    pub fn masked_text(&self) -> String {
        cut(mask_literals(&self.text, self.mode))
    }

    /// The statement's original text, for configurations that allow literals to be shown.
    #[must_use]
    pub fn plain_text(&self) -> String {
        cut(self.text.clone())
    }

    /// What identifies the statement in a database, whether it is explained or not.
    #[must_use]
    pub fn fingerprint(&self, database: &str) -> Fingerprint {
        let text = explained_statement(&self.text, self.mode).unwrap_or(&self.text);
        Fingerprint::new(database, text, &mask_literals(text, self.mode))
    }

    /// Time since the statement's start.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Records the plan of execution.
    pub fn note_plan(&self, plan: impl FnOnce() -> String) {
        self.plan.get_or_init(plan);
    }

    /// The plan of execution, once known.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.plan.get().map(String::as_str)
    }

    /// Records the start of a phase.
    pub fn enter(&self, phase: Phase) {
        let now = self.age();
        let mut phases = locked(&self.phases);
        phases.close(now);
        phases.now = phase;
        phases.entered = now;
        phases.predicted_before = self.predicted.load(Relaxed);
    }

    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        locked(&self.phases).now
    }

    /// Seconds spent so far in each phase that was entered.
    #[must_use]
    pub fn seconds_by_phase(&self) -> Vec<(Phase, f64)> {
        let mut phases = locked(&self.phases);
        let now = self.age();
        phases.close(now);
        phases.entered = now;
        let spent = Phase::VARIANTS.iter().copied().zip(phases.spent);
        spent
            .filter(|(_, spent)| !spent.is_zero())
            .map(|(phase, spent)| (phase, spent.as_secs_f64()))
            .collect()
    }

    /// Adds the time since `begin` to the store's time.
    pub fn note_store(&self, begin: Instant) {
        let ns = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.store_ns.fetch_add(ns, Relaxed);
    }

    /// Seconds in which the store executed or sent rows, partly while models ran.
    #[must_use]
    pub fn store_seconds(&self) -> f64 {
        self.store_ns.load(Relaxed) as f64 / 1e9
    }

    /// Estimated seconds until the known inputs are predicted, from the rate in this phase so far.
    /// `None`: no rate is known, more inputs may follow, or the phase does not predict.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f64> {
        let (now, entered, before) = {
            let phases = locked(&self.phases);
            (phases.now, phases.entered, phases.predicted_before)
        };
        let predicts = matches!(now, Phase::Streaming | Phase::Predicting);
        if !predicts || !self.inputs_known.load(Relaxed) {
            return None;
        }
        let (inputs, done) = (self.inputs.load(Relaxed), self.predicted.load(Relaxed));
        let seconds = self.age().saturating_sub(entered).as_secs_f64();
        left(
            inputs.saturating_sub(done),
            done - before.min(done),
            seconds,
        )
    }
}

impl Phases {
    fn close(&mut self, now: Duration) {
        let spent = now.saturating_sub(self.entered);
        if let Some(all) = self.spent.get_mut(self.now as usize) {
            *all += spent;
        }
    }
}

/// Estimated seconds for `todo` inputs if `done` inputs took `seconds`.
fn left(todo: u64, done: u64, seconds: f64) -> Option<f64> {
    match (todo, done) {
        (0, _) => Some(0.0),
        (_, 0) => None,
        (todo, done) => Some(todo as f64 * seconds / done as f64),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(STATEMENT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement::new("SELECT ml.t(p) = 'secret'", LexMode::default())
    }

    #[test]
    fn what_is_left_goes_by_the_pace_so_far() {
        assert_eq!(left(30, 10, 2.0), Some(6.0));
        assert_eq!(left(0, 0, 2.0), Some(0.0));
        assert_eq!(left(1, 0, 2.0), None);
    }

    #[test]
    fn there_is_no_end_in_sight_before_all_inputs_are_known() {
        let statement = statement();
        assert_eq!(statement.seconds_left(), None, "planning");
        statement.enter(Phase::Predicting);
        statement.inputs.store(10, Relaxed);
        statement.predicted.store(10, Relaxed);
        assert_eq!(statement.seconds_left(), None, "more may come");
        statement.inputs_known.store(true, Relaxed);
        assert_eq!(statement.seconds_left(), Some(0.0));
        statement.enter(Phase::Answering);
        assert_eq!(statement.seconds_left(), None);
    }

    #[test]
    fn phases_add_up_and_those_not_entered_are_left_out() {
        let statement = statement();
        for phase in [Phase::Reading, Phase::Predicting, Phase::Reading] {
            statement.enter(phase);
        }
        let before = statement.seconds_by_phase();
        let names: Vec<_> = before.iter().map(|(phase, _)| phase.name()).collect();
        assert_eq!(names, ["planning", "reading inputs", "predicting"]);
        let sum: f64 = before.iter().map(|(_, seconds)| seconds).sum();
        assert!(sum <= statement.age().as_secs_f64(), "{before:?}");
    }

    #[test]
    fn literals_are_shown_only_where_they_may() {
        assert_eq!(statement().masked_text(), "SELECT ml.t(p) = ?");
        assert_eq!(statement().plain_text(), "SELECT ml.t(p) = 'secret'");
    }
}
