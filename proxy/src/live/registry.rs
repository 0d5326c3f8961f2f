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

/// All sessions of this proxy, and its metrics.
pub struct Live {
    metrics: Arc<Metrics>,
    slow: SlowLog,
    pub(super) sessions: Mutex<BTreeMap<u64, Arc<Session>>>,
    /// Key of the next session: the store's connection ids need not be unique across its restarts.
    next: AtomicU64,
    /// Whether the last attempt to connect to the store for a client succeeded.
    store_reached: AtomicBool,
    /// Creation time: idle times are counted from here.
    pub(super) began: tokio::time::Instant,
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// A registry without sessions.
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

    /// Sets the log of slow statements.
    #[must_use]
    pub fn with_slow_log(self, slow: SlowLog) -> Self {
        Self { slow, ..self }
    }

    /// This proxy's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Registers a session until the returned guard is dropped. `kill` ends the session at once,
    /// `leave` as soon as no answer is owed to its client.
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

    /// Ends the session with the store's connection id `connection_id`; returns whether there was
    /// one.
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

    /// The sessions with the store's connection id `connection_id`: at most one unless the store
    /// was restarted.
    #[must_use]
    pub fn sessions_of(&self, connection_id: u32) -> Vec<Arc<Session>> {
        let mut sessions = self.sessions();
        sessions.retain(|session| session.connection_id == connection_id);
        sessions
    }

    /// Interrupts the predict statement of the session with the store's connection id
    /// `connection_id`, and ends that session unless `query_only`. Sessions that run no predict
    /// statement are left to the store.
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

    /// Records whether a connection to the store for a client succeeded.
    pub fn store_reached(&self, reached: bool) {
        if !reached {
            self.metrics.store_connect_failures.inc();
        }
        self.store_reached.store(reached, Relaxed);
    }

    /// Whether the last connection to the store for a client succeeded; true before the first.
    #[must_use]
    pub fn was_store_reached(&self) -> bool {
        self.store_reached.load(Relaxed)
    }

    /// Counts the end of a client connection, whether it had logged in or not.
    pub fn note_end(&self, end: &SessionEnd) {
        let ended = &self.metrics.sessions_ended;
        ended.with_label_values(&[end.label()]).inc();
    }

    /// Current metrics in Prometheus text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        for session in locked(&self.sessions).values() {
            session.fold();
        }
        self.metrics.text()
    }
}

/// Keeps a session registered until dropped.
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
