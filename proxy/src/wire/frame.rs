//! Follows packet boundaries in a byte stream without buffering it.

use super::{HEADER_BYTES, PACKET_BYTES_MAX};

/// Maximum number of payload bytes that a walker shows: enough for an OK packet up to its
/// warnings, a prepare answer, an ERR code, a column count.
pub const HEAD_BYTES_MAX: usize = 24;

/// The start of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHead<'a> {
    /// Length of the packet's payload, bytes.
    pub length: usize,
    /// Sequence id.
    pub seq: u8,
    /// The first bytes of the payload, at most [`HEAD_BYTES_MAX`].
    pub head: &'a [u8],
    /// Whether the packet continues the payload of the previous one (which had the maximum length
    /// of 16 MiB).
    pub continuation: bool,
}

/// Follows the packets in one direction of a stream.
///
/// ```text
/// header (4 bytes) -> head (up to 24 bytes of payload; then it is shown) -> rest -> header ...
/// ```
#[derive(Debug, Default)]
pub struct FrameWalker {
    /// Header and head of a packet whose start arrived in several reads.
    gathered: [u8; HEADER_BYTES + HEAD_BYTES_MAX],
    gathered_bytes: u8,
    /// Payload bytes of the current packet still to come after its head was shown.
    rest_bytes: u32,
    continuation: bool,
    next_seq: u8,
}

impl FrameWalker {
    /// Whether the stream is at a packet boundary.
    #[must_use]
    pub fn between_packets(&self) -> bool {
        self.rest_bytes == 0 && self.gathered_bytes == 0
    }

    /// Sequence id after the last packet's.
    #[must_use]
    pub fn next_seq(&self) -> u8 {
        self.next_seq
    }

    /// Processes `bytes`, calling `show` with each packet's head once it is complete.
    ///
    /// # Errors
    /// What `show` returns; the walk stops there.
    #[inline]
    pub fn walk<E>(
        &mut self,
        mut bytes: &[u8],
        mut show: impl FnMut(PacketHead<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.rest_bytes > 0 {
                let passed = bytes.len().min(self.rest_bytes as usize);
                self.rest_bytes -= passed as u32;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            if self.gathered_bytes == 0
                && let Some((&[a, b, c, seq], payload)) = bytes.split_first_chunk()
            {
                let length = u32::from_le_bytes([a, b, c, 0]) as usize;
                if let Some(head) = payload.get(..length.min(HEAD_BYTES_MAX)) {
                    bytes = payload.get(head.len()..).unwrap_or_default();
                    self.packet(length, seq, head, &mut show)?;
                    continue;
                }
            }
            bytes = self.gather(bytes, &mut show)?;
        }
        Ok(())
    }

    /// Slow path for a packet whose start is split between reads.
    fn gather<'a, E>(
        &mut self,
        bytes: &'a [u8],
        show: &mut impl FnMut(PacketHead<'_>) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let mut taken = 0;
        for byte in bytes {
            if let Some(place) = self.gathered.get_mut(usize::from(self.gathered_bytes)) {
                *place = *byte;
            }
            self.gathered_bytes += 1;
            taken += 1;
            let [a, b, c, seq, ..] = self.gathered;
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            let head_bytes = length.min(HEAD_BYTES_MAX);
            if usize::from(self.gathered_bytes) >= HEADER_BYTES
                && usize::from(self.gathered_bytes) == HEADER_BYTES + head_bytes
            {
                self.gathered_bytes = 0;
                let gathered = self.gathered;
                let head = gathered
                    .get(HEADER_BYTES..HEADER_BYTES + head_bytes)
                    .unwrap_or_default();
                self.packet(length, seq, head, show)?;
                break;
            }
        }
        Ok(bytes.get(taken..).unwrap_or_default())
    }

    #[inline]
    fn packet<E>(
        &mut self,
        length: usize,
        seq: u8,
        head: &[u8],
        show: &mut impl FnMut(PacketHead<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rest_bytes = (length - head.len()) as u32;
        let continuation = std::mem::replace(&mut self.continuation, length == PACKET_BYTES_MAX);
        self.next_seq = seq.wrapping_add(1);
        show(PacketHead {
            length,
            seq,
            head,
            continuation,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::PacketWriter;
    use proptest::prelude::*;
    use std::convert::Infallible;

    type Seen = Vec<(usize, u8, Vec<u8>, bool)>;

    fn walk(bytes: &[u8], chunk_bytes: usize) -> Seen {
        let mut walker = FrameWalker::default();
        let mut seen = Vec::new();
        for chunk in bytes.chunks(chunk_bytes) {
            walker
                .walk(chunk, |packet| {
                    let head = packet.head.to_vec();
                    seen.push((packet.length, packet.seq, head, packet.continuation));
                    Ok::<(), Infallible>(())
                })
                .unwrap();
        }
        assert!(walker.between_packets());
        seen
    }

    #[test]
    fn the_rest_of_a_long_payload_is_a_continuation() {
        let mut writer = PacketWriter::new(0);
        writer.write(&vec![1; PACKET_BYTES_MAX]);
        writer.write(&[2]);
        let seen = walk(&writer.into_bytes(), 4096);
        let shape: Vec<_> = seen.iter().map(|packet| (packet.0, packet.3)).collect();
        assert_eq!(shape, [(PACKET_BYTES_MAX, false), (0, true), (1, false)]);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8),
            chunk_bytes in 1_usize..100,
        ) {
            let mut writer = PacketWriter::new(0);
            for payload in &payloads {
                writer.write(payload);
            }
            let bytes = writer.into_bytes();
            let expected: Seen = payloads.iter().enumerate().map(|(index, payload)| {
                let head = payload.get(..HEAD_BYTES_MAX).unwrap_or(payload).to_vec();
                (payload.len(), index as u8, head, false)
            }).collect();
            prop_assert_eq!(walk(&bytes, chunk_bytes), expected);
        }

        #[test]
        fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk_bytes in 1_usize..20) {
            let mut walker = FrameWalker::default();
            for chunk in bytes.chunks(chunk_bytes) {
                walker.walk(chunk, |_| Ok::<(), Infallible>(())).unwrap();
            }
        }
    }
}
