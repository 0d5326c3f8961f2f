//! Tests of clients that stop sending or reading, stores that stop reading, and idle sessions.

use super::*;
use std::net::Shutdown;

/// MariaDB's ERR for a packet that is too large, after which it closes the connection.
fn too_big() -> Bytes {
    ErrPacket::new(1153, b"08S01", "Got a packet bigger than").encode()
}

/// Longer than any test takes. With the paused clock it passes at once, so that a session that
/// does not end fails the test instead of hanging it.
const DEADLINE: Duration = Duration::from_secs(3600);

async fn end_of(session: JoinHandle<SessionEnd>) -> SessionEnd {
    let ended = tokio::time::timeout(DEADLINE, session).await;
    ended.unwrap().unwrap()
}

async fn all_at_client(ends: &mut Ends) -> Vec<u8> {
    let mut all = Vec::new();
    ends.client.read_to_end(&mut all).await.unwrap();
    all
}

/// Like `shutdown(SHUT_WR)` by a client that still reads.
async fn end_commands(ends: &mut Ends) {
    AsyncWriteExt::shutdown(&mut ends.client).await.unwrap();
}

/// Writes at the store's end until the client's buffers are full and the relay takes no more.
async fn fill_client(ends: &Ends) {
    let row = packets(1, &[&[7; 60_000]]);
    let mut refused = 0;
    while refused < 100 {
        match ends.store.try_write(&row) {
            Ok(_) => refused = 0,
            Err(_) => refused += 1,
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_sends_no_more_still_gets_every_answer() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03one", b"\x03two"]).await;
    end_commands(&mut ends).await;
    assert_eq!(&ends.at_store().await[..], b"\x03one");
    assert_eq!(&ends.at_store().await[..], b"\x03two");
    // The store sees the end of the stream while it works, as without a proxy.
    assert_eq!(ends.store.read(&mut [0; 10]).await.unwrap(), 0);
    ends.answer(1, &ok_with(b"one")).await;
    ends.answer(1, &ok_with(b"two")).await;
    let answers = packets(1, &[&ok_with(b"one"), &ok_with(b"two")]);
    assert_eq!(all_at_client(&mut ends).await, answers);
    let end = end_of(ends.session).await;
    assert!(matches!(end, SessionEnd::ClientClosed), "{end:?}");
}

#[tokio::test]
async fn who_sends_no_more_and_is_owed_nothing_is_let_go() {
    let mut ends = start(CAPABILITIES);
    // The start of a command that is never completed.
    ends.client.write_all(b"\x20\0\0\0\x03SEL").await.unwrap();
    end_commands(&mut ends).await;
    assert!(all_at_client(&mut ends).await.is_empty());
    assert_eq!(ends.store.read(&mut [0; 10]).await.unwrap(), 0);
    let end = end_of(ends.session).await;
    assert!(matches!(end, SessionEnd::ClientClosed), "{end:?}");
}

#[tokio::test]
async fn the_lane_answers_who_sends_no_more() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03first", b"\x03lane!"]).await;
    end_commands(&mut ends).await;
    assert_eq!(&ends.at_store().await[..], b"\x03first");
    ends.answer(1, &ok()).await;
    assert_eq!(&ends.at_store().await[..], b"\x03from the lane");
    ends.answer(1, &ok_with(b"two")).await;
    let answers = packets(1, &[&ok(), &ok_with(b"two")]);
    assert_eq!(all_at_client(&mut ends).await, answers);
    let end = end_of(ends.session).await;
    assert!(matches!(end, SessionEnd::ClientClosed), "{end:?}");
}

#[tokio::test]
async fn a_store_that_closes_on_who_sends_no_more_says_all_there_is() {
    let mut ends = start(CAPABILITIES.or(Capabilities::LOCAL_FILES));
    ends.send(&[b"\x03load"]).await;
    ends.at_store().await;
    ends.answer(1, b"\xfbfile").await;
    assert_eq!(&ends.at_client().await[..], b"\xfbfile");
    end_commands(&mut ends).await;
    assert_eq!(ends.store.read(&mut [0; 10]).await.unwrap(), 0);
    drop(ends.store);
    let mut told = Vec::new();
    ends.client.read_to_end(&mut told).await.unwrap();
    assert!(told.is_empty());
    assert!(matches!(
        end_of(ends.session).await,
        SessionEnd::StoreClosed
    ));
}

/// Sends a statement of which the store reads `read_bytes` before it answers with ERR and closes;
/// returns what the client receives.
async fn told_of_too_big(statement_bytes: usize, read_bytes: usize) -> Vec<u8> {
    let mut ends = start(CAPABILITIES);
    let mut statement = vec![b'x'; statement_bytes];
    statement[0] = 3;
    let sent = packets(0, &[&statement]);
    let (read, mut write) = ends.client.into_split();
    let sending = tokio::spawn(async move {
        // May fail: the statement is not read to its end.
        let _ = write.write_all(&sent).await;
        write
    });
    let mut start = vec![0; read_bytes];
    ends.store.read_exact(&mut start).await.unwrap();
    ends.store
        .write_all(&packets(1, &[&too_big()]))
        .await
        .unwrap();
    drop(ends.store);
    let (mut read, mut told) = (read, Vec::new());
    // Ends with a reset if client bytes were left unread, as without a proxy.
    let _ = read.read_to_end(&mut told).await;
    sending.await.unwrap();
    let end = end_of(ends.session).await;
    assert!(matches!(end, SessionEnd::StoreClosed), "{end:?}");
    told
}

#[tokio::test]
async fn a_statement_that_the_store_does_not_read_is_answered_by_the_store() {
    let answer = packets(1, &[&too_big()]);
    // Long enough that the relay is still writing when the store closes: the write fails first.
    assert_eq!(told_of_too_big(8 << 20, 100).await, answer);
    // For a statement that was forwarded completely, the end of the stream is seen first.
    assert_eq!(told_of_too_big(5000, 5004).await, answer);
}

#[tokio::test]
async fn nothing_is_added_to_the_reason_that_a_store_gives() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03too big", b"\x03next"]).await;
    ends.at_store().await;
    ends.at_store().await;
    ends.answer(1, &too_big()).await;
    drop(ends.store);
    let mut told = Vec::new();
    ends.client.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, packets(1, &[&too_big()]));
}

#[tokio::test]
async fn what_a_deaf_store_has_sent_is_relayed_before_its_end_is() {
    let mut ends = start(CAPABILITIES);
    // The store stops reading, has sent the end of an answer, and has closed, all before the relay
    // is polled.
    ends.store
        .write_all(&packets(1, &[&too_big()]))
        .await
        .unwrap();
    drop(ends.store);
    ends.client
        .write_all(&packets(0, &[b"\x03select"]))
        .await
        .unwrap();
    let mut told = Vec::new();
    ends.client.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, packets(1, &[&too_big()]));
    assert!(matches!(
        end_of(ends.session).await,
        SessionEnd::StoreClosed
    ));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_neither_reads_nor_speaks_is_given_up() {
    let mut ends = start(CAPABILITIES);
    let store = ends.store.into_std().unwrap();
    store.shutdown(Shutdown::Read).unwrap();
    ends.client
        .write_all(&packets(0, &[b"\x03select"]))
        .await
        .unwrap();
    let mut told = Vec::new();
    ends.client.read_to_end(&mut told).await.unwrap();
    assert!(told.is_empty(), "{told:?}");
    assert!(matches!(
        end_of(ends.session).await,
        SessionEnd::StoreClosed
    ));
    drop(store);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_does_not_outlive_the_store_for_long() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    ends.answer(1, b"\x01").await;
    ends.answer(2, b"\x03def").await;
    fill_client(&ends).await;
    drop(ends.store);
    let end = end_of(ends.session).await;
    assert!(matches!(end, SessionEnd::StoreClosed), "{end:?}");
    drop(ends.client);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_all_of_a_store_that_has_gone() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03select"]).await;
    ends.at_store().await;
    let head = packets(1, &[b"\x01", b"\x03def"]);
    ends.store.write_all(&head).await.unwrap();
    let row = packets(1, &[&[7; 60_000]]);
    let rows = 40;
    let writing = tokio::spawn(async move {
        for _ in 0..rows {
            ends.store.write_all(&row).await.unwrap();
        }
        // Closed while the last rows are in transit.
    });
    let mut read_bytes = 0;
    let mut buffer = vec![0; 30_000];
    loop {
        // Takes longer than several sweeps, but is never idle from one sweep to the next.
        tokio::time::sleep(Duration::from_secs(3)).await;
        match ends.client.read(&mut buffer).await.unwrap() {
            0 => break,
            bytes => read_bytes += bytes,
        }
    }
    writing.await.unwrap();
    let all = head.len() + rows * (HEADER_BYTES + 60_000);
    assert!(read_bytes >= all, "{read_bytes} of {all}");
}

#[tokio::test]
async fn an_idle_session_ends_without_a_word() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03begin"]).await;
    ends.at_store().await;
    let in_transaction = encode_ok(0, 0, StatusFlags::SERVER_STATUS_IN_TRANS, 0, b"");
    ends.answer(1, &in_transaction).await;
    assert_eq!(ends.at_client().await, in_transaction);
    // Two sweeps: the first one still finds a new command.
    ends.config.live.sweep_idle(Duration::from_nanos(1));
    while ends.config.live.sweep_idle(Duration::from_nanos(1)) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(all_at_client(&mut ends).await.is_empty());
    assert_eq!(ends.store.read(&mut [0; 10]).await.unwrap(), 0);
    assert!(matches!(end_of(ends.session).await, SessionEnd::Idle));
}

#[tokio::test]
async fn a_command_at_the_last_moment_is_answered() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03last"]).await;
    assert_eq!(&ends.at_store().await[..], b"\x03last");
    // The sweep runs before the session has recorded the forwarded command.
    let live = Arc::clone(&ends.config.live);
    live.sessions().first().unwrap().note(Activity::Idle, 0);
    assert_eq!(live.sweep_idle(Duration::from_nanos(1)), 1);
    // When this has been relayed, the session has checked the flag.
    ends.answer(1, b"\x01").await;
    assert_eq!(&ends.at_client().await[..], b"\x01");
    let error = ErrPacket::new(1317, b"70100", "Query execution was interrupted").encode();
    ends.answer(2, &error).await;
    assert_eq!(all_at_client(&mut ends).await, packets(2, &[&error]));
    assert!(matches!(end_of(ends.session).await, SessionEnd::Idle));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_store_that_is_lost_anywhere_leaves_what_it_said_and_no_more(
        infos in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
        lost_at in any::<prop::sample::Index>(),
        chunk_bytes in 1_usize..300,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut ends = start(CAPABILITIES);
            let mut answers = Vec::new();
            for info in &infos {
                ends.send(&[b"\x03select"]).await;
                ends.at_store().await;
                answers.extend(packets(1, &[&ok_with(info)]));
            }
            answers.truncate(lost_at.index(answers.len() + 1));
            for chunk in answers.chunks(chunk_bytes) {
                ends.store.write_all(chunk).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(ends.store);
            let mut told = Vec::new();
            ends.client.read_to_end(&mut told).await.unwrap();
            assert!(told == answers);
        });
    }
}
