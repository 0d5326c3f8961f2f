//! What goes on now: the sessions and the predict statements that they run, for operators to see and end.
//!
//! A session writes here without locks while it runs (one relaxed store for each time it is polled); locks are
//! taken when it begins, when it ends, when a predict statement begins or ends, and when somebody looks.

mod idle;
mod slow;
mod statement;

pub use idle::IDLE_SWEEP_PERIOD;
pub use slow::SlowLog;
pub use statement::{Phase, Statement};

use crate::error::Outcome;
use crate::metrics::Metrics;
use crate::relay::SessionEnd;
use predictsql_optimizer::LexMode;
use slow::rounded;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing::field::Empty;

/// All sessions of this proxy, and what it counts.
pub struct Live {
    metrics: Arc<Metrics>,
    slow: SlowLog,
    sessions: Mutex<BTreeMap<u64, Arc<Session>>>,
    /// Key of the next session: the store's ids need not be unique over its restarts.
    next: AtomicU64,
    /// Whether the last connection to the store, for a client, was made.
    store_reached: AtomicBool,
    /// When it was made: idle times are counted from here.
    began: tokio::time::Instant,
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut session = formatter.debug_struct("Session");
        session.field("connection_id", &self.connection_id);
        session.finish_non_exhaustive()
    }
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// Waits for the client.
    Idle,
    /// Waits for the client, with a transaction open.
    InTransaction,
    /// Waits for the rest of a command.
    Receiving,
    /// The store works or answers.
    Forwarding,
    /// The predict lane answers.
    Predicting,
}

impl Activity {
    /// As `SHOW SESSIONS` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::InTransaction => "in transaction",
            Self::Receiving => "receiving",
            Self::Forwarding => "forwarding",
            Self::Predicting => "predicting",
        }
    }

    fn from_bits(bits: u8) -> Self {
        let others = [
            Self::InTransaction,
            Self::Receiving,
            Self::Forwarding,
            Self::Predicting,
        ];
        let found = others.into_iter().find(|other| *other as u8 == bits);
        found.unwrap_or(Self::Idle)
    }
}

/// One session as operators see it.
pub struct Session {
    /// The store's id of its connection.
    pub connection_id: u32,
    /// The user who logged in.
    pub user: String,
    /// The client's address.
    pub client: String,
    /// The database named at login.
    pub database: Option<String>,
    /// When it logged in.
    pub since: Instant,
    metrics: Arc<Metrics>,
    slow: SlowLog,
    activity: AtomicU8,
    /// Commands that the session has forwarded, and how many of them `metrics` knows.
    forwarded: AtomicU64,
    forwarded_counted: AtomicU64,
    /// Commands that the lane has answered.
    answered: AtomicU64,
    statement: Mutex<Option<Arc<Statement>>>,
    kill: CancellationToken,
    /// Held for reading while the store is asked to interrupt the session.
    kills: tokio::sync::RwLock<()>,
    leave: CancellationToken,
    idle: idle::IdleWatch,
    /// Bytes of a command that has come in part.
    received: AtomicU64,
    stall: idle::IdleWatch,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// No sessions yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            slow: SlowLog::default(),
            sessions: Mutex::default(),
            next: AtomicU64::new(0),
            store_reached: AtomicBool::new(true),
            began: tokio::time::Instant::now(),
        }
    }

    /// The same, which tells of slow statements.
    #[must_use]
    pub fn with_slow_log(self, slow: SlowLog) -> Self {
        Self { slow, ..self }
    }

    /// What this proxy counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Registers a session for as long as what is returned lives. `kill` ends it at once, `leave` when it owes its
    /// client nothing.
    #[must_use]
    pub fn enter(
        self: &Arc<Self>,
        connection_id: u32,
        user: &[u8],
        client: String,
        database: Option<&[u8]>,
        kill: CancellationToken,
        leave: CancellationToken,
    ) -> SessionGuard {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let session = Arc::new(Session {
            connection_id,
            user: text(user),
            client,
            database: database.filter(|name| !name.is_empty()).map(text),
            since: Instant::now(),
            metrics: Arc::clone(&self.metrics),
            slow: self.slow,
            activity: AtomicU8::new(Activity::Idle as u8),
            forwarded: AtomicU64::new(0),
            forwarded_counted: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            statement: Mutex::default(),
            kill,
            kills: tokio::sync::RwLock::default(),
            leave,
            idle: idle::IdleWatch::new(self.began.elapsed()),
            received: AtomicU64::new(0),
            stall: idle::IdleWatch::new(self.began.elapsed()),
        });
        let key = self.next.fetch_add(1, Relaxed);
        locked(&self.sessions).insert(key, Arc::clone(&session));
        self.metrics.sessions.inc();
        self.metrics.sessions_opened.inc();
        SessionGuard {
            session,
            live: Arc::clone(self),
            key,
        }
    }

    /// The sessions, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        locked(&self.sessions).values().cloned().collect()
    }

    /// Ends the session with the store's id `connection_id`; says whether there was one.
    #[must_use]
    pub fn kill(&self, connection_id: u32) -> bool {
        let sessions = self.sessions();
        let found = sessions.iter().filter(|session| {
            session.connection_id == connection_id && !session.kill.is_cancelled()
        });
        let mut any = false;
        for session in found {
            session.kill.cancel();
            self.metrics.sessions_killed.inc();
            any = true;
        }
        any
    }

    /// The sessions with the store's id `connection_id`: one, but for a store that was restarted.
    #[must_use]
    pub fn sessions_of(&self, connection_id: u32) -> Vec<Arc<Session>> {
        let mut sessions = self.sessions();
        sessions.retain(|session| session.connection_id == connection_id);
        sessions
    }

    /// Interrupts the predict statement that the session with the store's id `connection_id` runs, and unless
    /// `query_only` ends that session. Whoever runs none is left to the store.
    pub fn interrupt(&self, connection_id: u32, query_only: bool) {
        for session in self.sessions_of(connection_id) {
            if let Some(statement) = session.statement() {
                statement.cancel.cancel();
                if !query_only {
                    session.kill.cancel();
                }
            }
        }
    }

    /// Notes whether a connection to the store, for a client, could be made.
    pub fn store_reached(&self, reached: bool) {
        if !reached {
            self.metrics.store_connect_failures.inc();
        }
        self.store_reached.store(reached, Relaxed);
    }

    /// Whether the last connection to the store, for a client, was made; true before the first.
    #[must_use]
    pub fn was_store_reached(&self) -> bool {
        self.store_reached.load(Relaxed)
    }

    /// Counts the end of a client's connection, whether it had logged in or not.
    pub fn note_end(&self, end: &SessionEnd) {
        let ended = &self.metrics.sessions_ended;
        ended.with_label_values(&[end.name()]).inc();
    }

    /// The metrics as of now, in Prometheus' text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        for session in locked(&self.sessions).values() {
            session.fold();
        }
        self.metrics.text()
    }
}

/// A session's own hold on its registration.
pub struct SessionGuard {
    session: Arc<Session>,
    live: Arc<Live>,
    key: u64,
}

impl Deref for SessionGuard {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut sessions = locked(&self.live.sessions);
        sessions.remove(&self.key);
        self.session.fold();
        self.live.metrics.sessions.dec();
    }
}

impl Session {
    /// Notes where the session stands.
    #[inline]
    pub fn note(&self, activity: Activity, commands_forwarded: u64) {
        self.activity.store(activity as u8, Relaxed);
        self.forwarded.store(commands_forwarded, Relaxed);
    }

    /// Notes how much has come of a command that has come in part.
    pub fn note_received(&self, bytes: usize) {
        self.received.store(bytes as u64, Relaxed);
    }

    /// Counts a command that the lane was given.
    pub fn note_lane(&self) {
        self.activity.store(Activity::Predicting as u8, Relaxed);
        self.answered.fetch_add(1, Relaxed);
    }

    /// Cancelled when it is to end.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.kill
    }

    /// Cancelled when it is to end as soon as it owes its client nothing.
    #[must_use]
    pub fn leaving(&self) -> &CancellationToken {
        &self.leave
    }

    /// To be held while the store is asked to interrupt it, until what follows from the answer is done.
    pub async fn being_killed(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.kills.read().await
    }

    /// Ends when nobody is asking the store to interrupt it.
    pub async fn kills_decided(&self) {
        let _none = self.kills.write().await;
    }

    /// What it is doing.
    #[must_use]
    pub fn activity(&self) -> Activity {
        Activity::from_bits(self.activity.load(Relaxed))
    }

    /// Commands since login, whoever answered them.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.forwarded.load(Relaxed) + self.answered.load(Relaxed)
    }

    /// Counts how a command of the lane ended.
    pub fn note_outcome(&self, outcome: Outcome) {
        self.metrics
            .lane_commands
            .with_label_values(&[outcome.label()])
            .inc();
    }

    /// Registers a predict statement for as long as what is returned lives. `route` says in a word what is done
    /// with it.
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

    /// The predict statement that it runs.
    #[must_use]
    pub fn statement(&self) -> Option<Arc<Statement>> {
        locked(&self.statement).clone()
    }

    /// Adds to the metrics what they do not know yet. Called under the lock of all sessions.
    fn fold(&self) {
        let forwarded = self.forwarded.load(Relaxed);
        let counted = self.forwarded_counted.swap(forwarded, Relaxed);
        let more = forwarded.saturating_sub(counted);
        self.metrics.commands_forwarded.inc_by(more);
    }
}

/// A session's own hold on the statement that it runs.
pub struct StatementGuard<'s> {
    session: &'s Session,
    statement: Arc<Statement>,
    span: Span,
}

impl StatementGuard<'_> {
    /// What all that it does belongs to.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Tells what it has done.
    fn tell(&self) {
        let statement = &self.statement;
        if let Some(plan) = statement.plan() {
            self.span.record("plan", plan);
        }
        for (field, count) in [
            ("rows", &statement.rows_sent),
            ("images_inferred", &statement.images),
            ("cache_hits", &statement.cache_hits),
        ] {
            self.span.record(field, count.load(Relaxed));
        }
        let model_seconds = rounded(statement.spent.seconds().inferring);
        self.span.record("model_seconds", model_seconds);
        let seconds = rounded(statement.age().as_secs_f64());
        self.span
            .in_scope(|| tracing::debug!(seconds, "predict statement"));
        let session = self.session;
        session
            .slow
            .note(statement, session.connection_id, &session.user);
    }

    /// What it is registered as.
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

/// Also a statement that was interrupted has done what it has done.
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
            .inc_by(statement.cache_hits.load(Relaxed));
        metrics
            .cache_misses
            .inc_by(statement.cache_misses.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn live() -> Arc<Live> {
        Arc::new(Live::new(Arc::new(Metrics::new())))
    }

    fn enter(live: &Arc<Live>, id: u32) -> (SessionGuard, CancellationToken) {
        let kill = CancellationToken::new();
        let (peer, leave) = ("1.2.3.4:5".to_owned(), CancellationToken::new());
        let guard = live.enter(id, b"ann", peer, Some(b""), kill.clone(), leave);
        (guard, kill)
    }

    #[test]
    fn commands_are_counted_once_however_often_somebody_looks() {
        let live = live();
        let (session, _) = enter(&live, 7);
        session.note(Activity::Forwarding, 3);
        let _ = live.metrics_text();
        session.note(Activity::Idle, 5);
        let _ = live.metrics_text();
        assert_eq!(live.metrics().commands_forwarded.get(), 5);
        session.note(Activity::Idle, 6);
        drop(session);
        assert_eq!(live.metrics().commands_forwarded.get(), 6);
        assert_eq!(live.metrics().sessions.get(), 0);
        assert_eq!(live.metrics().sessions_opened.get(), 1);
        assert!(live.sessions().is_empty());
    }

    #[test]
    fn kill_ends_only_the_session_that_is_named() {
        let live = live();
        let ((_one, kill_one), (_two, kill_two)) = (enter(&live, 1), enter(&live, 2));
        assert!(!live.kill(3));
        assert!(live.kill(2));
        assert!(kill_two.is_cancelled() && !kill_one.is_cancelled());
        assert!(!live.kill(2), "it is ending already");
        assert_eq!(live.metrics().sessions_killed.get(), 1);
    }

    #[test]
    fn only_a_running_statement_is_interrupted() {
        let live = live();
        let ((one, kill_one), (two, kill_two)) = (enter(&live, 1), enter(&live, 2));
        live.interrupt(1, false);
        assert!(!kill_one.is_cancelled(), "the store ends it");
        let running = (
            one.begin("select", "a", LexMode::default()),
            two.begin("select", "b", LexMode::default()),
        );
        live.interrupt(1, true);
        assert!(running.0.cancel.is_cancelled() && !running.1.cancel.is_cancelled());
        assert!(!kill_one.is_cancelled());
        live.interrupt(2, false);
        assert!(running.1.cancel.is_cancelled() && kill_two.is_cancelled());
    }

    #[test]
    fn a_statement_shows_no_literals_and_is_counted_when_it_ends() {
        let live = live();
        let (session, _) = enter(&live, 1);
        let running = session.begin("select", "SELECT ml.t(p) = 'secret'", LexMode::default());
        running.rows_sent.store(4, Relaxed);
        let seen = live.sessions().first().unwrap().statement().unwrap();
        assert_eq!(seen.masked_text(), "SELECT ml.t(p) = ?");
        assert_eq!(live.metrics().statements_running.get(), 1);
        drop(running);
        assert!(session.statement().is_none());
        assert_eq!(live.metrics().statements_running.get(), 0);
        assert_eq!(live.metrics().rows_sent.get(), 4);
        assert_eq!(live.metrics().statement_seconds.get_sample_count(), 1);
    }
}
