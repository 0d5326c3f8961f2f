//! TLS of connections to workers.

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::{StartError, WorkersTls};

/// Settings of clients: whose workers are believed, and who the client is.
pub(super) fn client(tls: &WorkersTls) -> Result<ClientTlsConfig, StartError> {
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authorities));
    if let Some((certificate, key)) = &tls.identity {
        config = config.identity(Identity::from_pem(certificate, &key.0));
    }
    Ok(config)
}
