//! All sessions of this proxy.

use super::activity::Activity;
use super::idle_watch::IdleWatch;
use super::lock::locked;
use super::session::Session;
use super::slow::SlowLog;
use crate::metrics::Metrics;
use crate::session_end::SessionEnd;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// All sessions of this proxy, and what it counts.
pub struct Live {
    metrics: Arc<Metrics>,
    slow: SlowLog,
    pub(super) sessions: Mutex<BTreeMap<u64, Arc<Session>>>,
    /// Key of the next session: the store's ids need not be unique over its restarts.
    next: AtomicU64,
    /// Whether the last connection to the store, for a client, was made.
    store_reached: AtomicBool,
    /// When it was made: idle times are counted from here.
    pub(super) began: tokio::time::Instant,
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").finish_non_exhaustive()
    }
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

    /// Registers a session for as long as what is returned lives. `kill` ends it at once, `leave`
    /// when it owes its client nothing.
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
            idle: IdleWatch::new(self.began.elapsed()),
            received: AtomicU64::new(0),
            stall: IdleWatch::new(self.began.elapsed()),
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

    /// Interrupts the predict statement that the session with the store's id `connection_id` runs,
    /// and unless `query_only` ends that session. Whoever runs none is left to the store.
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
        ended.with_label_values(&[end.label()]).inc();
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
