//! Accepts client connections and distributes them over relay threads, each with its own runtime.

use super::session::{self, SessionConfig};
use super::{Router, SessionEnd, SessionFacts};
use crate::admission::{Admission, Applicant, LineLimit, Source};
use crate::error::ErrorKind;
use crate::stop::StopTime;
use crate::wire::{PacketWriter, Stream};
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
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Pause after an accept that failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Listen backlog: connections that the kernel queues for accept.
const BACKLOG: i32 = 1024;

/// Limits of the acceptor: clients, threads, and the duration of a stop.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Number of relay threads.
    pub runtimes: usize,
    /// Maximum concurrent clients. A further client gets error 1040, unless a connection that has
    /// not logged in is displaced.
    pub connections_max: usize,
    /// Maximum concurrent connections from one address that have not logged in; 0 means no limit.
    pub logins_max_by_address: usize,
    /// Maximum duration of a stop.
    pub stop_time_max: Duration,
}

/// A bound address that is not listened on yet: clients are refused until an [`Acceptor`] has
/// started.
pub struct BoundListener(socket2::Socket);

impl BoundListener {
    /// Binds the address.
    ///
    /// # Errors
    /// The address is in use, or does not belong to this machine.
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

/// Changes settings while clients are accepted. Existing sessions keep their settings.
#[derive(Clone)]
pub struct Control {
    limits: Arc<ArcSwap<Limits>>,
    config: Arc<ArcSwap<SessionConfig>>,
}

impl Control {
    /// Sets new limits. The number of runtimes does not change.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Changes the configuration of future sessions.
    pub fn change_sessions(&self, change: impl Fn(&mut SessionConfig)) {
        self.config.rcu(|config| {
            let mut config = SessionConfig::clone(config);
            change(&mut config);
            config
        });
    }
}

struct RelayThread {
    clients: mpsc::UnboundedSender<Client>,
    sessions: Arc<AtomicUsize>,
    handle: JoinHandle<()>,
}

/// An accepted client connection.
type Client = (std::net::TcpStream, Slot, Applicant);

/// Counts a session of a relay thread until dropped.
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
    /// Listens and starts the threads; `open_lane` makes each session's router. Clients wait in
    /// the kernel's backlog until [`run`](Self::run).
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

    /// Handle for changing settings while the acceptor runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The bound address, with the actual port where port 0 was requested.
    ///
    /// # Errors
    /// The error of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until `stopping` is cancelled. Then sessions end at their next idle point outside a
    /// transaction; sessions still busy after most of `stop_time_max` are closed. Returns the
    /// remaining stop time.
    ///
    /// # Errors
    /// The listener cannot be used at all.
    pub async fn run(self, stopping: CancellationToken) -> io::Result<StopTime> {
        let listener = TcpListener::from_std(self.listener)?;
        // For the fields that all versions of the configuration share.
        let config = self.control.config.load_full();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopping.cancelled() => break,
            };
            match accepted {
                Ok((client, peer)) => {
                    let limits = self.control.limits.load();
                    let source = Source::from(peer.ip());
                    if has_room(&self.threads, &limits, &config.admission, source) {
                        let applicant = config.admission.enter(source);
                        hand_over(&self.threads, client, applicant);
                    } else {
                        refuse(&client, source);
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
        let stop = StopTime::begin(self.control.limits.load().stop_time_max);
        let sessions = total(&self.threads);
        tracing::info!(sessions, "stopping: waiting for sessions to end");
        let ended = join_all(self.threads);
        tokio::pin!(ended);
        if timeout(stop.left_for_sessions(), &mut ended).await.is_err() {
            tracing::warn!("closing sessions that are still busy");
            config.stop.cancel();
            // The other half is for the steps after the relay threads.
            if timeout(stop.left() / 2, &mut ended).await.is_err() {
                tracing::warn!("sessions do not end in time: leaving them");
            }
        }
        Ok(stop)
    }
}

/// Joins relay threads. The threads keep running if the returned task is abandoned.
fn join_all(threads: Vec<RelayThread>) -> tokio::task::JoinHandle<()> {
    let handles: Vec<_> = threads.into_iter().map(|thread| thread.handle).collect();
    tokio::task::spawn_blocking(move || {
        for handle in handles {
            if handle.join().is_err() {
                tracing::error!("a relay thread panicked");
            }
        }
    })
}

fn total(threads: &[RelayThread]) -> usize {
    let sessions = threads.iter().map(|thread| &thread.sessions);
    sessions.map(|count| count.load(Ordering::Relaxed)).sum()
}

/// Whether a client may be admitted. At the limit, a connection that has not logged in may be
/// displaced.
fn has_room(
    threads: &[RelayThread],
    limits: &Limits,
    admission: &Admission,
    source: Source,
) -> bool {
    let of_address_max = limits.logins_max_by_address;
    if of_address_max > 0
        && admission.count_of(source) >= of_address_max
        && !admission.make_room_of(source)
    {
        return false;
    }
    total(threads) < limits.connections_max || admission.make_room(source)
}

/// Gives the client to the thread with the fewest sessions.
fn hand_over(threads: &[RelayThread], client: TcpStream, applicant: Applicant) {
    let least = threads
        .iter()
        .min_by_key(|thread| thread.sessions.load(Ordering::Relaxed));
    let (Some(thread), Ok(client)) = (least, client.into_std()) else {
        return;
    };
    // A thread ends only when the proxy stops; the client then sees its connection closed.
    let slot = Slot::take(&thread.sessions);
    let _ = thread.clients.send((client, slot, applicant));
}

/// Sends error 1040 as the first packet. A fresh socket either takes it at once or not at all.
fn refuse(client: &TcpStream, source: Source) {
    static LINES: LineLimit = LineLimit::new();
    if let Some(left_out) = LINES.pass() {
        tracing::warn!(%source, left_out, "refusing a client: too many connections");
    }
    let mut writer = PacketWriter::new(0);
    let error = ErrorKind::TooManyConnections.packet("Too many connections");
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

/// Body of a relay thread: ends when the acceptor is dropped and the last session has ended.
async fn relay<R: Router + 'static>(
    mut accepted: mpsc::UnboundedReceiver<Client>,
    config: Arc<ArcSwap<SessionConfig>>,
    open_lane: impl Fn(&SessionFacts) -> R + Clone + Send + 'static,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            client = accepted.recv() => {
                let Some((client, slot, applicant)) = client else { break };
                let (config, open_lane) = (config.load_full(), open_lane.clone());
                sessions.spawn(async move {
                    serve_client(client, applicant, &config, open_lane).await;
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
    applicant: Applicant,
    config: &SessionConfig,
    open_lane: impl Fn(&SessionFacts) -> R,
) {
    let client = match TcpStream::from_std(client).and_then(Stream::tcp) {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%error, "a client left at once"),
    };
    let peer = client.peer();
    let end = session::serve(client, applicant, config, open_lane).await;
    log_end(&peer, config, &end);
}

/// Logs at most one line per second for each kind of end: unauthenticated clients can cause any
/// number of them.
fn log_end(peer: &str, config: &SessionConfig, end: &SessionEnd) {
    static OF_STORE: LineLimit = LineLimit::new();
    static OF_CLIENT: LineLimit = LineLimit::new();
    match end {
        SessionEnd::Store(_) => {
            if let Some(left_out) = OF_STORE.pass() {
                let store = &config.store;
                tracing::warn!(client = peer, %store, reason = %end, left_out, "session ended");
            }
        }
        SessionEnd::Client(_) | SessionEnd::Protocol(_) | SessionEnd::Displaced => {
            if let Some(left_out) = OF_CLIENT.pass() {
                tracing::info!(client = peer, reason = %end, left_out, "session ended");
            }
        }
        end => tracing::debug!(client = peer, reason = %end, "session ended"),
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "spread_tests.rs"]
mod spread_tests;
