//! Configuration shared by all sessions.

use crate::account::StoreAddress;
use crate::admission::Admission;
use crate::live::Live;
use crate::relay::held::HeldAccount;
use crate::tls::Tls;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Configuration shared by all sessions.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Address of the store.
    pub store: StoreAddress,
    /// TLS of both legs.
    pub tls: Tls,
    /// Connect timeout of the store connection.
    pub connect_timeout: Duration,
    /// Maximum time from a client's connection to the end of its login.
    pub login_time_max: Duration,
    /// Connections that have not logged in yet.
    pub admission: Arc<Admission>,
    /// Maximum length of a command that the router inspects.
    pub inspect_bytes_max: usize,
    /// What the long commands of all sessions hold.
    pub held: Arc<HeldAccount>,
    /// Cancelled: sessions end when they are idle and in no transaction.
    pub drain: CancellationToken,
    /// Cancelled: sessions end at once.
    pub stop: CancellationToken,
    /// Where sessions are registered.
    pub live: Arc<Live>,
}
