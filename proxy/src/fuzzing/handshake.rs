//! Fuzzing of the whole relayed handshake, over sockets, between two peers that send anything.

use super::framing::payloads;
use super::input::Input;
use crate::relay::handshake::{FirstPacket, SessionFacts, Waiting, handshake as relay_handshake};
use crate::tls::{CertificateSource, ServerTls, Tls};
use crate::wire::{Capabilities, Stream};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

/// Fits into a socket's buffer together with the proxy's additions, since the peers do not read
/// before the end.
const SENT_BYTES_MAX: usize = 32 * 1024;

/// Any bytes of both sides: the result is a session or an error, and relayed packets arrive
/// unchanged.
pub fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let tls = Tls {
        client: (input.byte() & 1 == 1).then(certificate).flatten(),
        ..Tls::default()
    };
    let (mut from_client, mut from_store) = (Vec::new(), Vec::new());
    while let Some(record) = input.record() {
        let side = if record.tag % 2 == 0 {
            &mut from_client
        } else {
            &mut from_store
        };
        side.extend_from_slice(record.bytes);
    }
    from_client.truncate(SENT_BYTES_MAX);
    from_store.truncate(SENT_BYTES_MAX);
    let Ok((facts, got)) = converse(&tls, &from_client, &from_store) else {
        return; // the system has no sockets left
    };
    let Some(facts) = facts else {
        return;
    };
    let relayed = Capabilities::RELAYED.or(Capabilities::LONG_PASSWORD);
    assert!(relayed.has(facts.capabilities));
    // All packets except the greeting and the login are relayed unchanged, up to the last packet
    // of the handshake.
    for (sent, got) in [(&from_store, &got.client), (&from_client, &got.store)] {
        let (sent, _) = payloads(sent, usize::MAX);
        let (got, _) = payloads(got, usize::MAX);
        assert!(got.len() <= sent.len());
        let pairs = sent.iter().zip(&got).skip(1);
        pairs.for_each(|(sent, got)| assert_eq!(sent.1, got.1));
    }
}

/// Bytes received by each side.
struct Got {
    client: Vec<u8>,
    store: Vec<u8>,
}

fn converse(
    tls: &Tls,
    from_client: &[u8],
    from_store: &[u8],
) -> std::io::Result<(Option<SessionFacts>, Got)> {
    thread_local! {
        static RUNTIME: Option<Runtime> =
            tokio::runtime::Builder::new_current_thread().enable_io().build().ok();
    }
    let (mut client, near_client) = peer(from_client)?;
    let (mut store, near_store) = peer(from_store)?;
    let facts = RUNTIME.with(|runtime| {
        let runtime = runtime.as_ref().ok_or(std::io::ErrorKind::Unsupported)?;
        runtime.block_on(async {
            let mut client = Stream::Unix(tokio::net::UnixStream::from_std(near_client)?);
            let mut store = Stream::Unix(tokio::net::UnixStream::from_std(near_store)?);
            let first = FirstPacket::read(&mut store).await;
            let waiting = Waiting::default();
            let outcome = relay_handshake(&mut client, &mut store, first, tls, &waiting).await;
            Ok::<_, std::io::Error>(outcome.ok().map(|(facts, _)| facts))
        })
    })?;
    let mut got = Got {
        client: Vec::new(),
        store: Vec::new(),
    };
    // A peer with unread bytes gets a reset instead of the end of the stream.
    let _ = client.read_to_end(&mut got.client);
    let _ = store.read_to_end(&mut got.store);
    Ok((facts, got))
}

/// A peer that sends the given bytes and shuts down, and the proxy's end of the connection.
fn peer(says: &[u8]) -> std::io::Result<(UnixStream, UnixStream)> {
    let (mut far, near) = UnixStream::pair()?;
    far.write_all(says)?;
    far.shutdown(Shutdown::Write)?;
    near.set_nonblocking(true)?;
    Ok((far, near))
}

fn certificate() -> Option<Arc<ServerTls>> {
    static MADE: OnceLock<Option<Arc<ServerTls>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = ServerTls::load(CertificateSource::SelfSigned);
        made.ok().map(Arc::new)
    })
    .clone()
}
