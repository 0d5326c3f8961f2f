//! What the first bytes of the store's packets say of a session.

use crate::wire::{Malformed, PacketHead, StatusFlags, lenenc};

/// SQLSTATE of the catalog's stub functions, as an ERR packet carries it.
const STUB_STATE: &[u8] = b"#ML001";

/// Whether an ERR is that of a stub.
pub fn is_of_stub(head: &[u8]) -> bool {
    head.get(3..9) == Some(STUB_STATE)
}

/// Whether a plugin that a change of user comes to wants the password itself, in clear or under a
/// key depending on the leg: caching_sha2_password's full path, or sha256_password.
pub fn asks_for_password(packet: PacketHead<'_>) -> bool {
    let full_path = packet.head == b"\x01\x04" && packet.length == 2;
    full_path || packet.head.starts_with(b"\xfesha256_password\0")
}

/// Status flags of an OK.
pub fn ok_status(head: &[u8]) -> Result<StatusFlags, Malformed> {
    let mut input = head.get(1..).unwrap_or_default();
    lenenc::get_int(&mut input)?;
    lenenc::get_int(&mut input)?;
    lenenc::get_u16(&mut input).map(StatusFlags::from_bits_retain)
}

/// Status flags of an EOF.
pub fn eof_status(head: &[u8]) -> Result<StatusFlags, Malformed> {
    let mut input = head.get(3..).unwrap_or_default();
    lenenc::get_u16(&mut input).map(StatusFlags::from_bits_retain)
}
