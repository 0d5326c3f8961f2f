//! A second, simple implementation of packet framing, to compare the relay's with.

use crate::wire::{HEAD_BYTES_MAX, HEADER_BYTES, PACKET_BYTES_MAX};

/// The bytes of one direction so far.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: Vec<u8>,
    rest_bytes: usize,
}

/// What a walker shows of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) length: usize,
    pub(super) seq: u8,
    pub(super) head: Vec<u8>,
    pub(super) continuation: bool,
}

impl Frames {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            if self.rest_bytes > 0 {
                let passed = self.rest_bytes.min(rest.len());
                self.rest_bytes -= passed;
                rest = rest.get(passed..).unwrap_or_default();
                continue;
            }
            self.header.push(first);
            rest = after;
            if let [a, b, c, _] = self.header[..] {
                self.rest_bytes = u32::from_le_bytes([a, b, c, 0]) as usize;
                self.header.clear();
            }
        }
    }

    pub(super) fn between_packets(&self) -> bool {
        self.header.is_empty() && self.rest_bytes == 0
    }
}

/// The packets whose heads are complete in `bytes`.
pub(super) fn packets(bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut rest = bytes;
    let mut continuation = false;
    while let Some((&[a, b, c, seq], after)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let Some(head) = after.get(..length.min(HEAD_BYTES_MAX)) else {
            break;
        };
        let head = head.to_vec();
        seen.push(Seen {
            length,
            seq,
            head,
            continuation,
        });
        continuation = length == PACKET_BYTES_MAX;
        rest = after.get(length..).unwrap_or_default();
    }
    seen
}

/// The payloads that are complete in `bytes`, up to the first that is longer than
/// `payload_bytes_max`, with the sequence ids of their last packets; and whether there is such a
/// longer one.
pub(super) fn payloads(bytes: &[u8], payload_bytes_max: usize) -> (Vec<(u8, &[u8])>, bool) {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((&[a, b, c, seq], after)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if length > payload_bytes_max {
            return (found, true);
        }
        let Some((payload, following)) = after.split_at_checked(length) else {
            break;
        };
        found.push((seq, payload));
        rest = following;
    }
    (found, false)
}
