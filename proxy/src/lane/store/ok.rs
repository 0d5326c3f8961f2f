//! Rewrites the store's OK packet for the client.

use bytes::{Bytes, BytesMut};

use crate::lane::store::error::LinkError;
use crate::wire::{OkPacket, StatusFlags};

/// The payload of an OK packet with its status flags and warning count replaced.
pub fn restated(payload: &Bytes, status: StatusFlags, warnings: u16) -> Result<Bytes, LinkError> {
    let tail = OkPacket::parse(payload)?.tail.len();
    let mut out = BytesMut::from(&payload[..]);
    let end = payload.len().saturating_sub(tail);
    if let Some(place) = out.get_mut(end.saturating_sub(4)..end) {
        let (flags, count) = place.split_at_mut(2);
        flags.copy_from_slice(&status.bits().to_le_bytes());
        count.copy_from_slice(&warnings.to_le_bytes());
    }
    Ok(out.freeze())
}
