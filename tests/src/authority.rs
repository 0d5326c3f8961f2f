//! A certificate authority of the tests, and the files that servers and clients want of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::process::new_dir;

/// Vouches for certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    dir: PathBuf,
}

/// A certificate's and its key's PEM files.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority, which only those who are told trust.
    pub fn new() -> Self {
        let dir = new_dir("authority");
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, dir.to_string_lossy());
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(dir.join("ca.pem"), &pem).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            dir,
        }
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file of its own certificate.
    pub fn path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// What connects to servers that it vouches for.
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.client_config())
    }

    /// Trusts it alone.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// A certificate for `names` (hosts or addresses) and its key, both PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "server of the tests");
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a certificate for `names` and its key into `dir`, each file at once.
    pub fn write_pair(&self, dir: &Path, names: &[&str]) -> Pair {
        let (certificate_pem, key_pem) = self.issue(names);
        let pair = Pair {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        };
        for (path, pem) in [(&pair.certificate, certificate_pem), (&pair.key, key_pem)] {
            let new = path.with_extension("new");
            fs::write(&new, pem).unwrap();
            fs::rename(&new, path).unwrap();
        }
        pair
    }

    /// The same in a folder of its own.
    pub fn new_pair(&self, names: &[&str]) -> Pair {
        self.write_pair(&new_dir("pair"), names)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
