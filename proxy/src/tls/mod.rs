//! TLS of both legs: the certificate that clients are shown, and how the store is connected to.
//!
//! Cryptography is rustls with ring; protocol versions are 1.2 and 1.3. Client certificates are
//! not asked for: a relayed login could not pass them on to the store.

mod certificate;
mod store;

pub use certificate::{CertificateSource, Reload, ServerTls};
pub use store::{StoreTls, StoreTlsConfig, StoreTlsMode, Verify};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls;

/// TLS of both legs of new sessions. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// What clients are offered, if they are.
    pub client: Option<Arc<ServerTls>>,
    /// Whether they must take it.
    pub client_required: bool,
    /// How the store's leg gets it; none for never.
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
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM form", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The certificate and the key do not work together, or not at all.
    #[error("the certificate in {} cannot be used with the key in {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A certificate of an authority that cannot vouch for anybody.
    #[error("{} holds a certificate that cannot be trusted: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Verification needs to know whom to trust.
    #[error(
        "verifying the store's certificate needs the authority's certificate: set ca of [store_tls]"
    )]
    NoAuthority,
    /// The store's host is not a name that a certificate could have.
    #[error("'{0}' is not a name that a certificate could have")]
    Name(String),
    /// The library refuses.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
    /// A certificate of the proxy's own making.
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
