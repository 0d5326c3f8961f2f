//! Long commands: looked at in parts, kept meanwhile, and then forwarded or given to the lane.

use super::*;
use crate::relay::HeldAccount;
use crate::wire::{PACKET_BYTES_MAX, packet_header};

/// A session that looks at commands of up to 40 MiB, and keeps as much in files.
fn looking(memory_bytes_max: u64, disk_bytes_max: u64) -> Ends {
    let directory = std::env::temp_dir();
    let config = SessionConfig {
        inspect_bytes_max: 40 << 20,
        held: HeldAccount::new(directory, memory_bytes_max, disk_bytes_max),
        ..config(StoreAddress::Unix("/nowhere".into()))
    };
    start_with(CAPABILITIES.or(Capabilities::LOCAL_FILES), config)
}

fn command(begin: &[u8], bytes: usize, end: &[u8]) -> Vec<u8> {
    let data = (0..bytes).map(|n| (n % 50) as u8 + 100);
    [b"\x03", begin]
        .concat()
        .into_iter()
        .chain(data)
        .chain(end.iter().copied())
        .collect()
}

/// Sends while the store reads; returns what the store got.
async fn through(ends: &mut Ends, payloads: &[&[u8]]) -> Bytes {
    let sent = packets(0, payloads);
    let (client, store) = (&mut ends.client, &mut ends.store);
    let (written, read) = tokio::join!(client.write_all(&sent), ends.from_client.read(store));
    written.unwrap();
    read.unwrap()
}

#[tokio::test]
async fn a_plain_one_passes_as_it_is() {
    for bytes in [
        1 << 20,
        5_000_000,
        PACKET_BYTES_MAX - 5,
        PACKET_BYTES_MAX,
        35 << 20,
    ] {
        let mut ends = looking(0, 1 << 30);
        let long = command(b"look", bytes, b"");
        assert_eq!(through(&mut ends, &[&long, b"\x03next"]).await, long);
        assert_eq!(&ends.at_store().await[..], b"\x03next");
        ends.answer(1, &ok_with(b"one")).await;
        assert_eq!(ends.at_client().await, ok_with(b"one"));
    }
}

#[tokio::test]
async fn what_cannot_be_kept_passes_and_so_does_the_rest() {
    // No disk space; longer than what is looked at.
    for (disk, bytes) in [(2 << 20, 20 << 20), (1 << 30, 60_000_000)] {
        let mut ends = looking(0, disk);
        let long = command(b"look", bytes, b"?!");
        assert_eq!(through(&mut ends, &[&long, b"\x03next"]).await, long);
        assert_eq!(&ends.at_store().await[..], b"\x03next");
    }
}

#[tokio::test]
async fn the_lane_gets_the_whole_and_then_what_follows() {
    for bytes in [2 << 20, 20 << 20] {
        let mut ends = looking(1 << 30, 1 << 30);
        let long = command(b"look", bytes, b"?!");
        let got = through(&mut ends, &[&long, b"\x03next"]).await;
        assert_eq!(&got[..], b"\x03from the lane");
        ends.answer(1, &ok_with(b"lane")).await;
        assert_eq!(ends.at_client().await, ok_with(b"lane"));
        let last_seq = (bytes / PACKET_BYTES_MAX) as u8;
        assert_eq!(ends.from_store.last_seq(), last_seq + 1);
        assert_eq!(&ends.at_store().await[..], b"\x03next");
    }
}

#[tokio::test]
async fn one_that_the_lane_leaves_is_forwarded() {
    let mut ends = looking(1 << 30, 1 << 30);
    let long = command(b"look?", 20 << 20, b"");
    assert_eq!(through(&mut ends, &[&long, b"\x03next"]).await, long);
    assert_eq!(&ends.at_store().await[..], b"\x03next");
}

#[tokio::test]
async fn one_that_is_not_answered_is_dropped() {
    // No memory; found, and longer than what is looked at.
    for (memory, bytes) in [(1 << 20, 3 << 20), (1 << 30, 60_000_000)] {
        let mut ends = looking(memory, 1 << 30);
        let long = command(b"look?", bytes, b"");
        let got = through(&mut ends, &[&long, b"\x03next"]).await;
        assert_eq!(
            &got[..],
            b"\x03from the lane",
            "the refusal is the lane's to write"
        );
        ends.answer(1, &ok()).await;
        assert_eq!(&ends.at_store().await[..], b"\x03next");
    }
}

#[tokio::test]
async fn a_file_that_the_store_asks_for_is_no_command() {
    let mut ends = looking(1 << 30, 1 << 30);
    ends.send(&[b"\x03LOAD"]).await;
    assert_eq!(&ends.at_store().await[..], b"\x03LOAD");
    let file = command(b"look", 3 << 20, b"");
    let packets = [
        &packet_header(file.len(), 2)[..],
        &file,
        &packet_header(0, 3),
    ]
    .concat();
    // The client sends a part before it is asked to: that is kept as a command.
    let (early, late) = packets.split_at(1 << 20);
    ends.client.write_all(early).await.unwrap();
    ends.answer(1, b"\xfbfile").await;
    assert_eq!(&ends.at_client().await[..], b"\xfbfile");
    let (client, store) = (&mut ends.client, &mut ends.store);
    let (written, read) = tokio::join!(client.write_all(late), ends.from_client.read(store));
    written.unwrap();
    assert_eq!(read.unwrap(), file);
    assert!(ends.at_store().await.is_empty());
    ends.answer(4, &ok()).await;
    assert_eq!(ends.at_client().await, ok());
}

#[tokio::test]
async fn the_error_of_a_stub_is_replaced() {
    let mut ends = start(CAPABILITIES);
    ends.send(&[b"\x03first"]).await;
    ends.at_store().await;
    let stub = ErrPacket::new(1644, b"ML001", "connect through its port");
    ends.answer(1, &stub.encode()).await;
    let error = ErrPacket::parse(&ends.at_client().await).unwrap();
    assert_eq!((error.code, ends.from_store.last_seq()), (1290, 1));
}
