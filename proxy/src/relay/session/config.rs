//! What all sessions share.

use crate::account::StoreAddress;
use crate::admission::Admission;
use crate::live::Live;
use crate::tls::Tls;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What all sessions share.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Where each session connects to.
    pub store: StoreAddress,
    /// TLS of both legs.
    pub tls: Tls,
    /// Longest wait for the connection to the store.
    pub connect_timeout: Duration,
    /// Longest time between a client's connection and the end of its login.
    pub login_time_max: Duration,
    /// Who has not logged in yet.
    pub admission: Arc<Admission>,
    /// Longest command that the router is shown.
    pub inspect_bytes_max: usize,
    /// Sessions end when they are idle and in no transaction.
    pub drain: CancellationToken,
    /// Sessions end at once.
    pub stop: CancellationToken,
    /// Where sessions are registered.
    pub live: Arc<Live>,
}
