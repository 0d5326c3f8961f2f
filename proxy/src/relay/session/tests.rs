//! Tests of the session, between a scripted client and a scripted store.
#![allow(clippy::unwrap_used)]

mod faults;
mod long;

use super::*;
use crate::account::StoreAddress;
use crate::admission::Source;
use crate::error::ErrorKind;
use crate::live::{Activity, Live};
use crate::relay::handshake::ReadAhead;
use crate::relay::{Handled, LongHead, LongRoute, Refusal, Route, Takeover};
use crate::wire::{
    Capabilities, ErrPacket, HEADER_BYTES, PacketReader, PacketWriter, StatusFlags, encode_ok,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Takes commands with a `!`, forwards them to the store, and answers with the store's answer
/// doubled. Of long commands it looks at those that begin with `look`; it may have to answer those
/// with a `?`, which it does if they have a `!`.
struct TestLane;

impl Router for TestLane {
    type Routed = ();

    fn route(&mut self, _command: u8, body: &[u8]) -> Route<()> {
        if body.contains(&b'!') {
            Route::Lane(())
        } else {
            Route::Forward
        }
    }

    fn long_begins(&mut self, long: LongHead<'_>) -> LongRoute {
        match long.head.starts_with(b"look") {
            true => LongRoute::Look,
            false => LongRoute::Forward,
        }
    }

    fn look(&mut self, part: &[u8]) -> bool {
        part.contains(&b'?')
    }

    fn passed_unseen(&mut self, _command: u8, _head: &[u8]) {}

    fn refuse(&mut self, _command: u8, _head: &[u8], _why: Refusal) -> Option<()> {
        Some(())
    }

    fn instead_of_stub(&mut self) -> Option<ErrPacket> {
        Some(ErrPacket::new(1290, b"HY000", "instead"))
    }

    async fn handle(&mut self, takeover: Takeover<'_, ()>) -> Result<Handled, SessionEnd> {
        if takeover.command.ends_with(b"forward!") {
            return Ok(Handled::Forward(Bytes::from_static(b"\x03in its place")));
        }
        let mut to_store = PacketWriter::new(0);
        to_store.write(b"\x03from the lane");
        to_store
            .flush(takeover.store)
            .await
            .map_err(SessionEnd::store)?;
        let mut from_store = PacketReader::new(1000);
        let answer = from_store
            .read(takeover.store)
            .await
            .map_err(SessionEnd::store)?;
        assert!(!from_store.has_buffered(), "the store was not idle");
        let mut to_client = PacketWriter::new(takeover.seq.wrapping_add(1));
        to_client.write(&answer);
        takeover.status.set(StatusFlags::SERVER_STATUS_IN_TRANS);
        to_client
            .flush(takeover.client)
            .await
            .map_err(SessionEnd::client)?;
        Ok(Handled::Answered)
    }
}

/// A greeting of MariaDB 10.11.
const GREETING: &[u8] =
    b"\x0a5.5.5-10.11.6-MariaDB\0\x1f\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\
    \0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

/// Result for a client that never logs in, with a store that sends only `greeting`.
async fn opened_by_silence(greeting: &[u8]) -> (SessionEnd, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (mut client, leg) = UnixStream::pair().unwrap();
    let config = config(StoreAddress::Unix(path));
    let mut leg = Stream::Unix(leg);
    let applicant = config
        .admission
        .enter(Source::from(IpAddr::from([127, 0, 0, 1])));
    let (opened, _store) = tokio::join!(open(&mut leg, &config, &applicant), async {
        let (mut store, _) = listener.accept().await.unwrap();
        store.write_all(greeting).await.unwrap();
        store
    });
    drop(leg);
    let mut told = Vec::new();
    client.read_to_end(&mut told).await.unwrap();
    (opened.err().unwrap(), told)
}

fn config(store: StoreAddress) -> SessionConfig {
    SessionConfig {
        store,
        tls: crate::tls::Tls::default(),
        connect_timeout: Duration::from_secs(1),
        login_time_max: Duration::from_secs(10),
        admission: Arc::default(),
        inspect_bytes_max: 1000,
        held: crate::relay::HeldAccount::new(std::env::temp_dir(), 1 << 30, 1 << 30),
        drain: CancellationToken::new(),
        stop: CancellationToken::new(),
        live: Arc::new(Live::new(Arc::default())),
    }
}

struct Ends {
    client: UnixStream,
    store: UnixStream,
    from_client: PacketReader,
    from_store: PacketReader,
    session: JoinHandle<SessionEnd>,
    config: SessionConfig,
}

fn start(capabilities: Capabilities) -> Ends {
    start_with(capabilities, config(StoreAddress::Unix("/nowhere".into())))
}

fn start_with(capabilities: Capabilities, config: SessionConfig) -> Ends {
    let (client, client_leg) = UnixStream::pair().unwrap();
    let (store, store_leg) = UnixStream::pair().unwrap();
    let facts = SessionFacts {
        capabilities,
        connection_id: 1,
        server_version: String::new(),
        charset: 45,
        user: Bytes::new(),
        database: None,
        status: StatusFlags::SERVER_STATUS_AUTOCOMMIT,
    };
    let shared = config.clone();
    let session = tokio::spawn(async move {
        let (client, store) = (Stream::Unix(client_leg), Stream::Unix(store_leg));
        let stop = shared.stop.child_token();
        let leave = shared.drain.child_token();
        let record = shared.live.enter(1, b"", String::new(), None, stop, leave);
        let mut session = Session::new(client, store, &facts, TestLane, &shared, record);
        let end = session.run(ReadAhead::default()).await;
        session.farewell(&end).await;
        end
    });
    Ends {
        client,
        store,
        from_client: PacketReader::new(64 << 20),
        from_store: PacketReader::new(1 << 20),
        session,
        config,
    }
}

impl Ends {
    async fn send(&mut self, payloads: &[&[u8]]) {
        self.client.write_all(&packets(0, payloads)).await.unwrap();
    }

    async fn answer(&mut self, seq: u8, payload: &[u8]) {
        self.store
            .write_all(&packets(seq, &[payload]))
            .await
            .unwrap();
    }

    async fn at_store(&mut self) -> Bytes {
        self.from_client.read(&mut self.store).await.unwrap()
    }

    async fn at_client(&mut self) -> Bytes {
        self.from_store.read(&mut self.client).await.unwrap()
    }
}

fn packets(seq: u8, payloads: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        let mut writer = PacketWriter::new(seq);
        writer.write(payload);
        bytes.extend_from_slice(&writer.into_bytes());
    }
    bytes
}

fn ok() -> Bytes {
    encode_ok(0, 0, StatusFlags::SERVER_STATUS_AUTOCOMMIT, 0, b"")
}

fn ok_with(info: &[u8]) -> Bytes {
    encode_ok(0, 0, StatusFlags::SERVER_STATUS_AUTOCOMMIT, 0, info)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_log_in_is_given_up() {
    let greeting = packets(0, &[GREETING]);
    let (end, told) = opened_by_silence(&greeting).await;
    assert!(matches!(end, SessionEnd::Client(_)), "{end:?}");
    assert_eq!(told.len(), greeting.len(), "only the greeting");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_greet_is_given_up() {
    let (end, told) = opened_by_silence(b"").await;
    assert!(matches!(end, SessionEnd::Store(_)), "{end:?}");
    let error = ErrPacket::parse(told.get(HEADER_BYTES..).unwrap()).unwrap();
    assert_eq!(error.code, ErrorKind::StoreUnreachable.code());
}

const CAPABILITIES: Capabilities = Capabilities::DEPRECATE_EOF;

#[tokio::test]
async fn the_lane_waits_for_answers_that_are_owed() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03first", b"\x03second!", b"\x03third"])
        .await;
    assert_eq!(&ends.at_store().await[..], b"\x03first");
    ends.answer(1, &ok_with(b"one")).await;
    assert_eq!(ends.at_client().await, ok_with(b"one"));
    assert_eq!(&ends.at_store().await[..], b"\x03from the lane");
    ends.answer(1, &ok_with(b"two")).await;
    assert_eq!(ends.at_client().await, ok_with(b"two"));
    assert_eq!(ends.from_store.last_seq(), 1);
    assert_eq!(&ends.at_store().await[..], b"\x03third");
    ends.answer(1, &ok()).await;
    assert_eq!(ends.at_client().await, ok());
}

#[tokio::test]
async fn a_command_handed_back_is_forwarded() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03forward!", b"\x03next!"]).await;
    assert_eq!(&ends.at_store().await[..], b"\x03in its place");
    ends.answer(1, &ok()).await;
    assert_eq!(ends.at_client().await, ok());
    assert_eq!(&ends.at_store().await[..], b"\x03from the lane");
}

#[tokio::test]
async fn a_lost_store_is_told_by_the_end_of_the_connection() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    drop(ends.store);
    let mut told = Vec::new();
    ends.client.read_to_end(&mut told).await.unwrap();
    assert!(told.is_empty(), "{told:?}");
    assert!(matches!(
        ends.session.await.unwrap(),
        SessionEnd::StoreClosed
    ));
}

#[tokio::test]
async fn nothing_is_said_inside_a_packet() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    let answer = packets(1, &[&ok_with(b"cut")]);
    ends.store
        .write_all(&answer[..answer.len() - 2])
        .await
        .unwrap();
    drop(ends.store);
    let mut all = Vec::new();
    ends.client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, answer[..answer.len() - 2]);
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_store_leg_along() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    drop(ends.client);
    assert_eq!(ends.store.read(&mut [0; 10]).await.unwrap(), 0);
    // The failing write of this answer reveals that the client is gone.
    ends.store.write_all(&packets(1, &[&ok()])).await.unwrap();
    assert!(matches!(
        ends.session.await.unwrap(),
        SessionEnd::ClientClosed
    ));
}

#[tokio::test]
async fn a_file_that_the_client_did_not_offer_is_not_asked_for() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    ends.answer(1, b"\xfb/etc/passwd").await;
    let error = ends.at_client().await;
    assert_eq!(
        ErrPacket::parse(&error).unwrap().code,
        ErrorKind::StoreMisunderstood.code()
    );
    assert!(matches!(
        ends.session.await.unwrap(),
        SessionEnd::Protocol(_)
    ));
}

#[tokio::test]
async fn a_lanes_command_turns_out_to_be_a_file() {
    let mut ends = start(CAPABILITIES.or(Capabilities::LOCAL_FILES));
    ends.send(&[b"\x03load"]).await;
    ends.at_store().await;
    // Sent before the file request arrives: the store will read it as the file.
    ends.send(&[b"\x03not a command!"]).await;
    ends.answer(1, b"\xfbfile").await;
    assert_eq!(&ends.at_client().await[..], b"\xfbfile");
    assert_eq!(&ends.at_store().await[..], b"\x03not a command!");
    ends.send(&[b""]).await;
    assert_eq!(&ends.at_store().await[..], b"");
    ends.answer(2, &ok()).await;
    assert_eq!(ends.at_client().await, ok());
    ends.send(&[b"\x03lane!"]).await;
    assert_eq!(&ends.at_store().await[..], b"\x03from the lane");
}

#[tokio::test]
async fn changing_user_is_no_time_for_commands() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x11root\0\0\0", b"\x03lane!"]).await;
    assert_eq!(ends.at_store().await[0], 0x11);
    ends.answer(1, b"\xfeplugin\0nonce").await;
    ends.at_client().await;
    // After a switch the client's next packet is authentication data, whatever its bytes.
    assert_eq!(&ends.at_store().await[..], b"\x03lane!");
    ends.answer(3, &ok()).await;
    assert_eq!(ends.at_client().await, ok());
    ends.send(&[b"\x03lane!"]).await;
    assert_eq!(&ends.at_store().await[..], b"\x03from the lane");
}

#[tokio::test]
async fn draining_waits_for_the_answer_and_the_transaction() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03begin"]).await;
    ends.at_store().await;
    ends.config.drain.cancel();
    let in_transaction = encode_ok(0, 0, StatusFlags::SERVER_STATUS_IN_TRANS, 0, b"");
    ends.answer(1, &in_transaction).await;
    assert_eq!(ends.at_client().await, in_transaction);
    ends.send(&[b"\x03commit"]).await;
    assert_eq!(&ends.at_store().await[..], b"\x03commit");
    ends.answer(1, &ok()).await;
    assert_eq!(ends.at_client().await, ok());
    assert!(matches!(ends.session.await.unwrap(), SessionEnd::Stopped));
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_store() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    let row = packets(1, &[&[7; 60_000]]);
    ends.store
        .write_all(&packets(1, &[b"\x01", b"\x03def"]))
        .await
        .unwrap();
    // Fills the sockets and one read; the relay buffers no more than that.
    let (mut written, mut refused) = (0, 0);
    while refused < 100 {
        match ends.store.try_write(&row) {
            Ok(bytes) => (written, refused) = (written + bytes, 0),
            Err(_) => refused += 1,
        }
        assert!(written < 16 << 20, "the relay buffers without end");
        tokio::task::yield_now().await;
    }
    drop(ends.client);
    assert!(matches!(
        ends.session.await.unwrap(),
        SessionEnd::ClientClosed
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_byte_arrives_in_order(
        commands in prop::collection::vec(prop::collection::vec(0_u8..32, 1..3000), 1..20),
        infos in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 20),
        chunk_bytes in 1_usize..5000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ends = start(CAPABILITIES);
            let commands: Vec<Vec<u8>> = commands.iter().map(|body| [&[3], &body[..]].concat()).collect();
            let sent = packets(0, &commands.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut answers = Vec::new();
            for (_, info) in commands.iter().zip(&infos) {
                answers.extend(packets(1, &[&ok_with(info)]));
            }
            let (mut client_read, mut client_write) = ends.client.into_split();
            let (mut store_read, mut store_write) = ends.store.into_split();
            let (expected, to_send) = (sent.clone(), sent);
            let client = tokio::spawn(async move {
                for chunk in to_send.chunks(chunk_bytes) {
                    client_write.write_all(chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client_write
            });
            let mut at_store = vec![0; expected.len()];
            store_read.read_exact(&mut at_store).await.unwrap();
            assert!(at_store == expected);
            let expected = answers.clone();
            let store = tokio::spawn(async move {
                for chunk in answers.chunks(chunk_bytes) {
                    store_write.write_all(chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
                store_write
            });
            let mut at_client = vec![0; expected.len()];
            client_read.read_exact(&mut at_client).await.unwrap();
            assert!(at_client == expected);
            let _both = (client.await.unwrap(), store.await.unwrap());
        });
    }
}
