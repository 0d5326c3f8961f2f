//! What a connection of the scripted store runs over.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

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
    pub(super) fn start_tls(&mut self, certificate: &Certificate) -> io::Result<()> {
        let Self::Tcp(stream) = std::mem::replace(self, Self::Closed) else {
            return Err(io::Error::other("TLS over what is no plain TCP connection"));
        };
        let config = Arc::clone(&certificate.config);
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
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

/// A certificate for some names, by an authority of its own.
#[derive(Debug, Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    authority_pem: String,
}

impl Certificate {
    /// A certificate for `names`: host names or addresses.
    pub fn issue(names: &[&str]) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Self {
            config: Arc::new(config),
            authority_pem,
        }
    }

    /// The authority's own certificate, PEM: what clients that verify must trust.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }
}
