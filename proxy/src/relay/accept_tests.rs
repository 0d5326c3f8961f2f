//! Tests of accepting, the handshake and the stop, with a scripted store behind a Unix socket.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::account::StoreAddress;
use crate::error::ErrorKind;
use crate::live::Live;
use crate::relay::{Handled, Route, Takeover};
use crate::wire::{Capabilities, ErrPacket, PacketReader, StatusFlags, encode_ok};
use bytes::Bytes;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

#[derive(Clone)]
struct Plain;

impl Router for Plain {
    type Routed = ();

    fn route(&mut self, _command: u8, _body: &[u8]) -> Route<()> {
        Route::Forward
    }

    fn passed_unseen(&mut self, _command: u8, _head: &[u8]) {}

    async fn handle(&mut self, takeover: Takeover<'_, ()>) -> Result<Handled, SessionEnd> {
        Ok(Handled::Forward(takeover.command))
    }
}

/// A proxy on its own port, in front of a store that the test plays.
pub(super) struct Proxy {
    address: SocketAddr,
    store: UnixListener,
    stopping: CancellationToken,
    running: tokio::task::JoinHandle<io::Result<StopTime>>,
    directory: tempfile::TempDir,
}

fn proxy(connections_max: usize, stop_time_max: Duration) -> Proxy {
    proxy_on(2, connections_max, stop_time_max).0
}

/// Like `proxy`, with the given number of threads; also returns the client count of each thread.
pub(super) fn proxy_on(
    runtimes: usize,
    connections_max: usize,
    stop_time_max: Duration,
) -> (Proxy, Vec<Arc<AtomicUsize>>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sock");
    let store = UnixListener::bind(&path).unwrap();
    let listener = BoundListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let limits = Limits {
        runtimes,
        connections_max,
        logins_max_by_address: 0,
        stop_time_max,
    };
    let acceptor = Acceptor::start(listener, limits, config(&path), |_| Plain).unwrap();
    let threads = acceptor.threads.iter();
    let sessions = threads.map(|thread| Arc::clone(&thread.sessions)).collect();
    let stopping = CancellationToken::new();
    let proxy = Proxy {
        address: acceptor.local_addr().unwrap(),
        store,
        running: tokio::spawn(acceptor.run(stopping.clone())),
        stopping,
        directory,
    };
    (proxy, sessions)
}

fn config(store: &Path) -> SessionConfig {
    SessionConfig {
        store: StoreAddress::Unix(store.to_owned()),
        tls: crate::tls::Tls::default(),
        connect_timeout: Duration::from_secs(5),
        login_time_max: Duration::from_secs(10),
        admission: Arc::default(),
        inspect_bytes_max: 1 << 20,
        held: crate::relay::HeldAccount::new(std::env::temp_dir(), 1 << 30, 1 << 30),
        drain: CancellationToken::new(),
        stop: CancellationToken::new(),
        live: Arc::new(Live::new(Arc::default())),
    }
}

/// One end of a leg, read and written packet by packet.
pub(super) struct End<S> {
    stream: S,
    reader: PacketReader,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> End<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            reader: PacketReader::new(1 << 20),
        }
    }

    pub(super) async fn get(&mut self) -> (u8, Bytes) {
        let payload = self.reader.read(&mut self.stream).await.unwrap();
        (self.reader.last_seq(), payload)
    }

    pub(super) async fn put(&mut self, seq: u8, payload: &[u8]) {
        let mut writer = PacketWriter::new(seq);
        writer.write(payload);
        self.stream.write_all(&writer.into_bytes()).await.unwrap();
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 8]).await, Ok(0) | Err(_))
    }
}

pub(super) fn greeting() -> Vec<u8> {
    let mut payload = b"\x0a10.11.6-MariaDB\0\x1f\0\0\0abcdefgh\0".to_vec();
    payload.extend(b"\xfe\xff\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0");
    payload.extend(b"ijklmnopqrst\0mysql_native_password\0");
    payload
}

fn login(capabilities: Capabilities) -> Vec<u8> {
    let mut payload = (capabilities.0 as u32).to_le_bytes().to_vec();
    payload.extend(b"\0\0\0\x01\x2d");
    payload.extend([0; 23]);
    payload.extend(b"root\0\0");
    payload
}

fn ok() -> Bytes {
    encode_ok(0, 0, StatusFlags::SERVER_STATUS_AUTOCOMMIT, 0, b"")
}

impl Proxy {
    pub(super) async fn connect(&self) -> End<TcpStream> {
        End::new(TcpStream::connect(self.address).await.unwrap())
    }

    pub(super) async fn at_store(&self) -> End<UnixStream> {
        End::new(self.store.accept().await.unwrap().0)
    }

    /// A session after its handshake.
    async fn session(&self) -> (End<TcpStream>, End<UnixStream>) {
        let mut client = self.connect().await;
        let mut store = self.at_store().await;
        store.put(0, &greeting()).await;
        client.get().await;
        client.put(1, &login(Capabilities::PROTOCOL_41)).await;
        store.get().await;
        store.put(2, &ok()).await;
        client.get().await;
        (client, store)
    }
}

#[tokio::test]
async fn a_handshake_is_relayed_without_what_cannot_be_followed() {
    let proxy = proxy(10, Duration::from_secs(5));
    let mut client = proxy.connect().await;
    let mut store = proxy.at_store().await;
    store.put(0, &greeting()).await;
    let (seq, greeted) = client.get().await;
    assert_eq!((seq, greeted.len()), (0, greeting().len()));
    let capabilities = u16::from_le_bytes([greeted[30], greeted[31]]);
    assert_eq!(capabilities & 0x0820, 0, "SSL and COMPRESS are cleared");

    let asked = Capabilities::PROTOCOL_41.or(Capabilities::QUERY_ATTRIBUTES);
    client.put(1, &login(asked)).await;
    let (seq, logged_in) = store.get().await;
    assert_eq!(seq, 1);
    assert_eq!(logged_in, login(Capabilities::PROTOCOL_41));
    // A plugin with several round trips: the proxy does not interpret them.
    store.put(2, b"\xfeplugin\0nonce").await;
    assert_eq!(client.get().await.0, 2);
    client.put(3, b"secret").await;
    assert_eq!(store.get().await, (3, Bytes::from_static(b"secret")));
    store.put(4, b"\x01more").await;
    assert_eq!(client.get().await, (4, Bytes::from_static(b"\x01more")));
    client.put(5, b"").await;
    assert_eq!(store.get().await, (5, Bytes::new()));
    store.put(6, &ok()).await;
    assert_eq!(client.get().await, (6, ok()));
    client.put(0, b"\x0e").await;
    assert_eq!(store.get().await, (0, Bytes::from_static(b"\x0e")));
}

#[tokio::test]
async fn refusals_of_the_store_reach_the_client() {
    let proxy = proxy(10, Duration::from_secs(5));
    let mut client = proxy.connect().await;
    let mut store = proxy.at_store().await;
    store.put(0, b"\xff\x10\x04Too many connections").await;
    assert_eq!(
        &client.get().await.1[..],
        b"\xff\x10\x04Too many connections"
    );
    assert!(client.is_closed().await);

    let mut client = proxy.connect().await;
    let mut store = proxy.at_store().await;
    store.put(0, &greeting()).await;
    client.get().await;
    client.put(1, &login(Capabilities::PROTOCOL_41)).await;
    store.get().await;
    let denied = ErrPacket::new(1045, b"28000", "Access denied").encode();
    store.put(2, &denied).await;
    assert_eq!(client.get().await, (2, denied));
    assert!(client.is_closed().await && store.is_closed().await);
}

#[tokio::test]
async fn a_store_that_speaks_something_else_is_told() {
    let proxy = proxy(10, Duration::from_secs(5));
    let mut client = proxy.connect().await;
    let mut store = proxy.at_store().await;
    store.put(0, b"SSH-2.0-OpenSSH").await;
    let error = ErrPacket::parse(&client.get().await.1).unwrap();
    assert_eq!(error.code, ErrorKind::StoreUnreachable.code());
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_wants_tls_is_told() {
    let proxy = proxy(10, Duration::from_secs(5));
    let mut client = proxy.connect().await;
    let mut store = proxy.at_store().await;
    store.put(0, &greeting()).await;
    client.get().await;
    let mut request = login(Capabilities::PROTOCOL_41.or(Capabilities::SSL));
    request.truncate(32);
    client.put(1, &request).await;
    let (seq, error) = client.get().await;
    assert_eq!((seq, ErrPacket::parse(&error).unwrap().code), (2, 1043));
    assert!(client.is_closed().await && store.is_closed().await);
}

#[tokio::test]
async fn an_unreachable_store_is_an_error_of_one_client() {
    let proxy = proxy(10, Duration::from_secs(5));
    let (mut earlier, mut store) = proxy.session().await;
    std::fs::remove_file(proxy.directory.path().join("store.sock")).unwrap();
    let mut client = proxy.connect().await;
    let error = ErrPacket::parse(&client.get().await.1).unwrap();
    assert_eq!(error.code, ErrorKind::StoreUnreachable.code());
    assert!(String::from_utf8_lossy(&error.message).contains("store.sock"));
    earlier.put(0, b"\x0e").await;
    assert_eq!(&store.get().await.1[..], b"\x0e");
}

#[tokio::test]
async fn one_client_too_many_is_refused() {
    let proxy = proxy(2, Duration::from_secs(5));
    let first = proxy.session().await;
    let _second = proxy.session().await;
    let mut third = proxy.connect().await;
    let (seq, error) = third.get().await;
    assert_eq!((seq, ErrPacket::parse(&error).unwrap().code), (0, 1040));
    assert!(third.is_closed().await);
    // The slot becomes free shortly after the store's connection is closed.
    let (client, mut store) = first;
    drop(client);
    assert!(store.is_closed().await);
    let is_refused = async || {
        let mut next = proxy.connect().await;
        tokio::select! {
            _store = proxy.at_store() => false,
            _error = next.get() => true,
        }
    };
    while is_refused().await {}
}

#[tokio::test]
async fn a_stop_lets_work_end_and_idle_clients_go() {
    let proxy = proxy(10, Duration::from_secs(60));
    let (mut busy, mut busy_store) = proxy.session().await;
    let (mut idle, _idle_store) = proxy.session().await;
    busy.put(0, b"\x03select").await;
    busy_store.get().await;
    proxy.stopping.cancel();
    assert!(idle.is_closed().await);
    busy_store.put(1, &ok()).await;
    assert_eq!(busy.get().await, (1, ok()));
    assert!(busy.is_closed().await);
    proxy.running.await.unwrap().unwrap();
    assert!(TcpStream::connect(proxy.address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let proxy = proxy(10, Duration::from_millis(1));
    let (mut busy, mut store) = proxy.session().await;
    busy.put(0, b"\x03select").await;
    store.get().await;
    proxy.stopping.cancel();
    let (seq, error) = busy.get().await;
    assert_eq!((seq, ErrPacket::parse(&error).unwrap().code), (1, 1053));
    assert!(busy.is_closed().await && store.is_closed().await);
    proxy.running.await.unwrap().unwrap();
}

/// A client that received the greeting and sends nothing.
async fn silent(proxy: &Proxy) -> (End<TcpStream>, End<UnixStream>) {
    let mut client = proxy.connect().await;
    let mut store = proxy.at_store().await;
    store.put(0, &greeting()).await;
    client.get().await;
    (client, store)
}

#[tokio::test]
async fn a_silent_client_gives_way_and_one_that_is_served_does_not() {
    let proxy = proxy(2, Duration::from_secs(5));
    let (mut silent, _its_store) = silent(&proxy).await;
    let _first = proxy.session().await;
    let _second = proxy.session().await;
    assert!(silent.is_closed().await);
    let mut third = proxy.connect().await;
    assert_eq!(ErrPacket::parse(&third.get().await.1).unwrap().code, 1040);
}

#[tokio::test]
async fn a_store_without_room_is_tried_again_when_a_silent_client_has_left() {
    let proxy = proxy(10, Duration::from_secs(5));
    let (mut silent, mut its_store) = silent(&proxy).await;
    let full = b"\xff\x10\x04Too many connections";
    let told_full = async || {
        let mut client = proxy.connect().await;
        let mut store = proxy.at_store().await;
        store.put(0, full).await;
        tokio::select! {
            told = client.get() => { assert_eq!(&told.1[..], full); None }
            again = proxy.at_store() => Some((client, again)),
        }
    };
    // At first the client has not been silent long enough.
    let (mut client, mut store) = loop {
        if let Some(tried_again) = told_full().await {
            break tried_again;
        }
    };
    assert!(silent.is_closed().await && its_store.is_closed().await);
    store.put(0, &greeting()).await;
    assert_eq!(client.get().await.1.len(), greeting().len());
}
