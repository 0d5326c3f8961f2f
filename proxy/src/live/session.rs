//! A session as shown to operators, and the predict statement that it runs.

use super::activity::Activity;
use super::idle_watch::IdleWatch;
use super::lock::locked;
use super::slow::{SlowLog, rounded};
use super::statement::Statement;
use crate::error::Outcome;
use crate::metrics::Metrics;
use predictsql_optimizer::LexMode;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing::field::Empty;

/// A session as shown to operators.
pub struct Session {
    /// The store's connection id.
    pub connection_id: u32,
    /// The user that logged in.
    pub user: String,
    /// The client's address.
    pub client: String,
    /// The database named at login.
    pub database: Option<String>,
    /// When it logged in.
    pub since: Instant,
    pub(super) metrics: Arc<Metrics>,
    pub(super) slow: SlowLog,
    pub(super) activity: AtomicU8,
    /// Commands that the session has forwarded, and how many of them `metrics` has counted.
    pub(super) forwarded: AtomicU64,
    pub(super) forwarded_counted: AtomicU64,
    /// Commands that the lane has answered.
    pub(super) answered: AtomicU64,
    pub(super) statement: Mutex<Option<Arc<Statement>>>,
    pub(super) kill: CancellationToken,
    /// Held for reading while the store is asked to interrupt the session.
    pub(super) kills: tokio::sync::RwLock<()>,
    pub(super) leave: CancellationToken,
    pub(super) idle: IdleWatch,
    /// Received bytes of an incomplete command.
    pub(super) received: AtomicU64,
    pub(super) stall: IdleWatch,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut session = formatter.debug_struct("Session");
        session.field("connection_id", &self.connection_id);
        session.finish_non_exhaustive()
    }
}

impl Session {
    /// Records the session's activity and its number of forwarded commands.
    #[inline]
    pub fn note(&self, activity: Activity, commands_forwarded: u64) {
        self.activity.store(activity as u8, Relaxed);
        self.forwarded.store(commands_forwarded, Relaxed);
    }

    /// Records the received bytes of an incomplete command.
    pub fn note_received(&self, bytes: usize) {
        self.received.store(bytes as u64, Relaxed);
    }

    /// Counts a command given to the lane.
    pub fn note_lane(&self) {
        self.activity.store(Activity::Predicting as u8, Relaxed);
        self.answered.fetch_add(1, Relaxed);
    }

    /// Cancelled when the session must end.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.kill
    }

    /// Cancelled when the session must end as soon as no answer is owed to its client.
    #[must_use]
    pub fn leaving(&self) -> &CancellationToken {
        &self.leave
    }

    /// Must be held while the store is asked to interrupt the session, until the reaction to its
    /// answer is done.
    pub async fn being_killed(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.kills.read().await
    }

    /// Waits until no request to interrupt the session is pending at the store.
    pub async fn kills_decided(&self) {
        let _none = self.kills.write().await;
    }

    /// Current activity.
    #[must_use]
    pub fn activity(&self) -> Activity {
        Activity::from_bits(self.activity.load(Relaxed))
    }

    /// Commands since login, forwarded or answered by the lane.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.forwarded.load(Relaxed) + self.answered.load(Relaxed)
    }

    /// Counts the outcome of a command of the lane.
    pub fn note_outcome(&self, outcome: Outcome) {
        self.metrics
            .lane_commands
            .with_label_values(&[outcome.label()])
            .inc();
    }

    /// Registers a predict statement until the returned guard is dropped. `route` is a one-word
    /// description of its handling.
    #[must_use]
    pub fn begin(&self, route: &'static str, text: &str, mode: LexMode) -> StatementGuard<'_> {
        let statement = Arc::new(Statement::new(text, mode));
        *locked(&self.statement) = Some(Arc::clone(&statement));
        self.metrics.statements_running.inc();
        let span = tracing::info_span!(
            "predict_statement",
            session = self.connection_id,
            route,
            plan = Empty,
            rows = Empty,
            images_inferred = Empty,
            cache_hits = Empty,
            model_seconds = Empty,
        );
        StatementGuard {
            session: self,
            statement,
            span,
        }
    }

    /// The predict statement that the session runs.
    #[must_use]
    pub fn statement(&self) -> Option<Arc<Statement>> {
        locked(&self.statement).clone()
    }

    /// Adds the commands not counted yet to the metrics. Called under the lock of all sessions.
    pub(super) fn fold(&self) {
        let forwarded = self.forwarded.load(Relaxed);
        let counted = self.forwarded_counted.swap(forwarded, Relaxed);
        let more = forwarded.saturating_sub(counted);
        self.metrics.commands_forwarded.inc_by(more);
    }
}

/// Keeps a session's current statement registered until dropped.
pub struct StatementGuard<'s> {
    session: &'s Session,
    statement: Arc<Statement>,
    span: Span,
}

impl StatementGuard<'_> {
    /// The tracing span of the statement's work.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Records the statement's statistics in the span and the slow log.
    fn tell(&self) {
        let statement = &self.statement;
        if let Some(plan) = statement.plan() {
            self.span.record("plan", plan);
        }
        for (field, count) in [
            ("rows", &statement.rows_sent),
            ("images_inferred", &statement.counters.images),
            ("cache_hits", &statement.counters.cache_hits),
        ] {
            self.span.record(field, count.load(Relaxed));
        }
        let model_seconds = rounded(statement.counters.spent.seconds().inferring);
        self.span.record("model_seconds", model_seconds);
        let seconds = rounded(statement.age().as_secs_f64());
        self.span
            .in_scope(|| tracing::debug!(seconds, "predict statement"));
        let session = self.session;
        session
            .slow
            .note(statement, session.connection_id, &session.user);
    }

    /// The registered statement.
    #[must_use]
    pub fn statement(&self) -> &Arc<Statement> {
        &self.statement
    }
}

impl Deref for StatementGuard<'_> {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

/// Statistics are recorded for interrupted statements as well.
impl Drop for StatementGuard<'_> {
    fn drop(&mut self) {
        self.tell();
        *locked(&self.session.statement) = None;
        let (metrics, statement) = (&self.session.metrics, &self.statement);
        metrics.statements_running.dec();
        metrics
            .statement_seconds
            .observe(statement.age().as_secs_f64());
        metrics.rows_read.inc_by(statement.rows_read.load(Relaxed));
        metrics.rows_sent.inc_by(statement.rows_sent.load(Relaxed));
        let unreadable = statement.images_unreadable.load(Relaxed);
        metrics.images_unreadable.inc_by(unreadable);
        metrics
            .cache_hits
            .inc_by(statement.counters.cache_hits.load(Relaxed));
        metrics
            .cache_misses
            .inc_by(statement.counters.cache_misses.load(Relaxed));
    }
}
