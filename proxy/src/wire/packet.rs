//! Reads and writes whole payloads, for the handshake and the lane; the relay uses
//! [`FrameWalker`](super::FrameWalker) instead.

use super::Malformed;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Packet header: length (3 bytes) and sequence id (1 byte).
pub const HEADER_BYTES: usize = 4;
/// Maximum payload of one packet; a payload of this length or longer continues in the next packet.
pub const PACKET_BYTES_MAX: usize = 0xff_ffff;
/// Buffer space of one read from a socket.
const READ_BYTES: usize = 16 * 1024;
/// Buffer space of one read within a payload that is returned in pieces.
const PIECE_READ_BYTES: usize = 256 * 1024;
/// A write buffer larger than this is freed after a flush.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// The header of a packet. `length` is at most [`PACKET_BYTES_MAX`].
#[must_use]
pub fn packet_header(length: usize, seq: u8) -> [u8; HEADER_BYTES] {
    debug_assert!(length <= PACKET_BYTES_MAX);
    let [a, b, c, ..] = (length as u32).to_le_bytes();
    [a, b, c, seq]
}

/// A payload, or a piece of one that is too long to buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The whole payload.
    Whole(Bytes),
    /// Some of its bytes, in order.
    Part {
        /// The bytes; may be empty.
        bytes: Bytes,
        /// If these are the first bytes of a packet: its payload length.
        packet: Option<usize>,
        /// Whether this is the last piece.
        last: bool,
    },
}

/// State of a payload that is returned in pieces.
#[derive(Debug, Clone, Copy)]
struct InPieces {
    /// Bytes of the current packet still to be returned.
    rest: usize,
    /// Length of the current packet, until its first bytes are returned.
    packet: Option<usize>,
    /// Whether another packet follows.
    continues: bool,
    /// Bytes already returned, plus those of the current packet.
    bytes: usize,
}

/// Reads whole payloads, joining packets of 16 MiB. Cancel-safe: a dropped `read` loses nothing.
#[derive(Debug)]
pub struct PacketReader {
    /// Bytes read and not yet returned.
    buffer: BytesMut,
    /// The earlier packets of an incomplete payload.
    joined: BytesMut,
    in_pieces: Option<InPieces>,
    payload_bytes_max: usize,
    last_seq: u8,
}

impl PacketReader {
    /// A reader that rejects payloads longer than `payload_bytes_max`.
    #[must_use]
    pub fn new(payload_bytes_max: usize) -> Self {
        Self::with_buffered(payload_bytes_max, BytesMut::new())
    }

    /// A reader that starts with bytes already read from the stream.
    #[must_use]
    pub fn with_buffered(payload_bytes_max: usize, buffer: BytesMut) -> Self {
        Self {
            buffer,
            joined: BytesMut::new(),
            in_pieces: None,
            payload_bytes_max,
            last_seq: 0,
        }
    }

    /// Bytes read from the stream beyond the last returned payload.
    #[must_use]
    pub fn into_buffered(self) -> BytesMut {
        self.buffer
    }

    /// Whether bytes beyond the last payload have been read.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Sequence id of the last returned packet; the answer's id is one higher.
    #[must_use]
    pub fn last_seq(&self) -> u8 {
        self.last_seq
    }

    /// Returns the next payload.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends, also between packets; `InvalidData` beyond the limit;
    /// I/O errors.
    pub async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
        loop {
            if let Some(payload) = self.buffered_payload()? {
                return Ok(payload);
            }
            // Several packets may arrive at once; a long packet is read as a whole, within limits.
            self.buffer.reserve(READ_BYTES.max(self.missing_bytes()));
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Returns the next payload if its first packet is at most `gathered_bytes_max` long,
    /// otherwise its next piece. End and error packets of results are always returned whole.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Same as [`read`](Self::read).
    pub async fn read_piece(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        gathered_bytes_max: usize,
    ) -> io::Result<Piece> {
        loop {
            let piece = match self.in_pieces {
                Some(payload) => self.buffered_part(payload)?,
                None => self.buffered_start(gathered_bytes_max)?,
            };
            if let Some(piece) = piece {
                return Ok(piece);
            }
            self.buffer.reserve(match self.in_pieces {
                Some(_) => PIECE_READ_BYTES,
                None => READ_BYTES.max(self.missing_bytes()),
            });
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// A completely buffered payload, or the buffered part of one in pieces.
    fn buffered_start(&mut self, gathered_bytes_max: usize) -> io::Result<Option<Piece>> {
        if self.joined.is_empty()
            && let Some(&[a, b, c, seq, first]) = self.buffer.first_chunk::<{ HEADER_BYTES + 1 }>()
        {
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            // An OK, EOF or ERR; only a row of 16 MiB could look like one.
            let is_end = first >= 0xfe && length < PACKET_BYTES_MAX;
            if length > gathered_bytes_max && !is_end {
                self.buffer.advance(HEADER_BYTES);
                self.begin_packet(length, seq, 0)?;
                return match self.in_pieces {
                    Some(payload) => self.buffered_part(payload),
                    None => Ok(None),
                };
            }
        }
        Ok(self.buffered_payload()?.map(Piece::Whole))
    }

    fn begin_packet(&mut self, length: usize, seq: u8, before: usize) -> io::Result<()> {
        if before + length > self.payload_bytes_max {
            return Err(Malformed("a payload is longer than the limit").into());
        }
        self.last_seq = seq;
        self.in_pieces = Some(InPieces {
            rest: length,
            packet: Some(length),
            continues: length == PACKET_BYTES_MAX,
            bytes: before + length,
        });
        Ok(())
    }

    /// The next piece of a payload in pieces, if any of it is buffered.
    fn buffered_part(&mut self, mut payload: InPieces) -> io::Result<Option<Piece>> {
        if payload.rest == 0 && payload.packet.is_none() {
            let Some(&[a, b, c, seq]) = self.buffer.first_chunk::<HEADER_BYTES>() else {
                return Ok(None);
            };
            self.buffer.advance(HEADER_BYTES);
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            self.begin_packet(length, seq, payload.bytes)?;
            let Some(begun) = self.in_pieces else {
                return Ok(None);
            };
            payload = begun;
        }
        let here = self.buffer.len().min(payload.rest);
        if here == 0 && payload.rest > 0 {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(here).freeze();
        payload.rest -= here;
        let packet = payload.packet.take();
        let last = payload.rest == 0 && !payload.continues;
        self.in_pieces = (!last).then_some(payload);
        Ok(Some(Piece::Part {
            bytes,
            packet,
            last,
        }))
    }

    /// Returns the next single-packet payload without reading a byte beyond it: the following
    /// bytes may be of another protocol. `check` may reject its header.
    ///
    /// # Errors
    /// Same as [`read`](Self::read), and that of `check` as `InvalidData`. Not cancel-safe.
    pub async fn read_only(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        check: impl FnOnce([u8; HEADER_BYTES]) -> Result<(), Malformed>,
    ) -> io::Result<Bytes> {
        debug_assert!(self.buffer.is_empty() && self.joined.is_empty());
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header).await?;
        check(header)?;
        let [a, b, c, seq] = header;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if length > self.payload_bytes_max {
            return Err(Malformed("a payload is longer than the limit").into());
        }
        // Memory grows with the bytes received, not with the claimed length.
        let mut payload = Vec::new();
        stream.take(length as u64).read_to_end(&mut payload).await?;
        if payload.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.last_seq = seq;
        Ok(payload.into())
    }

    /// Returns the next payload if it is completely buffered, so that a caller can process
    /// buffered payloads without waiting.
    ///
    /// # Errors
    /// `InvalidData` when the payload is longer than the limit.
    pub fn buffered_payload(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(&[a, b, c, seq]) = self.buffer.first_chunk::<HEADER_BYTES>() else {
                return Ok(None);
            };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if self.joined.len() + length > self.payload_bytes_max {
                return Err(Malformed("a payload is longer than the limit").into());
            }
            if self.buffer.len() < HEADER_BYTES + length {
                return Ok(None);
            }
            self.buffer.advance(HEADER_BYTES);
            self.last_seq = seq;
            let packet = self.buffer.split_to(length);
            if length == PACKET_BYTES_MAX {
                self.joined.put_slice(&packet);
            } else if self.joined.is_empty() {
                return Ok(Some(packet.freeze()));
            } else {
                let mut payload = std::mem::take(&mut self.joined);
                payload.put_slice(&packet);
                return Ok(Some(payload.freeze()));
            }
        }
    }

    fn missing_bytes(&self) -> usize {
        match self.buffer.first_chunk::<HEADER_BYTES>() {
            Some(&[a, b, c, _]) => {
                let whole = HEADER_BYTES + u32::from_le_bytes([a, b, c, 0]) as usize;
                // Not all at once for a claimed 16 MiB: memory grows with the bytes received.
                let here = self.buffer.len();
                whole.saturating_sub(here).min(here.max(READ_BYTES))
            }
            None => 0,
        }
    }
}

/// Buffers packets and sends them together.
#[derive(Debug)]
#[must_use = "packets are only sent by flush"]
pub struct PacketWriter {
    buffer: BytesMut,
    seq: u8,
}

impl PacketWriter {
    /// A writer whose first packet has sequence id `seq`.
    pub fn new(seq: u8) -> Self {
        Self {
            buffer: BytesMut::new(),
            seq,
        }
    }

    /// Sequence id of the next packet.
    #[must_use]
    pub fn next_seq(&self) -> u8 {
        self.seq
    }

    /// Sets the sequence id of the next packet: 0 for each new command.
    pub fn set_next_seq(&mut self, seq: u8) {
        self.seq = seq;
    }

    /// Number of bytes waiting for [`flush`](Self::flush).
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Appends a payload, split into as many packets as needed.
    pub fn write(&mut self, payload: &[u8]) {
        self.buffer.reserve(HEADER_BYTES + payload.len());
        let mut rest = payload;
        loop {
            let (part, after) = rest.split_at(rest.len().min(PACKET_BYTES_MAX));
            self.put_packet(part);
            rest = after;
            if part.len() < PACKET_BYTES_MAX {
                return;
            }
        }
    }

    /// Appends a payload written by `fill`, which must only append to the buffer it is given.
    pub fn write_with(&mut self, fill: impl FnOnce(&mut BytesMut)) {
        let start = self.buffer.len();
        self.buffer.put_slice(&[0; HEADER_BYTES]);
        fill(&mut self.buffer);
        let length = self.buffer.len().saturating_sub(start + HEADER_BYTES);
        if length < PACKET_BYTES_MAX {
            let header = packet_header(length, self.seq);
            if let Some(place) = self.buffer.get_mut(start..start + HEADER_BYTES) {
                place.copy_from_slice(&header);
            }
            self.seq = self.seq.wrapping_add(1);
        } else {
            let payload = self.buffer.split_off(start).split_off(HEADER_BYTES);
            self.write(&payload);
        }
    }

    /// Begins a payload of `bytes` bytes, to be appended by [`put_part`](Self::put_part).
    pub fn begin_parts(&mut self, bytes: u64) -> Parts {
        let mut parts = Parts {
            rest: bytes,
            packet_rest: 0,
            is_complete: false,
        };
        self.begin_packet_of(&mut parts);
        parts
    }

    /// Appends the next bytes of a payload, split into as many packets as needed.
    pub fn put_part(&mut self, parts: &mut Parts, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (part, after) = bytes.split_at(bytes.len().min(parts.packet_rest));
            self.buffer.put_slice(part);
            bytes = after;
            parts.rest = parts.rest.saturating_sub(part.len() as u64);
            parts.packet_rest -= part.len();
            if parts.packet_rest == 0 && !self.begin_packet_of(parts) {
                return;
            }
        }
    }

    /// Begins the next packet of a payload: the first one, or one after a full packet; if the
    /// length is a multiple of the maximum, the last one is empty. False if the payload is
    /// complete.
    fn begin_packet_of(&mut self, parts: &mut Parts) -> bool {
        let length = usize::try_from(parts.rest).unwrap_or(usize::MAX);
        let length = length.min(PACKET_BYTES_MAX);
        if parts.is_complete {
            return false;
        }
        parts.is_complete = length < PACKET_BYTES_MAX;
        parts.packet_rest = length;
        self.put_header(length);
        true
    }

    /// Begins a packet of `length` bytes, to be appended by [`put_bytes`](Self::put_bytes).
    pub fn put_header(&mut self, length: usize) {
        self.buffer.put_slice(&packet_header(length, self.seq));
        self.seq = self.seq.wrapping_add(1);
    }

    /// Appends bytes of the packet begun last.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// Sends all buffered bytes. Cancel-safe: unsent bytes stay buffered.
    ///
    /// # Errors
    /// I/O errors of the stream.
    pub async fn flush(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while !self.buffer.is_empty() {
            if stream.write_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
        stream.flush().await
    }

    /// The buffered bytes, for a caller that sends them itself.
    #[must_use]
    pub fn into_bytes(self) -> BytesMut {
        self.buffer
    }

    fn put_packet(&mut self, part: &[u8]) {
        self.put_header(part.len());
        self.buffer.put_slice(part);
    }
}

/// State of a payload that is written in parts.
#[derive(Debug)]
pub struct Parts {
    /// Bytes of the payload still to come.
    rest: u64,
    /// Bytes of the current packet still to come.
    packet_rest: usize,
    /// Whether the current packet is the last.
    is_complete: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read_all(chunks: &[Vec<u8>], limit: usize) -> Vec<Bytes> {
        let mut reader = PacketReader::new(limit);
        let mut payloads = Vec::new();
        for chunk in chunks {
            reader.buffer.put_slice(chunk);
            while let Some(payload) = reader.buffered_payload().unwrap() {
                payloads.push(payload);
            }
        }
        assert!(reader.into_buffered().is_empty());
        payloads
    }

    #[test]
    fn long_payloads_are_split_and_joined() {
        for length in [PACKET_BYTES_MAX - 1, PACKET_BYTES_MAX, PACKET_BYTES_MAX + 1] {
            let payload: Vec<u8> = (0..length).map(|index| (index / 251) as u8).collect();
            let mut writer = PacketWriter::new(3);
            writer.write(&payload);
            let packets = 1 + u8::from(length >= PACKET_BYTES_MAX);
            assert_eq!(writer.next_seq(), 3 + packets);
            let mut with = PacketWriter::new(3);
            with.write_with(|buffer| buffer.put_slice(&payload));
            assert_eq!(writer.buffer, with.buffer);
            let read = read_all(&[writer.into_bytes().to_vec()], length);
            assert_eq!(read.len(), 1);
            assert!(read[0] == payload);
        }
    }

    #[test]
    fn a_payload_over_the_limit_is_refused() {
        let mut writer = PacketWriter::new(0);
        writer.write(&[7; 100]);
        let mut reader = PacketReader::with_buffered(99, writer.into_bytes());
        assert_eq!(
            reader.buffered_payload().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_an_error() {
        let mut reader = PacketReader::new(100);
        let mut stream: &[u8] = b"\x05\x00\x00\x00abc";
        let error = reader.read(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// The payloads returned by [`PacketReader::read_piece`], with pieces joined, and whether each
    /// came in pieces.
    async fn read_pieces(bytes: &[u8], gathered: usize) -> Vec<(Vec<u8>, bool)> {
        let mut reader = PacketReader::new(3 * PACKET_BYTES_MAX);
        let (mut stream, mut payloads) = (bytes, Vec::new());
        let mut parts: Vec<u8> = Vec::new();
        let mut packet_rest = 0;
        loop {
            match reader.read_piece(&mut stream, gathered).await {
                Ok(Piece::Whole(payload)) => payloads.push((payload.to_vec(), false)),
                Ok(Piece::Part {
                    bytes,
                    packet,
                    last,
                }) => {
                    if let Some(length) = packet {
                        assert_eq!(packet_rest, 0);
                        packet_rest = length;
                    }
                    packet_rest -= bytes.len();
                    parts.extend_from_slice(&bytes);
                    if last {
                        assert_eq!(packet_rest, 0);
                        payloads.push((std::mem::take(&mut parts), true));
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                    assert!(parts.is_empty());
                    return payloads;
                }
            }
        }
    }

    #[tokio::test]
    async fn long_payloads_come_and_go_in_pieces() {
        for length in [
            101,
            PACKET_BYTES_MAX - 1,
            PACKET_BYTES_MAX,
            PACKET_BYTES_MAX + 1,
            2 * PACKET_BYTES_MAX,
        ] {
            let long: Vec<u8> = (0..length).map(|index| (index / 253) as u8).collect();
            let end = [&[0xfe][..], &[7; 200]].concat();
            let mut whole = PacketWriter::new(0);
            let mut pieces = PacketWriter::new(0);
            for payload in [&b"ab"[..], &long, &end, b""] {
                whole.write(payload);
                let mut parts = pieces.begin_parts(payload.len() as u64);
                for part in payload.chunks(99_999) {
                    pieces.put_part(&mut parts, part);
                }
            }
            assert!(whole.buffer == pieces.buffer, "{length}");
            let read = read_pieces(&whole.into_bytes(), 100).await;
            let expected = [
                (b"ab".to_vec(), false),
                (long, true),
                (end, false),
                (Vec::new(), false),
            ];
            assert!(read == expected, "{length}");
        }
    }

    #[tokio::test]
    async fn an_announced_packet_costs_nothing_before_it_comes() {
        let mut reader = PacketReader::new(PACKET_BYTES_MAX);
        let mut stream: &[u8] = b"\xff\xff\xff\x00abc";
        assert!(reader.read(&mut stream).await.is_err());
        assert!(
            reader.buffer.capacity() <= 4 * READ_BYTES,
            "{}",
            reader.buffer.capacity()
        );
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            chunk_bytes in 1_usize..50,
        ) {
            let mut writer = PacketWriter::new(250);
            for payload in &payloads {
                writer.write(payload);
            }
            let chunks: Vec<Vec<u8>> = writer.into_bytes().chunks(chunk_bytes).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(read_all(&chunks, 200), payloads);
        }
    }
}
