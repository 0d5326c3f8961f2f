//! The table `[workers]`: processes that run the models in place of this one.

use super::error::{ConfigError, value};
use super::over::set;
use super::paths::shown_path;
use predictsql_executor::{SecretPem, WorkersConfig, WorkersTls};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The table as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WorkersFile {
    addresses: Option<Vec<String>>,
    worker_wait_seconds_max: Option<u64>,
    tls_ca: Option<PathBuf>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

/// Workers, and how connections to them are secured.
#[derive(Debug, Clone)]
pub struct WorkersSettings {
    /// Their addresses, `HOST:PORT`. Empty: models run in this process.
    pub addresses: Vec<String>,
    /// Maximum time to wait while no worker takes work, in seconds.
    pub worker_wait_seconds_max: u64,
    /// Certificates of the authorities that vouch for workers (PEM). `None`: no TLS.
    pub tls_ca: Option<PathBuf>,
    /// Certificate and key that workers are shown (PEM).
    pub tls_identity: Option<(PathBuf, PathBuf)>,
}

impl Default for WorkersSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            worker_wait_seconds_max: 10,
            tls_ca: None,
            tls_identity: None,
        }
    }
}

impl WorkersSettings {
    /// Overrides the settings with those of the file; addresses given by flags override both.
    pub(super) fn take(&mut self, flags: &[String], file: WorkersFile) -> Result<(), ConfigError> {
        set(&mut self.addresses, file.addresses);
        if !flags.is_empty() {
            self.addresses = flags.to_vec();
        }
        set(
            &mut self.worker_wait_seconds_max,
            file.worker_wait_seconds_max,
        );
        self.tls_ca = file.tls_ca;
        self.tls_identity = match (file.tls_certificate, file.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let reason = "needs both tls_certificate and tls_key";
                return Err(value("workers.tls_certificate", reason.to_owned()));
            }
        };
        if self.tls_identity.is_some() && self.tls_ca.is_none() {
            let reason = "is needed where workers are shown a certificate";
            return Err(value("workers.tls_ca", reason.to_owned()));
        }
        Ok(())
    }

    /// The settings of the executor; `None` without workers.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self) -> Result<Option<WorkersConfig>, ConfigError> {
        if self.addresses.is_empty() {
            return Ok(None);
        }
        let tls = match &self.tls_ca {
            None => None,
            Some(ca) => Some(WorkersTls {
                authorities: read_pem(ca)?,
                identity: match &self.tls_identity {
                    Some((certificate, key)) => {
                        Some((read_pem(certificate)?, SecretPem(read_pem(key)?)))
                    }
                    None => None,
                },
            }),
        };
        Ok(Some(WorkersConfig {
            addresses: self.addresses.clone(),
            worker_wait_seconds_max: self.worker_wait_seconds_max,
            tls,
        }))
    }

    /// The equivalent table.
    pub(super) fn as_typed(&self) -> WorkersFile {
        let identity = self.tls_identity.as_ref();
        WorkersFile {
            addresses: Some(self.addresses.clone()),
            worker_wait_seconds_max: Some(self.worker_wait_seconds_max),
            tls_ca: self.tls_ca.as_deref().map(shown_path),
            tls_certificate: identity.map(|(certificate, _)| shown_path(certificate)),
            tls_key: identity.map(|(_, key)| shown_path(key)),
        }
    }
}

/// The content of a PEM file.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })
}
