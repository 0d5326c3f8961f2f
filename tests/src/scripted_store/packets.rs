//! Packets of the scripted store, in and out, with their sequence ids.

use std::io::{self, Read, Write};

use crate::wire::packets;

use super::leg::Leg;

/// Longest payload that is read: nothing that is sent here comes near.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// A connection of the store.
pub(super) struct Packets {
    pub(super) leg: Leg,
    next_seq: u8,
}

impl Packets {
    pub(super) fn new(leg: Leg) -> Self {
        Self { leg, next_seq: 0 }
    }

    /// A command starts at sequence id 0.
    pub(super) fn new_command(&mut self) {
        self.next_seq = 0;
    }

    /// The next payload.
    ///
    /// # Errors
    /// The connection ends, or the sequence id is not the one that is due.
    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.leg.read_exact(&mut header)?;
        let [a, b, c, seq] = header;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if seq != self.next_seq || length > PAYLOAD_BYTES_MAX {
            let due = self.next_seq;
            let text = format!("packet #{seq} of {length} bytes where #{due} was due");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.next_seq = seq.wrapping_add(1);
        let mut payload = vec![0; length];
        self.leg.read_exact(&mut payload)?;
        Ok(payload)
    }

    /// Sends a payload.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        self.leg.write_all(&packets(payload, self.next_seq))?;
        self.next_seq = self.next_seq.wrapping_add(1);
        self.leg.flush()
    }

    /// Sends a payload of an authentication plugin (Protocol::AuthMoreData).
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn write_more(&mut self, data: &[u8]) -> io::Result<()> {
        self.write(&[&[0x01], data].concat())
    }
}
