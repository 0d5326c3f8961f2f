//! TLS settings of both legs: `[tls]` and `[store_tls]`, and their flags.

use super::error::{ConfigError, value};
use super::paths::shown_path;
use super::store::StoreConfig;
use crate::tls::{CertificateSource, StoreTlsConfig, StoreTlsMode, Verify};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Flags for TLS with clients.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClientTlsArgs {
    /// Certificate that clients are shown, with its intermediates (PEM); needs --tls-key
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Offer TLS with a certificate made at the start, which clients cannot verify
    #[arg(long, env = "PREDICTSQL_TLS_SELF_SIGNED")]
    pub tls_self_signed: bool,
    /// Refuse clients that do not use TLS
    #[arg(long, env = "PREDICTSQL_TLS_REQUIRED")]
    pub tls_required: bool,
}

/// Flags for TLS with the store.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StoreTlsArgs {
    /// TLS with the store [default: as_client]
    #[arg(long, value_name = "MODE", env = "PREDICTSQL_STORE_TLS")]
    pub store_tls: Option<StoreTlsMode>,
    /// Certificates of the authorities that vouch for the store (PEM)
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_STORE_TLS_CA")]
    pub store_tls_ca: Option<PathBuf>,
    /// What is verified of the store's certificate [default: identity with --store-tls-ca,
    /// else none]
    #[arg(long, value_name = "WHAT", env = "PREDICTSQL_STORE_TLS_VERIFY")]
    pub store_tls_verify: Option<Verify>,
}

/// The table `[tls]` as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTlsFile {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    self_signed: Option<bool>,
    required: Option<bool>,
}

/// The table `[store_tls]` as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreTlsFile {
    mode: Option<StoreTlsMode>,
    ca: Option<PathBuf>,
    verify: Option<Verify>,
}

/// TLS on the client leg.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTlsConfig {
    /// Certificate presented to clients; none for no TLS.
    pub certificate: Option<CertificateSource>,
    /// Whether clients must use TLS.
    pub required: bool,
}

impl ClientTlsConfig {
    /// Resolves the settings. A certificate given by flags replaces one in the file.
    pub(super) fn resolve(args: &ClientTlsArgs, file: &ClientTlsFile) -> Result<Self, ConfigError> {
        let flags = source(&args.tls_certificate, &args.tls_key, args.tls_self_signed)?;
        let certificate = match flags {
            Some(source) => Some(source),
            None => source(
                &file.certificate,
                &file.key,
                file.self_signed.unwrap_or_default(),
            )?,
        };
        let required = args.tls_required || file.required.unwrap_or_default();
        if required && certificate.is_none() {
            let reason = "needs a certificate: set certificate and key, or self_signed";
            return Err(value("tls.required", reason.to_owned()));
        }
        Ok(Self {
            certificate,
            required,
        })
    }

    /// The equivalent file table.
    pub(super) fn as_typed(&self) -> ClientTlsFile {
        let (certificate, key) = match &self.certificate {
            Some(CertificateSource::Files { certificate, key }) => {
                (Some(shown_path(certificate)), Some(shown_path(key)))
            }
            Some(CertificateSource::SelfSigned) | None => (None, None),
        };
        ClientTlsFile {
            certificate,
            key,
            self_signed: Some(self.certificate == Some(CertificateSource::SelfSigned)),
            required: Some(self.required),
        }
    }
}

fn source(
    certificate: &Option<PathBuf>,
    key: &Option<PathBuf>,
    self_signed: bool,
) -> Result<Option<CertificateSource>, ConfigError> {
    match (certificate, key, self_signed) {
        (None, None, false) => Ok(None),
        (None, None, true) => Ok(Some(CertificateSource::SelfSigned)),
        (Some(certificate), Some(key), false) => Ok(Some(CertificateSource::Files {
            certificate: certificate.clone(),
            key: key.clone(),
        })),
        (Some(_), Some(_), true) => {
            let reason = "excludes certificate and key: set one or the other";
            Err(value("tls.self_signed", reason.to_owned()))
        }
        (Some(_), None, _) => Err(value("tls.key", "is missing".to_owned())),
        (None, Some(_), _) => Err(value("tls.certificate", "is missing".to_owned())),
    }
}

impl StoreTlsArgs {
    /// The settings given by flags alone.
    #[must_use]
    pub fn config(&self) -> StoreTlsConfig {
        StoreTlsConfig {
            mode: self.store_tls.unwrap_or_default(),
            ca: self.store_tls_ca.clone(),
            verify: self.store_tls_verify,
        }
    }

    pub(super) fn over(&self, file: StoreTlsFile) -> StoreTlsConfig {
        StoreTlsConfig {
            mode: self.store_tls.or(file.mode).unwrap_or_default(),
            ca: self.store_tls_ca.clone().or(file.ca),
            verify: self.store_tls_verify.or(file.verify),
        }
    }
}

/// The file table equivalent to `tls`.
pub(super) fn store_as_typed(tls: &StoreTlsConfig) -> StoreTlsFile {
    StoreTlsFile {
        mode: Some(tls.mode),
        ca: tls.ca.as_deref().map(shown_path),
        verify: Some(tls.verify()),
    }
}

/// Checks what the types do not enforce for TLS with the store.
pub(super) fn check_store(tls: &StoreTlsConfig, store: &StoreConfig) -> Result<(), ConfigError> {
    if tls.verify() != Verify::None && tls.ca.is_none() {
        let reason = "needs the certificate of an authority: set ca".to_owned();
        return Err(value("store_tls.verify", reason));
    }
    let embedded = matches!(store, StoreConfig::Embedded { .. });
    if embedded && tls.mode == StoreTlsMode::Required {
        let reason = "cannot be required with an embedded store, which is on a private socket";
        return Err(value("store_tls.mode", reason.to_owned()));
    }
    Ok(())
}
