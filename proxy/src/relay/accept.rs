//! Accepts clients and spreads them over relay threads, each with a runtime of its own.

use super::session::{self, SessionConfig};
use super::{Router, SessionEnd, SessionFacts};
use crate::wire::{ErrPacket, PacketWriter, Stream};
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that the kernel keeps ready for accept.
const BACKLOG: i32 = 1024;

/// How many clients, on how many threads, and how long a stop waits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Relay threads.
    pub runtimes: usize,
    /// Clients at once; one more gets error 1040.
    pub connections_max: usize,
    /// How long a stop waits for statements and transactions to end.
    pub stop_time_max: Duration,
}

/// An address that is taken, and not listened on: clients are refused until an [`Acceptor`] has started.
pub struct BoundListener(socket2::Socket);

impl BoundListener {
    /// Takes the address.
    ///
    /// # Errors
    /// It is in use, or not this machine's.
    pub fn bind(listen: SocketAddr) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(listen);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        // A restart must not wait for old connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        Ok(Self(socket))
    }
}

/// A listener and its relay threads.
pub struct Acceptor {
    listener: std::net::TcpListener,
    threads: Vec<RelayThread>,
    control: Control,
}

/// What can be changed while clients are accepted. Sessions that have begun keep what they began with.
#[derive(Clone)]
pub struct Control {
    limits: Arc<ArcSwap<Limits>>,
    config: Arc<ArcSwap<SessionConfig>>,
}

impl Control {
    /// Other limits from now on. The number of runtimes stays what it was.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Changes what sessions that begin from now on are given.
    pub fn change_sessions(&self, change: impl Fn(&mut SessionConfig)) {
        self.config.rcu(|config| {
            let mut config = SessionConfig::clone(config);
            change(&mut config);
            config
        });
    }
}

struct RelayThread {
    clients: mpsc::UnboundedSender<(std::net::TcpStream, Slot)>,
    sessions: Arc<AtomicUsize>,
    handle: JoinHandle<()>,
}

/// Counts a session for as long as it lives.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(sessions: &Arc<AtomicUsize>) -> Self {
        sessions.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(sessions))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Acceptor {
    /// Listens and starts the threads; `open_lane` makes each session's router. Clients wait in the kernel until
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// Another process listens on the address, or a thread cannot be started.
    pub fn start<R: Router + 'static>(
        listener: BoundListener,
        limits: Limits,
        config: SessionConfig,
        open_lane: impl Fn(&SessionFacts) -> R + Clone + Send + 'static,
    ) -> io::Result<Self> {
        listener.0.listen(BACKLOG)?;
        let config = Arc::new(ArcSwap::from_pointee(config));
        let threads = (0..limits.runtimes.max(1))
            .map(|index| RelayThread::start(index, Arc::clone(&config), open_lane.clone()))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            listener: listener.0.into(),
            threads,
            control: Control {
                limits: Arc::new(ArcSwap::from_pointee(limits)),
                config,
            },
        })
    }

    /// Changes settings while the acceptor runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The address that is bound: tells the port where 0 was asked for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until `stopping` is cancelled; then lets sessions end at their next idle point outside a transaction,
    /// waits at most `stop_time_max`, and closes the rest.
    ///
    /// # Errors
    /// The listener cannot be used at all.
    pub async fn run(self, stopping: CancellationToken) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        // For what all versions of it share.
        let config = self.control.config.load_full();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopping.cancelled() => break,
            };
            match accepted {
                Ok((client, _)) => {
                    let connections_max = self.control.limits.load().connections_max;
                    if !hand_over(&self.threads, connections_max, client) {
                        config.live.metrics().sessions_refused.inc();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        config.drain.cancel();
        let stop_time_max = self.control.limits.load().stop_time_max;
        let sessions = total(&self.threads);
        tracing::info!(sessions, "stopping: waiting for sessions to end");
        let handles: Vec<_> = self
            .threads
            .into_iter()
            .map(|thread| thread.handle)
            .collect();
        let ended = tokio::task::spawn_blocking(move || {
            for handle in handles {
                if handle.join().is_err() {
                    tracing::error!("a relay thread panicked");
                }
            }
        });
        tokio::pin!(ended);
        if tokio::time::timeout(stop_time_max, &mut ended)
            .await
            .is_err()
        {
            tracing::warn!("closing sessions that are still busy");
            config.stop.cancel();
            let _ = ended.await;
        }
        Ok(())
    }
}

fn total(threads: &[RelayThread]) -> usize {
    let sessions = threads.iter().map(|thread| &thread.sessions);
    sessions.map(|count| count.load(Ordering::Relaxed)).sum()
}

/// Gives the client to the least loaded thread; false if there are too many already.
fn hand_over(threads: &[RelayThread], connections_max: usize, client: TcpStream) -> bool {
    if total(threads) >= connections_max {
        tracing::warn!(connections_max, "refusing a client: too many connections");
        refuse(&client);
        return false;
    }
    let least = threads
        .iter()
        .min_by_key(|thread| thread.sessions.load(Ordering::Relaxed));
    let (Some(thread), Ok(client)) = (least, client.into_std()) else {
        return true;
    };
    // A thread only goes when the proxy stops; the client then sees its connection closed.
    let _ = thread.clients.send((client, Slot::take(&thread.sessions)));
    true
}

/// Error 1040 as the first packet. A fresh socket takes it at once or not at all.
fn refuse(client: &TcpStream) {
    let mut writer = PacketWriter::new(0);
    let error = ErrPacket::new(1040, b"08004", "Too many connections");
    writer.write(&error.encode());
    let _ = client.try_write(&writer.into_bytes());
}

impl RelayThread {
    fn start<R: Router + 'static>(
        index: usize,
        config: Arc<ArcSwap<SessionConfig>>,
        open_lane: impl Fn(&SessionFacts) -> R + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (clients, accepted) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = std::thread::Builder::new()
            .name(format!("relay-{index}"))
            .spawn(move || runtime.block_on(relay(accepted, config, open_lane)))?;
        Ok(Self {
            clients,
            sessions: Arc::default(),
            handle,
        })
    }
}

/// The life of a relay thread: it ends when the acceptor is gone and the last session is over.
async fn relay<R: Router + 'static>(
    mut accepted: mpsc::UnboundedReceiver<(std::net::TcpStream, Slot)>,
    config: Arc<ArcSwap<SessionConfig>>,
    open_lane: impl Fn(&SessionFacts) -> R + Clone + Send + 'static,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            client = accepted.recv() => {
                let Some((client, slot)) = client else { break };
                let (config, open_lane) = (config.load_full(), open_lane.clone());
                sessions.spawn(async move {
                    serve_client(client, &config, open_lane).await;
                    drop(slot);
                });
            }
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => report(ended),
        }
    }
    while let Some(ended) = sessions.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session failed");
    }
}

async fn serve_client<R: Router>(
    client: std::net::TcpStream,
    config: &SessionConfig,
    open_lane: impl Fn(&SessionFacts) -> R,
) {
    let client = match TcpStream::from_std(client).and_then(Stream::tcp) {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%error, "a client left at once"),
    };
    let peer = client.peer();
    match session::serve(client, config, open_lane).await {
        end @ SessionEnd::Store(_) => {
            tracing::warn!(client = %peer, store = %config.store, reason = %end, "session ended");
        }
        end @ (SessionEnd::Client(_) | SessionEnd::Protocol(_)) => {
            tracing::info!(client = %peer, reason = %end, "session ended");
        }
        end => tracing::debug!(client = %peer, reason = %end, "session ended"),
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "spread_tests.rs"]
mod spread_tests;
