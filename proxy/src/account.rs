//! The service account: the proxy's own few connections to the store, and the cached catalog.
//!
//! The connections live on a separate runtime thread, since sessions run on many runtimes and a
//! connection is bound to the runtime that opened it. Callers send work to this thread and await
//! the result; dropping the caller's future does not interrupt the work.

mod address;
mod busy;
mod error;
mod peer_trust;
mod views;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Pool, PoolConstraints, PoolOpts, SslOpts};
use predictsql_catalog::Snapshot;
use predictsql_catalog::store::{self, SchemaName, StatisticsCache, StoreError};
use predictsql_optimizer::bare::is_generic;
use predictsql_optimizer::views::Views;
use tokio_util::sync::CancellationToken;

use busy::is_queue_full_for_account;

pub use address::{AddressError, StoreAddress};
pub use busy::{connect_when_free, is_queue_full};
pub use error::AccountError;
pub use peer_trust::{PeerTrust, peer_trust};

/// Timeout for closing the account's connections, in seconds.
const CLOSE_SECONDS_MAX: u64 = 2;

/// Idle time after which a connection of the account is closed, in seconds.
const IDLE_SECONDS_MAX: u64 = 60;

/// How to reach the store as the service account.
#[derive(Clone)]
pub struct AccountConfig {
    /// Address of the store.
    pub store: StoreAddress,
    /// User name.
    pub user: String,
    /// Password; none for an account that authenticates by socket.
    pub password: Option<String>,
    /// TLS options for a store that is not on a Unix socket; none for no TLS.
    pub tls: Option<SslOpts>,
    /// Schema of the catalog.
    pub schema: SchemaName,
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Age at which the cached catalog's epoch is checked again, in milliseconds.
    pub catalog_refresh_ms: u64,
    /// Maximum wait for an answer from the store, in milliseconds.
    pub answer_ms_max: u64,
}

impl AccountConfig {
    /// The defaults: schema `ml`, 4 connections, refresh after 1 s, answers within 30 s.
    pub fn new(store: StoreAddress, user: impl Into<String>, password: Option<String>) -> Self {
        Self {
            store,
            user: user.into(),
            password,
            tls: None,
            schema: SchemaName::default(),
            connections_max: 4,
            catalog_refresh_ms: 1000,
            answer_ms_max: 30_000,
        }
    }

    fn opts(&self) -> Opts {
        let max = self.connections_max.max(1);
        // Minimum 0, maximum at least 1: always valid.
        let constraints = PoolConstraints::new(0, max).unwrap_or_default();
        self.store
            .opts(&self.user, self.password.as_deref())
            .ssl_opts(self.tls.clone())
            .setup(vec![
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            ])
            .pool_opts(
                PoolOpts::default()
                    .with_constraints(constraints)
                    .with_inactive_connection_ttl(Duration::from_secs(IDLE_SECONDS_MAX)),
            )
            .into()
    }
}

/// Keeps the password out of logs.
impl fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountConfig")
            .field("store", &self.store)
            .field("user", &self.user)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// The catalog at the last check.
struct Cached {
    snapshot: Arc<Snapshot>,
    looked_at: Instant,
    /// Value of `generation` before the check began.
    generation: u64,
}

/// Callback for new snapshots.
type Told = Box<dyn Fn(&Snapshot) + Send>;

/// The last failed refresh.
struct FailedRefresh {
    at: Instant,
    error: Arc<AccountError>,
}

struct Account {
    config: AccountConfig,
    pool: Pool,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    /// Serializes refreshes. Other callers wait for the result of the running refresh, including
    /// its failure, so that a store that does not answer is not queried again for each of them.
    refresh: tokio::sync::Mutex<Option<FailedRefresh>>,
    cached: ArcSwapOption<Cached>,
    /// Statistics that a snapshot of the next epoch need not read again.
    statistics: StatisticsCache,
    /// Called for each new snapshot until the account is closed.
    told: Mutex<Option<Told>>,
    /// Incremented by each [`ServiceAccount::invalidate`].
    generation: AtomicU64,
    /// The views that predict.
    views: ArcSwap<Views>,
    /// The store's `max_allowed_packet`; 0 before it has been read.
    packet_bytes_max: AtomicU64,
    /// When the last read of the views began.
    views_refresh: tokio::sync::Mutex<Option<Instant>>,
    views_suspect: Arc<tokio::sync::Notify>,
    /// Whether the error of reading the views was logged already.
    views_told: AtomicBool,
    /// Time of the last requested read that did not help a statement.
    looked_in_vain: ArcSwapOption<Instant>,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The proxy's own access to the store. Cheap to clone; connects on first use.
#[derive(Clone)]
pub struct ServiceAccount(Option<Arc<Account>>);

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0.as_ref().map(|account| &account.config);
        f.debug_tuple("ServiceAccount").field(&config).finish()
    }
}

impl ServiceAccount {
    /// No account: every use returns [`AccountError::NotConfigured`].
    pub fn none() -> Self {
        Self(None)
    }

    /// Starts the account's runtime thread. Does not connect yet.
    pub fn start(config: AccountConfig) -> Result<Self, AccountError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| AccountError::Stopped)?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let pool = {
            // The pool spawns its recycler on the runtime of the current context.
            let _inside = handle.enter();
            Pool::new(config.opts())
        };
        std::thread::Builder::new()
            .name("account".to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled()))
            .map_err(|_| AccountError::Stopped)?;
        Ok(Self(Some(Arc::new(Account {
            config,
            pool,
            runtime: handle,
            stop,
            refresh: tokio::sync::Mutex::new(None),
            cached: ArcSwapOption::empty(),
            statistics: StatisticsCache::default(),
            told: Mutex::new(None),
            generation: AtomicU64::new(0),
            views: ArcSwap::default(),
            packet_bytes_max: AtomicU64::new(0),
            views_refresh: tokio::sync::Mutex::new(None),
            views_suspect: Arc::default(),
            views_told: AtomicBool::new(false),
            looked_in_vain: ArcSwapOption::empty(),
        }))))
    }

    fn account(&self) -> Result<&Arc<Account>, AccountError> {
        self.0.as_ref().ok_or(AccountError::NotConfigured)
    }

    /// Whether an account is configured.
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// Schema of the catalog, if an account is configured.
    pub fn schema(&self) -> Option<&SchemaName> {
        self.0.as_ref().map(|account| &account.config.schema)
    }

    /// Runs `work` on a connection of the account. It runs to its end, or to the account's time
    /// limit, even if the caller stops waiting.
    pub async fn run<T, W, F>(&self, work: W) -> Result<T, AccountError>
    where
        T: Send + 'static,
        W: FnOnce(Conn, SchemaName) -> F + Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let account = self.account()?;
        if account.stop.is_cancelled() {
            return Err(AccountError::Stopped);
        }
        let pool = account.pool.clone();
        let schema = account.config.schema.clone();
        let answer_ms_max = account.config.answer_ms_max;
        let bounded = async move {
            let whole = async {
                let answer_time_max = Duration::from_millis(answer_ms_max);
                let conn = connect_when_free(answer_time_max, is_queue_full_for_account, || {
                    pool.get_conn()
                });
                let conn = conn.await.map_err(StoreError::from)?;
                Ok(work(conn, schema).await?)
            };
            tokio::time::timeout(Duration::from_millis(answer_ms_max), whole)
                .await
                .unwrap_or(Err(AccountError::TimedOut(answer_ms_max)))
        };
        // A task that panicked or was dropped with its runtime returns no value.
        account
            .runtime
            .spawn(bounded)
            .await
            .unwrap_or(Err(AccountError::Stopped))
    }

    /// Like [`ServiceAccount::run`], with a deadline `until`: the store itself ends the statements
    /// of `work` by then, with error 1969, so that no statement continues after its caller has
    /// given up.
    pub async fn run_until<T, W, F>(
        &self,
        until: Option<tokio::time::Instant>,
        work: W,
    ) -> Result<T, AccountError>
    where
        T: Send + 'static,
        W: FnOnce(Conn, SchemaName) -> F + Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let Some(until) = until else {
            return self.run(work).await;
        };
        self.run(move |mut conn, schema| async move {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            // Zero means no limit. The pool resets the session when the connection is returned.
            let seconds = left.as_secs_f64().max(0.001);
            let limit = format!("SET SESSION max_statement_time = {seconds:.3}");
            conn.query_drop(limit).await?;
            work(conn, schema).await
        })
        .await
    }

    /// Runs `work` on the account's thread until it ends or the account is closed; does nothing
    /// without an account.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(account) = &self.0 {
            let stop = account.stop.clone();
            account.runtime.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = work => {}
                }
            });
        }
    }

    /// The catalog, at most `catalog_refresh_ms` old, and never older than the last
    /// [`ServiceAccount::invalidate`].
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, AccountError> {
        let account = self.account()?;
        if let Some(snapshot) = account.fresh() {
            return Ok(snapshot);
        }
        if account.stop.is_cancelled() {
            return Err(AccountError::Stopped);
        }
        let asked = Instant::now();
        let mut failed = account.refresh.lock().await;
        if let Some(snapshot) = account.fresh() {
            return Ok(snapshot);
        }
        if let Some(failed) = failed.as_ref().filter(|failed| failed.at >= asked) {
            return Err(AccountError::Shared(Arc::clone(&failed.error)));
        }
        match self.refresh(account).await {
            Ok(snapshot) => Ok(snapshot),
            Err(error) => {
                let error = Arc::new(error);
                *failed = Some(FailedRefresh {
                    at: Instant::now(),
                    error: Arc::clone(&error),
                });
                Err(AccountError::Shared(error))
            }
        }
    }

    /// Reads the catalog from the store and caches it.
    async fn refresh(&self, account: &Account) -> Result<Arc<Snapshot>, AccountError> {
        let generation = account.generation.load(Ordering::Acquire);
        let looked_at = Instant::now();
        let known = account
            .cached
            .load_full()
            .map(|cached| Arc::clone(&cached.snapshot));
        let statistics = account.statistics.clone();
        let snapshot = self
            .run(move |mut conn, schema| async move {
                if let Some(known) = known
                    && store::epoch(&mut conn, &schema).await? == known.epoch()
                {
                    return Ok(known);
                }
                let read = store::snapshot(&mut conn, &schema, &statistics).await?;
                Ok(Arc::new(read))
            })
            .await?;
        let before = account.cached.load_full();
        if !before.is_some_and(|before| Arc::ptr_eq(&before.snapshot, &snapshot)) {
            // Before the snapshot is used.
            account.tell(&snapshot);
        }
        let cached = Cached {
            snapshot: Arc::clone(&snapshot),
            looked_at,
            generation,
        };
        account.cached.store(Some(Arc::new(cached)));
        Ok(snapshot)
    }

    /// Whether a function of the schema may have this name, according to the cached catalog.
    pub fn may_be_function(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|account| {
            let cached = account.cached.load();
            let is_task = |cached: &Arc<Cached>| cached.snapshot.task(name).is_some();
            is_generic(name) || cached.as_ref().is_some_and(is_task)
        })
    }

    /// Epoch of the cached catalog, if one has been read.
    pub fn cached_epoch(&self) -> Option<u64> {
        let cached = self.0.as_ref()?.cached.load();
        cached.as_ref().map(|cached| cached.snapshot.epoch())
    }

    /// The cached catalog, if one has been read.
    pub fn cached_snapshot(&self) -> Option<Arc<Snapshot>> {
        let cached = self.0.as_ref()?.cached.load();
        cached.as_ref().map(|cached| cached.snapshot.clone())
    }

    /// Checks that the store answers; an error from the store itself counts as an answer.
    ///
    /// # Errors
    /// No account, or the store does not answer.
    pub async fn ping(&self) -> Result<(), AccountError> {
        let pinged = self.run(|mut conn, _| async move { Ok(conn.ping().await?) });
        match pinged.await {
            Err(AccountError::Store(error)) if error.server_code().is_some() => Ok(()),
            pinged => pinged,
        }
    }

    /// Makes the next [`ServiceAccount::snapshot`] check the store: called after own changes.
    pub fn invalidate(&self) {
        if let Some(account) = &self.0 {
            account.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Checks the catalog soon, even if no statement needs it: called after own changes that free
    /// something.
    pub fn look_soon(&self) {
        let account = self.clone();
        self.spawn(async move {
            if let Err(error) = account.snapshot().await {
                tracing::debug!(%error, "the catalog cannot be read");
            }
        });
    }

    /// Sets a callback for each new snapshot, called before the snapshot is used, and at once for
    /// the current one.
    pub fn tell_snapshots(&self, told: impl Fn(&Snapshot) + Send + 'static) {
        let Some(account) = &self.0 else {
            return;
        };
        if let Some(cached) = account.cached.load_full() {
            told(&cached.snapshot);
        }
        *account.told() = Some(Box::new(told));
    }

    /// Checks at start-up that the account can log in and that the catalog has this version.
    pub async fn check(&self) -> Result<(), AccountError> {
        self.run(|mut conn, schema| async move { store::check(&mut conn, &schema).await })
            .await
    }

    /// Closes the connections and stops the runtime thread; later uses return errors.
    pub async fn close(&self) {
        if let Some(account) = &self.0 {
            let pool = account.pool.clone();
            let closing = account.runtime.spawn(async move {
                // A store that does not answer must not delay the shutdown.
                tokio::time::timeout(Duration::from_secs(CLOSE_SECONDS_MAX), pool.disconnect())
                    .await
            });
            if let Ok(Ok(Err(error))) = closing.await {
                tracing::debug!(%error, "closing the service account's connections");
            }
            account.stop.cancel();
            account.told().take();
        }
    }
}

impl Account {
    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, snapshot: &Snapshot) {
        if let Some(told) = &*self.told() {
            told(snapshot);
        }
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let cached = self.cached.load();
        let cached = cached.as_ref()?;
        let current = cached.generation == self.generation.load(Ordering::Acquire);
        let young =
            cached.looked_at.elapsed() < Duration::from_millis(self.config.catalog_refresh_ms);
        (current && young).then(|| Arc::clone(&cached.snapshot))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::{ErrorKind, SqlError};

    #[tokio::test]
    async fn without_an_account_the_error_says_what_to_run() {
        let error = ServiceAccount::none().snapshot().await.unwrap_err();
        assert!(error.to_string().contains("predictsql init"));
        assert_eq!(SqlError::from(error).kind, ErrorKind::Other);
    }

    #[tokio::test]
    async fn an_unreachable_store_is_an_error_each_time_and_the_text_stays_inside() {
        let store = StoreAddress::Unix("/nonexistent/predictsql.sock".into());
        let config = AccountConfig::new(store, "u", Some("secret".to_owned()));
        assert!(!format!("{config:?}").contains("secret"));
        let account = ServiceAccount::start(config).unwrap();
        for _ in 0..2 {
            let error = account.snapshot().await.unwrap_err();
            assert_eq!(SqlError::from(error).kind, ErrorKind::StoreLost);
        }
        account.close().await;
        assert!(matches!(
            account.snapshot().await,
            Err(AccountError::Stopped)
        ));
    }

    #[tokio::test]
    async fn those_who_wait_share_one_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sock");
        // Accepts connections but never greets: each attempt would last until the time limit.
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut config = AccountConfig::new(StoreAddress::Unix(path), "u", None);
        config.answer_ms_max = 200;
        let account = ServiceAccount::start(config).unwrap();
        let (one, two, three) =
            tokio::join!(account.snapshot(), account.snapshot(), account.snapshot());
        for failed in [one, two, three] {
            assert!(matches!(failed, Err(AccountError::Shared(_))));
        }
        let mut greeted = 0;
        while let Ok(accepted) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            accepted.unwrap();
            greeted += 1;
        }
        assert_eq!(greeted, 1, "the store was asked once for all three");
        account.close().await;
    }
}
