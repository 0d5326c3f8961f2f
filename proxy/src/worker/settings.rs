//! Settings of `predictsql worker`, from flags and file, checked.

use super::args::WorkerArgs;
use crate::config::{ConfigError, Endpoint, ExecutorFile, read_pem, take_executor};
use predictsql_executor::{
    ExecutorConfig, ModelCacheConfig, SecretPem, TrialConfig, WorkerConfig, WorkerTls,
};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings file as read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    worker: WorkerFile,
    executor: ExecutorFile,
}

/// The table `[worker]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WorkerFile {
    listen: Option<SocketAddr>,
    http: Option<Endpoint>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_client_ca: Option<PathBuf>,
    requests_max: Option<usize>,
    request_bytes_max: Option<usize>,
    stop_seconds_max: Option<u64>,
    trial_seconds_max: Option<u64>,
    trial_bytes_max: Option<u64>,
    trials_max: Option<usize>,
}

/// Checked settings.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) http: Endpoint,
    pub(super) executor: ExecutorConfig,
    pub(super) worker: WorkerConfig,
    /// Maximum time for requests under way at a stop.
    pub(super) stop_time_max: Duration,
    /// The temporary model cache, removed at the end.
    _model_cache: Option<tempfile::TempDir>,
}

impl Settings {
    /// Reads and checks the settings.
    pub(super) fn load(args: &WorkerArgs) -> Result<Self, ConfigError> {
        let file = args.config.as_deref().map(read_file).transpose()?;
        let SettingsFile { worker, executor } = file.unwrap_or_default();
        let tls = tls(args, &worker)?;
        let mut config = ExecutorConfig {
            trial: Some(trial(&worker)),
            ..ExecutorConfig::default()
        };
        let roots = (&args.image_roots[..], &args.model_roots[..]);
        take_executor(&mut config, roots, executor)?;
        if let Some(device) = args.device {
            config.provider.device = device;
        }
        if let Some(threads) = args.threads {
            config.set_threads(threads);
        }
        if let Some(folder) = &args.model_cache_dir {
            config.model_cache = Some(ModelCacheConfig::in_folder(folder.clone()));
        }
        let model_cache = match &config.model_cache {
            Some(_) => None,
            None => {
                let folder = tempfile::Builder::new()
                    .prefix("predictsql-models-")
                    .tempdir();
                let folder = folder.map_err(|source| ConfigError::Read {
                    path: std::env::temp_dir(),
                    source,
                })?;
                let path = folder.path().to_owned();
                config.model_cache = Some(ModelCacheConfig::in_folder(path));
                Some(folder)
            }
        };
        let defaults = WorkerConfig::default();
        let settings = Self {
            listen: args
                .listen
                .or(worker.listen)
                .unwrap_or((Ipv4Addr::LOCALHOST, 8001).into()),
            http: args
                .http
                .or(worker.http)
                .unwrap_or(Endpoint::IfFree((Ipv4Addr::LOCALHOST, 8002).into())),
            executor: config,
            worker: WorkerConfig {
                requests_max: worker.requests_max.unwrap_or(defaults.requests_max),
                request_bytes_max: worker
                    .request_bytes_max
                    .unwrap_or(defaults.request_bytes_max),
                tls,
            },
            stop_time_max: Duration::from_secs(worker.stop_seconds_max.unwrap_or(30)),
            _model_cache: model_cache,
        };
        for (name, zero) in [
            ("worker.requests_max", settings.worker.requests_max == 0),
            (
                "worker.request_bytes_max",
                settings.worker.request_bytes_max == 0,
            ),
        ] {
            if zero {
                let reason = "must be at least 1".to_owned();
                return Err(ConfigError::Value { name, reason });
            }
        }
        Ok(settings)
    }

    /// Whether only clients with a certificate are let in.
    pub(super) fn checks_clients(&self) -> bool {
        let tls = self.worker.tls.as_ref();
        tls.is_some_and(|tls| tls.client_authorities.is_some())
    }
}

fn read_file(path: &Path) -> Result<SettingsFile, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// How new models are tried.
fn trial(file: &WorkerFile) -> TrialConfig {
    let default = TrialConfig::default();
    TrialConfig {
        trial_seconds_max: file.trial_seconds_max.unwrap_or(default.trial_seconds_max),
        trial_bytes_max: file.trial_bytes_max.unwrap_or(default.trial_bytes_max),
        trials_max: file.trials_max.unwrap_or(default.trials_max),
        ..default
    }
}

/// Certificate, key and authorities of clients, of flags or else of the file.
fn tls(args: &WorkerArgs, file: &WorkerFile) -> Result<Option<WorkerTls>, ConfigError> {
    let certificate = args
        .tls_certificate
        .as_ref()
        .or(file.tls_certificate.as_ref());
    let key = args.tls_key.as_ref().or(file.tls_key.as_ref());
    let authorities = args.tls_client_ca.as_ref().or(file.tls_client_ca.as_ref());
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return match (certificate, key, authorities) {
            (None, None, None) => Ok(None),
            _ => Err(ConfigError::Value {
                name: "worker.tls_certificate",
                reason: "needs both tls_certificate and tls_key, and so does tls_client_ca"
                    .to_owned(),
            }),
        };
    };
    Ok(Some(WorkerTls {
        certificate: read_pem(certificate)?,
        key: SecretPem(read_pem(key)?),
        client_authorities: authorities.map(|path| read_pem(path)).transpose()?,
    }))
}
