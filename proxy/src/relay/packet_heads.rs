//! Session state derived from the first bytes of the store's packets.

use crate::wire::{HEADER_BYTES, Malformed, PacketHead, StatusFlags, lenenc};

/// SQLSTATE of the catalog's stub functions as encoded in an ERR packet.
const STUB_STATE: &[u8] = b"#ML001";

/// Whether an ERR packet comes from a stub function.
pub fn is_of_stub(head: &[u8]) -> bool {
    head.get(3..9) == Some(STUB_STATE)
}

/// The bytes before an error packet of a stub that stands last, and its sequence id.
pub fn error_of_stub(bytes: &[u8]) -> Option<(&[u8], u8)> {
    let state = memchr::memmem::rfind(bytes, STUB_STATE)?;
    // Header, 0xff, and the error's number.
    let (before, packet) = bytes.split_at(state.checked_sub(HEADER_BYTES + 3)?);
    let &[a, b, c, seq] = packet.first_chunk::<HEADER_BYTES>()?;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    (packet.len() == HEADER_BYTES + length).then_some((before, seq))
}

/// Whether the packet, sent during COM_CHANGE_USER, makes the client send the password itself, in
/// clear or encrypted depending on the leg: caching_sha2_password's full authentication, or
/// sha256_password.
pub fn asks_for_password(packet: PacketHead<'_>) -> bool {
    let full_path = packet.head == b"\x01\x04" && packet.length == 2;
    full_path || packet.head.starts_with(b"\xfesha256_password\0")
}

/// Status flags of an OK packet.
pub fn ok_status(head: &[u8]) -> Result<StatusFlags, Malformed> {
    let mut input = head.get(1..).unwrap_or_default();
    lenenc::get_int(&mut input)?;
    lenenc::get_int(&mut input)?;
    lenenc::get_u16(&mut input).map(StatusFlags::from_bits_retain)
}

/// Status flags of an EOF packet.
pub fn eof_status(head: &[u8]) -> Result<StatusFlags, Malformed> {
    let mut input = head.get(3..).unwrap_or_default();
    lenenc::get_u16(&mut input).map(StatusFlags::from_bits_retain)
}
