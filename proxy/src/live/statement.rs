//! A predict statement that runs: what it is doing, what it has done, and when it will be done.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use predictsql_executor::decision::Counters;
use predictsql_optimizer::{LexMode, mask_literals};
use strum::{IntoStaticStr, VariantArray};
use tokio_util::sync::CancellationToken;

use super::lock::locked;

/// Longest text of a statement that is shown, in characters.
const STATEMENT_CHARS_MAX: usize = 4096;

/// A predict statement that runs.
pub struct Statement {
    /// When it began.
    pub since: Instant,
    /// Rows that it has read of the store.
    pub rows_read: AtomicU64,
    /// Rows that it has sent to the client.
    pub rows_sent: AtomicU64,
    /// Inputs that are to be predicted, as far as they are known.
    pub inputs: AtomicU64,
    /// Whether no more of them come in this phase.
    pub inputs_known: AtomicBool,
    /// Inputs among them that are done.
    pub predicted: AtomicU64,
    /// Images among them that could not be read or decoded.
    pub images_unreadable: AtomicU64,
    /// What models did for it, and what that took.
    pub counters: Arc<Counters>,
    /// Cancelled when it is to end with error 1317.
    pub cancel: CancellationToken,
    plan: OnceLock<String>,
    phases: Mutex<Phases>,
    /// Nanoseconds in which the store worked or sent.
    store_ns: AtomicU64,
    text: String,
    mode: LexMode,
}

/// What a statement is doing, in the order in which it goes through these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// It is checked and described, and models are chosen.
    Planning,
    /// Rows of the store pass through the models to the client.
    Streaming,
    /// The store is asked for inputs.
    #[strum(serialize = "reading inputs")]
    Reading,
    /// Models answer them.
    Predicting,
    /// Answers are given to the session.
    #[strum(serialize = "relating answers")]
    Relating,
    /// The store runs the statement over the answers.
    #[strum(serialize = "pass 2")]
    Answering,
    /// Rows go to the client.
    Sending,
}

/// How a statement's time went.
#[derive(Debug)]
struct Phases {
    now: Phase,
    /// When the phase began, from the statement's beginning on.
    entered: Duration,
    /// Inputs that were predicted by then.
    predicted_before: u64,
    spent: [Duration; Phase::VARIANTS.len()],
}

impl Phase {
    /// As operators read it.
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
    /// A statement that begins now.
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

    /// The statement as it came: for those who have said that its literals may be seen.
    #[must_use]
    pub fn plain_text(&self) -> String {
        cut(self.text.clone())
    }

    /// How long it has run.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Notes how it is answered.
    pub fn note_plan(&self, plan: impl FnOnce() -> String) {
        self.plan.get_or_init(plan);
    }

    /// How it is answered, once that is known.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.plan.get().map(String::as_str)
    }

    /// Notes what it does from here on.
    pub fn enter(&self, phase: Phase) {
        let now = self.age();
        let mut phases = locked(&self.phases);
        phases.close(now);
        phases.now = phase;
        phases.entered = now;
        phases.predicted_before = self.predicted.load(Relaxed);
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        locked(&self.phases).now
    }

    /// Seconds of each phase that it was in, up to now.
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

    /// Notes that the store was worked with since `begin`.
    pub fn note_store(&self, begin: Instant) {
        let ns = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.store_ns.fetch_add(ns, Relaxed);
    }

    /// Seconds in which the store worked or sent rows, some of them while models ran.
    #[must_use]
    pub fn store_seconds(&self) -> f64 {
        self.store_ns.load(Relaxed) as f64 / 1e9
    }

    /// Seconds until the inputs that are known are predicted, at the pace of this phase so far.
    /// `None`: there is no pace yet, more inputs may come, or nothing is predicted now.
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

/// Seconds for `todo` inputs, where `done` took `seconds`.
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
