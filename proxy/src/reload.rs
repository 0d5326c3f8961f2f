//! Settings and certificates that change while the proxy runs: at SIGHUP, and when a certificate's
//! file changes.

use crate::account::StoreAddress;
use crate::config::{Config, ConfigError, ServeArgs};
use crate::relay::{Control, Limits};
use crate::tls::{Reload, ServerTls, StoreTls, Tls, TlsError};
use arc_swap::ArcSwap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Interval of checks of the certificate's files.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);

/// Settings that apply without a restart, to new sessions or at the next periodic check. All
/// others need a restart.
const RELOADED: [&str; 8] = [
    "connections_max",
    "connect_timeout_ms",
    "login_seconds_max",
    "logins_max_by_address",
    "command_stall_seconds_max",
    "idle_seconds_max",
    "stop_seconds_max",
    "inspect_bytes_max",
];
/// Tables whose settings all apply without a restart.
const RELOADED_TABLES: [&str; 2] = ["tls.", "store_tls."];

/// Why settings were not applied; the previous ones stay in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Invalid settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Names of changed settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Applied now.
    pub applied: Vec<String>,
    /// Applied after a restart.
    pub restart: Vec<String>,
}

/// The settings in force.
#[derive(Clone)]
pub struct Settings {
    config: Arc<ArcSwap<Config>>,
    tls: Arc<ArcSwap<Tls>>,
    store: StoreAddress,
}

impl Settings {
    /// Loads the certificates.
    ///
    /// # Errors
    /// A certificate cannot be used.
    pub fn start(config: Config, store: StoreAddress) -> Result<Self, TlsError> {
        let tls = tls(&config, &store, None)?;
        Ok(Self {
            config: Arc::new(ArcSwap::from_pointee(config)),
            tls: Arc::new(ArcSwap::from_pointee(tls)),
            store,
        })
    }

    /// The current settings.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// TLS configuration of new sessions.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls::clone(&self.tls.load())
    }

    /// Applies those settings that do not need a restart, for new sessions.
    ///
    /// # Errors
    /// See [`TlsError`]; nothing is changed in this case.
    pub fn replace(&self, config: Config, control: &Control) -> Result<Changes, TlsError> {
        let old = self.config();
        let tls = tls(&config, &self.store, self.tls.load().client.as_ref())?;
        if let Some(client) = &tls.client {
            client.reload()?;
        }
        self.tls.store(Arc::new(tls.clone()));
        control.set_limits(limits(&config));
        control.change_sessions(|sessions| {
            sessions.connect_timeout = config.connect_timeout;
            sessions.login_time_max = config.logins.login_time_max;
            sessions.inspect_bytes_max = config.inspect_bytes_max;
            sessions.tls = tls.clone();
        });
        let changes = changes(&old, &config);
        let mut shown = Config::clone(&old);
        shown.take_over(&config);
        self.config.store(Arc::new(shown));
        Ok(changes)
    }

    /// Loads and applies the settings at each SIGHUP.
    ///
    /// # Errors
    /// The signal handler cannot be created.
    pub fn on_hangup(
        &self,
        args: ServeArgs,
        control: Control,
    ) -> io::Result<impl Future<Output = ()> + use<>> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(reload_at(hangup, self.clone(), args, control))
    }

    /// Checks the certificate's files periodically while polled.
    pub async fn watch_certificate(self) {
        let mut ticks = tokio::time::interval(CERTIFICATE_LOOK);
        loop {
            ticks.tick().await;
            let Some(tls) = self.tls.load().client.clone() else {
                continue;
            };
            // On another thread: the files may be on a network file system.
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(Reload::Unchanged)) | Err(_) => {}
                Ok(Ok(Reload::Replaced)) => {
                    tracing::info!("tls: new connections get the new certificate");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "tls: the certificate stays what it was");
                }
            }
        }
    }
}

async fn reload_at(mut hangup: Signal, settings: Settings, args: ServeArgs, control: Control) {
    while hangup.recv().await.is_some() {
        let reloaded = Config::load(&args)
            .map_err(ReloadError::from)
            .and_then(|config| Ok(settings.replace(config, &control)?));
        match reloaded {
            Ok(changes) => {
                let applied = changes.applied.join(", ");
                tracing::info!(%applied, "SIGHUP: settings and certificates were read");
                if !changes.restart.is_empty() {
                    let settings = changes.restart.join(", ");
                    tracing::warn!(%settings, "SIGHUP: these changes need a restart");
                }
            }
            Err(error) => tracing::error!(%error, "SIGHUP: the settings stay what they were"),
        }
    }
}

/// The acceptor's limits in a configuration.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    Limits {
        runtimes: config.runtimes,
        connections_max: config.connections_max,
        logins_max_by_address: config.logins.logins_max_by_address,
        stop_time_max: config.stop_time_max,
    }
}

/// TLS of a configuration. Reuses a certificate from the same files, with its recorded state.
fn tls(
    config: &Config,
    store: &StoreAddress,
    before: Option<&Arc<ServerTls>>,
) -> Result<Tls, TlsError> {
    let client = match (&config.tls.certificate, before) {
        (Some(source), Some(before)) if before.source() == source => Some(Arc::clone(before)),
        (Some(source), _) => Some(Arc::new(ServerTls::load(source.clone())?)),
        (None, _) => None,
    };
    Ok(Tls {
        client,
        client_required: config.tls.required,
        store: Some(Arc::new(StoreTls::load(&config.store_tls, store)?)),
    })
}

fn is_reloaded(name: &str) -> bool {
    RELOADED.contains(&name) || RELOADED_TABLES.iter().any(|table| name.starts_with(table))
}

fn changes(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    for ((name, before), (_, after)) in old.settings().into_iter().zip(new.settings()) {
        if before != after {
            let list = if is_reloaded(&name) {
                &mut changes.applied
            } else {
                &mut changes.restart
            };
            list.push(name);
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::StoreConfig;

    #[test]
    fn what_is_taken_over_is_what_is_called_so() {
        let before = Config::new(StoreConfig::Embedded {
            data_dir: "x".into(),
        });
        let mut after = before.clone();
        after.connections_max += 1;
        after.idle_time_max = Some(Duration::from_secs(7));
        after.stop_time_max += Duration::from_secs(1);
        after.connect_timeout += Duration::from_secs(1);
        after.logins.login_time_max += Duration::from_secs(1);
        after.logins.logins_max_by_address += 1;
        after.logins.command_stall_time_max += Duration::from_secs(1);
        after.inspect_bytes_max += 1;
        after.tls.required = true;
        after.store_tls.ca = Some("ca.pem".into());
        after.runtimes += 1;
        let told = changes(&before, &after);
        assert_eq!(told.restart, ["runtimes"]);
        let mut shown = before.clone();
        shown.take_over(&after);
        assert_eq!(changes(&before, &shown).applied, told.applied);
        assert_eq!(changes(&shown, &after).restart, told.restart);
        assert!(changes(&shown, &after).applied.is_empty());
    }
}
