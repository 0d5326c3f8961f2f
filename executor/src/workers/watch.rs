//! Watches the workers of an address: who is there, and who answers.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{ClientTlsConfig, Endpoint};

use super::pool::Pool;
use super::served::Served;
use super::trouble::reason;
use crate::address::Address;
use crate::oip::worker::StateRequest;

/// Time between two looks at who an address stands for.
const RESOLVE_PERIOD: Duration = Duration::from_secs(5);
/// Time between two questions to a worker.
const ASK_PERIOD: Duration = Duration::from_millis(500);
/// Maximum time until a worker has answered such a question. Its threads that answer do no other
/// work.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);
/// Time between two pings of a connection: one that its other end has forgotten fails.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Maximum time to connect to a worker.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Keeps the workers of an address in the pool until the pool is dropped.
pub(super) async fn address(pool: Weak<Pool>, address: Address, tls: Option<ClientTlsConfig>) {
    let mut watched: HashMap<SocketAddr, AbortOnDropHandle<()>> = HashMap::new();
    loop {
        match tokio::net::lookup_host((address.host.as_str(), address.port)).await {
            Ok(found) => {
                let found: HashSet<SocketAddr> = found.collect();
                watched.retain(|known, _| found.contains(known));
                for new in found {
                    if watched.contains_key(&new) {
                        continue;
                    }
                    match endpoint(new, &address, tls.as_ref()) {
                        Ok(endpoint) => {
                            let watching = tokio::spawn(worker(pool.clone(), new, endpoint));
                            watched.insert(new, AbortOnDropHandle::new(watching));
                        }
                        Err(error) => tracing::error!(worker = %new, %error, "cannot use a worker"),
                    }
                }
            }
            // Those that are known stay: they are asked all the same.
            Err(error) => tracing::warn!(%address, %error, "cannot resolve the address of workers"),
        }
        if pool.upgrade().is_none() {
            return;
        }
        sleep(RESOLVE_PERIOD).await;
    }
}

fn endpoint(
    at: SocketAddr,
    address: &Address,
    tls: Option<&ClientTlsConfig>,
) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{at}"))?
        .connect_timeout(CONNECT_TIME_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(ANSWER_TIME_MAX)
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(64 << 20);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone().domain_name(&address.host)),
        None => Ok(endpoint),
    }
}

/// Takes a worker out of the pool when it is no longer watched.
struct InPool {
    pool: Weak<Pool>,
    served: Arc<Served>,
}

impl Drop for InPool {
    fn drop(&mut self) {
        self.served.rest("is no longer at its address");
        if let Some(pool) = self.pool.upgrade() {
            pool.remove(&self.served);
        }
    }
}

/// Asks a worker again and again whether it takes work.
async fn worker(pool: Weak<Pool>, address: SocketAddr, endpoint: Endpoint) {
    let served = Arc::new(Served::new(address, endpoint.connect_lazy()));
    let Some(known) = pool.upgrade() else {
        return;
    };
    known.add(&served);
    drop(known);
    let in_pool = InPool { pool, served };
    let mut client = in_pool.served.worker.clone();
    loop {
        let asked = timeout(ANSWER_TIME_MAX, client.state(StateRequest {})).await;
        let Some(pool) = in_pool.pool.upgrade() else {
            return;
        };
        match asked {
            Ok(Ok(state)) => {
                if in_pool.served.answered(state.get_ref()) {
                    tracing::info!(worker = %address, "worker takes work");
                    pool.joined(&in_pool.served);
                }
            }
            Ok(Err(status)) => {
                let reason = reason(&status);
                in_pool.served.rest(&format!("does not answer ({reason})"));
            }
            Err(_) => in_pool.served.give_up("does not answer in time"),
        }
        drop(pool);
        sleep(ASK_PERIOD).await;
    }
}
