//! What a connection of the scripted store runs over.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority::Pair;

/// A connection.
pub(super) enum Leg {
    Tcp(TcpStream),
    Socket(UnixStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    /// Between two kinds.
    Closed,
}

impl Leg {
    /// Whether passwords may come in clear (`my_vio_is_secure`).
    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Self::Socket(_) | Self::Tls(_))
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Goes on over TLS. The handshake itself runs with the first read.
    ///
    /// # Errors
    /// It is no plain TCP connection.
    pub(super) fn start_tls(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        let Self::Tcp(stream) = std::mem::replace(self, Self::Closed) else {
            return Err(io::Error::other("TLS over what is no plain TCP connection"));
        };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        *self = Self::Tls(Box::new(StreamOwned::new(connection, stream)));
        Ok(())
    }
}

impl Read for Leg {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Socket(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Closed => Ok(0),
        }
    }
}

impl Write for Leg {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Socket(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Closed => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Socket(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::Closed => Ok(()),
        }
    }
}

/// What the store needs to speak TLS with this certificate.
pub(super) fn server_config(pair: &Pair) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&pair.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
