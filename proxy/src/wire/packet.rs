//! Whole payloads in and out of packets, for the handshake and the lane; the relay walks frames instead.

use super::Malformed;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Length (3 bytes) and sequence id (1 byte).
pub const HEADER_BYTES: usize = 4;
/// Longest payload of one packet; a payload this long or longer goes on in the next packet.
pub const PACKET_BYTES_MAX: usize = 0xff_ffff;
/// What one read from a socket asks for.
const READ_BYTES: usize = 16 * 1024;
/// A write buffer that grew beyond this is given back after a flush.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// The header of a packet. `length` is at most [`PACKET_BYTES_MAX`].
#[must_use]
pub fn packet_header(length: usize, seq: u8) -> [u8; HEADER_BYTES] {
    debug_assert!(length <= PACKET_BYTES_MAX);
    let [a, b, c, ..] = (length as u32).to_le_bytes();
    [a, b, c, seq]
}

/// Reads whole payloads, joining packets of 16 MiB. Cancel-safe: a dropped `read` loses nothing.
#[derive(Debug)]
pub struct PacketReader {
    /// Bytes read and not yet given out.
    buffer: BytesMut,
    /// The earlier packets of a payload that is not complete.
    joined: BytesMut,
    payload_bytes_max: usize,
    last_seq: u8,
}

impl PacketReader {
    /// A reader that refuses payloads longer than `payload_bytes_max`.
    #[must_use]
    pub fn new(payload_bytes_max: usize) -> Self {
        Self::with_buffered(payload_bytes_max, BytesMut::new())
    }

    /// A reader that first gives out what someone else has already read from the stream.
    #[must_use]
    pub fn with_buffered(payload_bytes_max: usize, buffer: BytesMut) -> Self {
        Self {
            buffer,
            joined: BytesMut::new(),
            payload_bytes_max,
            last_seq: 0,
        }
    }

    /// Bytes read from the stream beyond the last payload given out.
    #[must_use]
    pub fn into_buffered(self) -> BytesMut {
        self.buffer
    }

    /// Whether bytes wait that were read beyond the last payload.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Sequence id of the last packet given out: the answer's id is one higher.
    #[must_use]
    pub fn last_seq(&self) -> u8 {
        self.last_seq
    }

    /// The next payload.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends, also between packets; `InvalidData` beyond the limit; I/O errors.
    pub async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
        loop {
            if let Some(payload) = self.buffered_payload()? {
                return Ok(payload);
            }
            // More than one packet may come at once; a long packet is asked for as a whole, within reason.
            self.buffer.reserve(READ_BYTES.max(self.missing_bytes()));
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next payload of one packet, without reading a byte beyond it: what follows may be of another protocol.
    ///
    /// # Errors
    /// As [`read`](Self::read). Not cancel-safe.
    pub async fn read_only(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
        debug_assert!(self.buffer.is_empty() && self.joined.is_empty());
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header).await?;
        let [a, b, c, seq] = header;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if length > self.payload_bytes_max {
            return Err(Malformed("a payload is longer than the limit").into());
        }
        // Memory follows what really comes.
        let mut payload = Vec::new();
        stream.take(length as u64).read_to_end(&mut payload).await?;
        if payload.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.last_seq = seq;
        Ok(payload.into())
    }

    /// The next payload if it has been read whole: lets a caller drain what is here without waiting.
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
                // Not all at once for a claim of 16 MiB: memory follows what really comes.
                whole.saturating_sub(self.buffer.len()).min(1 << 20)
            }
            None => 0,
        }
    }
}

/// Collects packets and sends them together.
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

    /// Makes `seq` the sequence id of the next packet: 0 for each new command.
    pub fn set_next_seq(&mut self, seq: u8) {
        self.seq = seq;
    }

    /// Bytes that wait for [`flush`](Self::flush).
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Appends a payload, in as many packets as it needs.
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

    /// Appends a payload that `fill` appends to the buffer it is given (and must only append to).
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

    /// Sends all that was written. Cancel-safe: what was not sent stays buffered.
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
        self.buffer.put_slice(&packet_header(part.len(), self.seq));
        self.buffer.put_slice(part);
        self.seq = self.seq.wrapping_add(1);
    }
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
