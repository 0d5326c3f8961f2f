//! The certificate presented to clients, and its replacement while the proxy runs.

use super::{TlsError, provider, read};
use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Source of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files: the certificate with its intermediates, and the key.
    Files {
        /// The certificate first, then its intermediates.
        certificate: PathBuf,
        /// PKCS#8, PKCS#1 or SEC1, not encrypted.
        key: PathBuf,
    },
    /// Generated at the start, kept in memory, not verifiable by clients.
    SelfSigned,
}

/// Result of checking the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The same certificate and key, or files already reported as invalid.
    Unchanged,
    /// New connections use another certificate.
    Replaced,
}

/// Hash of the contents of both files.
type Fingerprint = [u8; 32];

/// Server-side TLS for clients. Existing connections keep their configuration.
#[derive(Debug)]
pub struct ServerTls {
    source: CertificateSource,
    current: ArcSwap<ServerConfig>,
    /// Hash of the files at the last check, whether or not they were valid.
    seen: Mutex<Fingerprint>,
}

impl ServerTls {
    /// Loads the certificate, or generates one.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(source: CertificateSource) -> Result<Self, TlsError> {
        let (config, seen) = match &source {
            CertificateSource::Files { certificate, key } => {
                let files = Files::read(certificate, key)?;
                (files.config()?, files.fingerprint())
            }
            CertificateSource::SelfSigned => (self_signed()?, Fingerprint::default()),
        };
        Ok(Self {
            source,
            current: ArcSwap::from_pointee(config),
            seen: Mutex::new(seen),
        })
    }

    /// Source of the certificate.
    #[must_use]
    pub fn source(&self) -> &CertificateSource {
        &self.source
    }

    /// An acceptor for one new connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Checks whether the files have changed, and loads their new content. Reads two small files.
    ///
    /// # Errors
    /// The files are invalid, reported once per content; the previous certificate stays in use.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        let CertificateSource::Files { certificate, key } = &self.source else {
            return Ok(Reload::Unchanged);
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match Files::read(certificate, key) {
            Ok(files) => files,
            // Reported once as well: handled like files with empty content.
            Err(_) if *seen == Fingerprint::default() => return Ok(Reload::Unchanged),
            Err(error) => {
                *seen = Fingerprint::default();
                return Err(error);
            }
        };
        let fingerprint = files.fingerprint();
        if *seen == fingerprint {
            return Ok(Reload::Unchanged);
        }
        *seen = fingerprint;
        self.current.store(Arc::new(files.config()?));
        Ok(Reload::Replaced)
    }
}

/// Contents of both files.
struct Files<'a> {
    certificate_path: &'a Path,
    key_path: &'a Path,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl<'a> Files<'a> {
    fn read(certificate_path: &'a Path, key_path: &'a Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate_path,
            key_path,
            certificate: read(certificate_path)?,
            key: read(key_path)?,
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        let hash = Sha256::new()
            .chain_update(Sha256::digest(&self.certificate))
            .chain_update(Sha256::digest(&self.key));
        hash.finalize().into()
    }

    fn config(&self) -> Result<ServerConfig, TlsError> {
        let absent = |path: &Path, what| TlsError::Absent {
            path: path.to_owned(),
            what,
        };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| absent(self.certificate_path, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| absent(self.key_path, "private key (without a passphrase)"))?;
        config(chain, key).map_err(|error| match error {
            TlsError::Library(source) => TlsError::Pair {
                certificate: self.certificate_path.to_owned(),
                key: self.key_path.to_owned(),
                source,
            },
            error => error,
        })
    }
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    Ok(ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

fn self_signed() -> Result<ServerConfig, TlsError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    config(vec![made.cert.der().clone()], key.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write_pair(folder: &Path) -> CertificateSource {
        let made = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        CertificateSource::Files { certificate, key }
    }

    #[test]
    fn a_changed_pair_is_taken_over_and_a_wrong_one_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let tls = ServerTls::load(write_pair(folder.path())).unwrap();
        let first = tls.current.load_full();
        assert_eq!(tls.reload().unwrap(), Reload::Unchanged);

        let other = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let key = folder.path().join("key.pem");
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Pair { .. })));
        assert_eq!(tls.reload().unwrap(), Reload::Unchanged);
        std::fs::remove_file(&key).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Read { .. })));
        assert_eq!(tls.reload().unwrap(), Reload::Unchanged);
        assert!(Arc::ptr_eq(&first, &tls.current.load_full()), "still used");

        write_pair(folder.path());
        assert_eq!(tls.reload().unwrap(), Reload::Replaced);
        assert!(!Arc::ptr_eq(&first, &tls.current.load_full()));
    }

    #[test]
    fn files_that_hold_something_else_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let source = write_pair(folder.path());
        let certificate = folder.path().join("cert.pem");
        std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nno\n").unwrap();
        let error = ServerTls::load(source.clone()).unwrap_err().to_string();
        assert!(error.contains("cert.pem holds no certificate"), "{error}");
        std::fs::remove_file(&certificate).unwrap();
        let error = ServerTls::load(source).unwrap_err().to_string();
        assert!(error.contains("cannot read"), "{error}");
    }

    #[test]
    fn a_certificate_of_its_own() {
        ServerTls::load(CertificateSource::SelfSigned).unwrap();
    }
}
