//! TLS to the store: when it is used, and how the store's certificate is verified.

use super::{TlsError, provider, read};
use crate::account::StoreAddress;
use mysql_async::SslOpts;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// When TLS is used on the store leg of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum StoreTlsMode {
    /// When the client's leg has.
    #[default]
    AsClient,
    /// Always.
    Required,
    /// Never.
    Disabled,
}

/// How the store's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Verify {
    /// Nothing: the connection is encrypted, but whoever answers is taken for the store.
    None,
    /// That the authority vouches for it.
    Ca,
    /// That, and that it names the store's host.
    Identity,
}

/// The settings `[store_tls]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreTlsConfig {
    /// When TLS is used.
    pub mode: StoreTlsMode,
    /// PEM file with the certificates of authorities.
    pub ca: Option<PathBuf>,
    /// Verification of the store's certificate; by default `Identity` if `ca` is set, otherwise
    /// none.
    pub verify: Option<Verify>,
}

impl StoreTlsConfig {
    /// Verification of the store's certificate.
    #[must_use]
    pub fn verify(&self) -> Verify {
        self.verify.unwrap_or(match self.ca {
            Some(_) => Verify::Identity,
            None => Verify::None,
        })
    }

    /// TLS of the service account's own connections, which have no client leg: used if it is
    /// required, or if an authority is configured so that the store can be verified.
    #[must_use]
    pub fn service(&self) -> Option<SslOpts> {
        let wanted = match self.mode {
            StoreTlsMode::Required => true,
            StoreTlsMode::AsClient => self.ca.is_some(),
            StoreTlsMode::Disabled => false,
        };
        wanted.then(|| {
            let verify = self.verify();
            let opts = SslOpts::default()
                .with_danger_accept_invalid_certs(verify == Verify::None)
                .with_danger_skip_domain_validation(verify != Verify::Identity);
            match &self.ca {
                Some(ca) => opts
                    .with_root_certs(vec![ca.clone().into()])
                    .with_disable_built_in_roots(true),
                None => opts,
            }
        })
    }
}

/// Client-side TLS for the store.
#[derive(Clone)]
pub struct StoreTls {
    mode: StoreTlsMode,
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for StoreTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StoreTls")
            .field("mode", &self.mode)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl StoreTls {
    /// Reads the certificates of the authorities.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(config: &StoreTlsConfig, store: &StoreAddress) -> Result<Self, TlsError> {
        let host = match store {
            StoreAddress::Tcp { host, .. } => host.as_str(),
            StoreAddress::Unix(_) => "localhost",
        };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let roots = config.ca.as_deref().map(roots).transpose()?;
        let verifier: Arc<dyn ServerCertVerifier> = match (config.verify(), roots) {
            (Verify::None, _) => Arc::new(Anybody(provider().signature_verification_algorithms)),
            (_, None) => return Err(TlsError::NoAuthority),
            (verify, Some(roots)) => {
                let chain = WebPkiServerVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?;
                match verify {
                    Verify::Ca => Arc::new(AnyName(chain)),
                    Verify::Identity | Verify::None => chain,
                }
            }
        };
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self {
            mode: config.mode,
            connector: TlsConnector::from(Arc::new(client)),
            name,
        })
    }

    /// When TLS is used.
    #[must_use]
    pub fn mode(&self) -> StoreTlsMode {
        self.mode
    }

    /// The connector, and the name that the certificate must have.
    #[must_use]
    pub fn connector(&self) -> (&TlsConnector, ServerName<'static>) {
        (&self.connector, self.name.clone())
    }
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let pem = read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|reason| TlsError::Authority {
            path: path.to_owned(),
            reason,
        })?;
    }
    if roots.is_empty() {
        return Err(TlsError::Absent {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(Arc::new(roots))
}

/// Accepts any certificate, even one that this library cannot parse: servers generate such
/// certificates at their installation.
#[derive(Debug)]
struct Anybody(tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Verifies that the authority signed the certificate, for any name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // Checked only after the chain has been verified.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
