//! Fuzzing of packets split anywhere, and of payloads that are parsed separately.

use super::framing::{Frames, Seen, packets, payloads as whole_payloads};
use super::input::{Input, pieces};
use crate::wire::{
    Capabilities, ColumnDefinition, EofPacket, ErrPacket, FrameWalker, OkPacket, PACKET_BYTES_MAX,
    PacketReader, PacketWriter, encode_ok, lenenc, packet_header, result_end_status,
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Frames of any bytes: the boundaries of reads have no effect, and both readers return the
/// payloads present.
pub fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let (seed, limit) = (input.byte(), usize::from(input.u16()));
    let huge = input.byte() & 1 == 1;
    let bytes = input.rest();
    let mut whole = Walk::default();
    let mut cut = Walk::default();
    whole.feed(bytes);
    pieces(bytes, seed).for_each(|piece| cut.feed(piece));
    assert_eq!(whole.seen, packets(bytes));
    assert_eq!(whole, cut);
    if huge && whole.walker.between_packets() {
        a_huge_packet_and(&mut whole, bytes);
    }

    let (expected, too_long) = whole_payloads(bytes, limit);
    let mut reader = PacketReader::with_buffered(limit, BytesMut::from(bytes));
    read_whole(&mut reader, &expected, too_long);
    read_in_pieces(bytes, seed, limit, &expected, too_long);
    written_again(&expected);
}

/// Walks a stream, and checks invariants at each step.
#[derive(Debug, Default)]
struct Walk {
    walker: FrameWalker,
    frames: Frames,
    seen: Vec<Seen>,
}

impl PartialEq for Walk {
    fn eq(&self, other: &Self) -> bool {
        self.seen == other.seen && self.walker.next_seq() == other.walker.next_seq()
    }
}

impl Walk {
    fn feed(&mut self, bytes: &[u8]) {
        let seen = &mut self.seen;
        let Ok(()) = self.walker.walk(bytes, |packet| {
            seen.push(Seen {
                length: packet.length,
                seq: packet.seq,
                head: packet.head.to_vec(),
                continuation: packet.continuation,
            });
            Ok::<(), Infallible>(())
        });
        self.frames.feed(bytes);
        assert_eq!(self.walker.between_packets(), self.frames.between_packets());
    }
}

/// A packet of 16 MiB, and the packets of `bytes` after it, the first of which continues its
/// payload.
fn a_huge_packet_and(walk: &mut Walk, bytes: &[u8]) {
    let zeros = vec![0; 1 << 16];
    walk.feed(&packet_header(PACKET_BYTES_MAX, 9));
    let mut left = PACKET_BYTES_MAX;
    while left > 0 {
        let part = left.min(zeros.len());
        walk.feed(zeros.get(..part).unwrap_or_default());
        left -= part;
    }
    let before = walk.seen.len();
    walk.feed(bytes);
    if let Some(next) = walk.seen.get(before) {
        assert!(next.continuation);
    }
}

fn read_whole(reader: &mut PacketReader, expected: &[(u8, &[u8])], too_long: bool) {
    for &(seq, payload) in expected {
        match reader.buffered_payload() {
            Ok(Some(read)) => assert_eq!((reader.last_seq(), &read[..]), (seq, payload)),
            other => panic!("{other:?} instead of {payload:?}"),
        }
    }
    match reader.buffered_payload() {
        Ok(None) => assert!(!too_long),
        other => assert!(too_long && other.is_err(), "{other:?}"),
    }
}

/// Returns a piece with each read, and then ends.
struct Pieces<'a>(Vec<&'a [u8]>);

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let pieces = &mut self.get_mut().0;
        if let Some(piece) = pieces.pop() {
            let (now, later) = piece.split_at(piece.len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                pieces.push(later);
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn read_in_pieces(bytes: &[u8], seed: u8, limit: usize, expected: &[(u8, &[u8])], too_long: bool) {
    let stream = || {
        let mut pieces: Vec<_> = pieces(bytes, seed).collect();
        pieces.reverse();
        Pieces(pieces)
    };
    let (mut pieces, mut reader) = (stream(), PacketReader::new(limit));
    for &(seq, payload) in expected {
        match reader.read(&mut pieces).now_or_never() {
            Some(Ok(read)) => assert_eq!((reader.last_seq(), &read[..]), (seq, payload)),
            other => panic!("{other:?} instead of {payload:?}"),
        }
    }
    let end = reader.read(&mut pieces).now_or_never();
    let kind = end.map(|end| end.map_err(|error| error.kind()));
    let expected_kind = if too_long {
        std::io::ErrorKind::InvalidData
    } else {
        std::io::ErrorKind::UnexpectedEof
    };
    assert_eq!(kind, Some(Err(expected_kind)));

    // Does not read a byte beyond the first payload.
    let (mut pieces, mut reader) = (stream(), PacketReader::new(limit));
    let first = reader.read_only(&mut pieces, |_| Ok(())).now_or_never();
    match (expected.first(), first) {
        (Some(&(seq, payload)), Some(Ok(read))) => {
            assert_eq!((reader.last_seq(), &read[..]), (seq, payload));
            let left: usize = pieces.0.iter().map(|piece| piece.len()).sum();
            assert_eq!(left, bytes.len() - payload.len() - 4);
        }
        (None, Some(Err(_))) => {}
        (expected, first) => panic!("{first:?} instead of {expected:?}"),
    }
}

/// Written payloads are read back unchanged.
fn written_again(payloads: &[(u8, &[u8])]) {
    let mut writer = PacketWriter::new(250);
    for (index, (_, payload)) in payloads.iter().enumerate() {
        if index % 2 == 0 {
            writer.write(payload);
        } else {
            writer.write_with(|buffer| buffer.extend_from_slice(payload));
        }
    }
    let bytes = writer.into_bytes();
    let (again, too_long) = whole_payloads(&bytes, usize::MAX);
    assert!(!too_long);
    assert!(
        again
            .iter()
            .map(|(_, payload)| payload)
            .eq(payloads.iter().map(|(_, payload)| payload))
    );
    for (index, (seq, _)) in again.iter().enumerate() {
        assert_eq!(usize::from(*seq), (250 + index) % 256);
    }
}

/// Payloads of any bytes: parsed or rejected, and a parsed payload is equal after encoding and
/// parsing it again.
pub fn payloads(data: &[u8]) {
    let mut input = Input::new(data);
    let capabilities = input.capabilities();
    let payload = Bytes::copy_from_slice(input.rest());
    ok_and_ends(capabilities, &payload);
    if let Ok(error) = ErrPacket::parse(&payload) {
        assert_eq!(ErrPacket::parse(&error.encode()).as_ref(), Ok(&error));
        assert!(!error.to_string().is_empty());
    }
    if let Ok(column) = ColumnDefinition::parse(&payload, capabilities) {
        let again = column.encode();
        assert_eq!(ColumnDefinition::parse(&again, capabilities), Ok(column));
    }
    lengths(&payload);
}

fn ok_and_ends(capabilities: Capabilities, payload: &[u8]) {
    if let Ok(ok) = OkPacket::parse(payload) {
        assert!(ok.info().len() <= ok.tail.len());
        let (id, info) = (ok.last_insert_id, ok.info());
        let again = encode_ok(ok.affected_rows, id, ok.status, ok.warnings, info);
        match OkPacket::parse(&again) {
            Ok(again) => {
                assert_eq!(
                    (again.affected_rows, again.last_insert_id, again.warnings),
                    (ok.affected_rows, id, ok.warnings)
                );
                assert_eq!(again.info(), info);
            }
            Err(error) => panic!("{error}"),
        }
    }
    if let Some(Ok(end)) = result_end_status(capabilities, payload) {
        assert_eq!(payload.first(), Some(&EofPacket::HEADER));
        if !capabilities.has(Capabilities::DEPRECATE_EOF) {
            assert!(EofPacket::is_eof(payload));
            assert_eq!(EofPacket::parse(payload), Ok(end));
        }
    }
}

fn lengths(payload: &[u8]) {
    let mut input = payload;
    while let Ok(value) = lenenc::get_int(&mut input) {
        let mut again = Vec::new();
        lenenc::put_int(&mut again, value);
        assert_eq!(lenenc::get_int(&mut &again[..]), Ok(value));
    }
    let mut input = payload;
    let mut again = Vec::new();
    let mut cells = Vec::new();
    while let (false, Ok(cell)) = (input.is_empty(), lenenc::get_cell(&mut input)) {
        lenenc::put_cell(&mut again, cell);
        cells.push(cell);
    }
    let mut written = &again[..];
    for cell in cells {
        assert_eq!(lenenc::get_cell(&mut written), Ok(cell));
    }
    assert!(written.is_empty());
}
