//! The views that predict, as last read by the service account.
//!
//! There is no cheap way to detect changed views: all views are read (70 ms for 1,000 views), at
//! the start, after each change through this proxy, after a function of the catalog was executed
//! outside of the lane, and every few seconds, since views can also be changed without the proxy.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use predictsql_catalog::store;
use predictsql_optimizer::views::{ViewSource, Views};

use super::{Account, AccountError, ServiceAccount};

/// Pause between two reads of the store's views, in seconds.
const REFRESH_SECONDS: u64 = 10;

/// Pause after a requested read that did not help, in seconds.
const VAIN_SECONDS: u64 = 1;

/// Reads use at most one part in this many of the store's time.
const REFRESH_SHARE: u32 = 200;

impl ServiceAccount {
    /// Whether a statement's text could name a view that predicts. Executed for every plain
    /// statement.
    pub fn may_name_view(&self, sql: &[u8]) -> bool {
        self.0
            .as_ref()
            .is_some_and(|account| account.views.load().may_name(sql))
    }

    /// The views that predict.
    pub fn views(&self) -> Arc<Views> {
        match &self.0 {
            Some(account) => account.views.load_full(),
            None => Arc::default(),
        }
    }

    /// Reads all views again, after a change of one.
    pub async fn refresh_views(&self) -> Result<(), AccountError> {
        let account = self.account()?;
        // One read at a time; a waiting caller needs a read that began after its call.
        let asked = Instant::now();
        let mut looked_at = account.views_refresh.lock().await;
        if looked_at.is_some_and(|looked_at| looked_at >= asked) {
            return Ok(());
        }
        let began = Instant::now();
        let views = self
            .run(|mut conn, schema| async move {
                let packet: Option<u64> = conn
                    .query_first("SELECT @@GLOBAL.max_allowed_packet")
                    .await?;
                let (definitions, fold_case) = store::views(&mut conn, &schema).await?;
                let sources: Vec<ViewSource> = definitions.into_iter().map(source).collect();
                let views = Views::analyse(&sources, schema.as_str(), fold_case);
                Ok((views, packet.unwrap_or_default()))
            })
            .await;
        match &views {
            Ok(_) => account.views_told.store(false, Relaxed),
            // Log the failure once.
            Err(error) if !account.views_told.swap(true, Relaxed) => {
                tracing::warn!(%error, "views over predictions cannot be read");
            }
            Err(error) => tracing::debug!(%error, "views over predictions cannot be read"),
        }
        let (views, packet_bytes_max) = views?;
        account.packet_bytes_max.store(packet_bytes_max, Relaxed);
        account.views.store(Arc::new(views));
        *looked_at = Some(began);
        Ok(())
    }

    /// Longest command that the store takes of a new session, in bytes, as last read with the
    /// views; none if it is not known.
    pub fn packet_bytes_max(&self) -> Option<u64> {
        let account = self.0.as_ref()?;
        let max = account.packet_bytes_max.load(Relaxed);
        (max > 0).then_some(max)
    }

    /// Requests another read of the views soon.
    pub fn suspect_views(&self) {
        if let Some(account) = &self.0 {
            account.views_suspect.notify_one();
        }
    }

    /// Whether a new read of catalog and views may help a statement that called a stub: the last
    /// read that did not help is long enough ago. The limit is needed because a user's function
    /// can raise the stubs' error as often as it likes.
    pub fn may_look_anew(&self) -> bool {
        self.0.as_ref().is_some_and(|account| {
            let vain = account.looked_in_vain.load();
            let pause = Duration::from_secs(VAIN_SECONDS);
            vain.as_ref().is_none_or(|vain| vain.elapsed() >= pause)
        })
    }

    /// Records that a read did not help.
    pub fn looked_in_vain(&self) {
        if let Some(account) = &self.0 {
            let now = Arc::new(Instant::now());
            account.looked_in_vain.store(Some(now));
        }
    }

    /// Records that the error of reading the views is logged already.
    pub fn told_of_views(&self) {
        if let Some(account) = &self.0 {
            account.views_told.store(true, Relaxed);
        }
    }

    /// Keeps the views up to date until the account is closed.
    pub fn watch_views(&self) {
        let Some(account) = &self.0 else {
            return;
        };
        let stop = account.stop.clone();
        let watch = watch(Arc::downgrade(account), Arc::clone(&account.views_suspect));
        account.runtime.spawn(async move {
            tokio::select! {
                () = watch => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn watch(account: Weak<Account>, suspect: Arc<tokio::sync::Notify>) {
    while let Some(account) = account
        .upgrade()
        .map(|account| ServiceAccount(Some(account)))
    {
        let began = Instant::now();
        // Needed for functions that sessions in the schema may call unqualified.
        if let Err(error) = account.snapshot().await {
            tracing::debug!(%error, "the catalog cannot be read");
        }
        // A failure is logged already.
        let _ = account.refresh_views().await;
        drop(account);
        let pause = Duration::from_secs(REFRESH_SECONDS).max(began.elapsed() * REFRESH_SHARE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = suspected(&suspect) => {}
        }
    }
}

/// Completes when another read was requested, but not right after the last one.
async fn suspected(suspect: &tokio::sync::Notify) {
    tokio::time::sleep(Duration::from_secs(VAIN_SECONDS)).await;
    suspect.notified().await;
}

fn source(view: store::ViewDefinition) -> ViewSource {
    ViewSource {
        schema: view.schema,
        name: view.name,
        definition: view.definition,
        kept_apart: view.algorithm == "TEMPTABLE",
        collation: view.collation,
    }
}
