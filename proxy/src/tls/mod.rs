//! TLS on both legs: the certificate presented to clients, and TLS connections to the store.
//!
//! Cryptography is rustls with ring; protocol versions are 1.2 and 1.3. Client certificates are
//! not requested: a relayed login could not present them to the store.

mod certificate;
mod store;

pub use certificate::{CertificateSource, Reload, ServerTls};
pub use store::{StoreTls, StoreTlsConfig, StoreTlsMode, Verify};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls;

/// TLS on both legs of new sessions. By default there is none.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Server-side TLS for clients; none if it is not offered.
    pub client: Option<Arc<ServerTls>>,
    /// Whether clients must use TLS.
    pub client_required: bool,
    /// Client-side TLS for the store; none if it is never used.
    pub store: Option<Arc<StoreTls>>,
}

/// Why a certificate or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file has no item of the expected kind.
    #[error("{} holds no {what} in PEM form", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// The expected kind of item.
        what: &'static str,
    },
    /// The certificate and the key do not match, or are unusable.
    #[error("the certificate in {} cannot be used with the key in {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
    /// A certificate of an authority that cannot be used for verification.
    #[error("{} holds a certificate that cannot be trusted: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Verification needs certificates of trusted authorities.
    #[error(
        "verifying the store's certificate needs the authority's certificate: set ca of [store_tls]"
    )]
    NoAuthority,
    /// The store's host is not a valid name in a certificate.
    #[error("'{0}' is not a name that a certificate could have")]
    Name(String),
    /// An error of the TLS library.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
    /// Generating a self-signed certificate failed.
    #[error("cannot make a certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
