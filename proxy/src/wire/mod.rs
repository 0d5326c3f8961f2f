//! The MySQL client/server protocol: packets, capabilities and the few payloads that the proxy
//! reads or writes.
//!
//! This module is independent of sessions and statements. Parsers process untrusted bytes from the
//! network: they check every length, return [`Malformed`] on errors, and never panic.

mod capabilities;
mod column;
pub mod command;
mod err;
mod foreign;
mod frame;
mod greeting;
pub mod lenenc;
mod login;
mod ok;
mod packet;
mod stream;

pub use capabilities::Capabilities;
pub use column::ColumnDefinition;
pub use err::ErrPacket;
pub use foreign::check_first_header;
pub use frame::{FrameWalker, HEAD_BYTES_MAX, PacketHead};
pub use greeting::Greeting;
pub use login::{Login, LoginError, TLS_REQUEST_BYTES};
pub use mysql_common::constants::StatusFlags;
pub use ok::{EofPacket, OkPacket, encode_eof, encode_ok, encode_result_end, result_end_status};
pub use packet::{
    HEADER_BYTES, PACKET_BYTES_MAX, PacketReader, PacketWriter, Parts, Piece, packet_header,
};
pub use stream::Stream;

/// Bytes that violate the protocol; the text names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet: {0}")]
pub struct Malformed(pub &'static str);

impl From<Malformed> for std::io::Error {
    fn from(error: Malformed) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}
