//! The OK and EOF packets, and the packet that ends the rows of a result set.

use super::{Capabilities, Malformed, PACKET_BYTES_MAX, StatusFlags, lenenc};
use bytes::{BufMut, Bytes, BytesMut};

/// An OK packet, including one with header byte 0xFE (the end of rows under DEPRECATE_EOF).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OkPacket {
    /// Number of rows changed.
    pub affected_rows: u64,
    /// First generated AUTO_INCREMENT value, or 0.
    pub last_insert_id: u64,
    /// The session's status flags after the statement.
    pub status: StatusFlags,
    /// Number of warnings.
    pub warnings: u16,
    /// The remaining bytes, unparsed: the info text and the session state changes.
    pub tail: Bytes,
}

impl OkPacket {
    /// First byte of the payload of an ordinary OK.
    pub const HEADER: u8 = 0x00;

    /// Parses a payload that starts with 0x00 or 0xFE. A prefix that includes the warnings is
    /// enough.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut input = payload;
        if !matches!(
            lenenc::get_u8(&mut input)?,
            Self::HEADER | EofPacket::HEADER
        ) {
            return Err(Malformed("not an OK packet"));
        }
        Ok(Self {
            affected_rows: lenenc::get_int(&mut input)?,
            last_insert_id: lenenc::get_int(&mut input)?,
            status: StatusFlags::from_bits_retain(lenenc::get_u16(&mut input)?),
            warnings: lenenc::get_u16(&mut input)?,
            tail: Bytes::copy_from_slice(input),
        })
    }

    /// The info text ("Rows matched: 1 ...").
    pub fn info(&self) -> &[u8] {
        let mut input = &self.tail[..];
        lenenc::get_str(&mut input).unwrap_or_default()
    }
}

/// An EOF packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EofPacket {
    /// Number of warnings.
    pub warnings: u16,
    /// The session's status flags.
    pub status: StatusFlags,
}

impl EofPacket {
    /// First byte of the payload.
    pub const HEADER: u8 = 0xfe;

    /// Whether a payload is an EOF packet: a row that starts with this byte is far longer.
    #[must_use]
    pub fn is_eof(payload: &[u8]) -> bool {
        payload.first() == Some(&Self::HEADER) && payload.len() < 9
    }

    /// Parses a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut input = payload;
        if lenenc::get_u8(&mut input)? != Self::HEADER {
            return Err(Malformed("not an EOF packet"));
        }
        Ok(Self {
            warnings: lenenc::get_u16(&mut input)?,
            status: StatusFlags::from_bits_retain(lenenc::get_u16(&mut input)?),
        })
    }
}

/// An OK payload. `info` is a text for the user; empty for none.
#[must_use]
pub fn encode_ok(
    affected_rows: u64,
    last_insert_id: u64,
    status: StatusFlags,
    warnings: u16,
    info: &[u8],
) -> Bytes {
    let mut output = BytesMut::with_capacity(32 + info.len());
    output.put_u8(OkPacket::HEADER);
    lenenc::put_int(&mut output, affected_rows);
    lenenc::put_int(&mut output, last_insert_id);
    // A state-change block is never written here, so its flag must not be set either.
    let status = status - StatusFlags::SERVER_SESSION_STATE_CHANGED;
    output.put_u16_le(status.bits());
    output.put_u16_le(warnings);
    if !info.is_empty() {
        lenenc::put_str(&mut output, info);
    }
    output.freeze()
}

/// An EOF payload: follows column definitions if DEPRECATE_EOF is not negotiated.
#[must_use]
pub fn encode_eof(status: StatusFlags, warnings: u16) -> Bytes {
    let mut output = BytesMut::with_capacity(5);
    output.put_u8(EofPacket::HEADER);
    output.put_u16_le(warnings);
    output.put_u16_le((status - StatusFlags::SERVER_SESSION_STATE_CHANGED).bits());
    output.freeze()
}

/// The payload that ends the rows of a result set: EOF, or OK with header 0xFE under
/// DEPRECATE_EOF.
#[must_use]
pub fn encode_result_end(capabilities: Capabilities, status: StatusFlags, warnings: u16) -> Bytes {
    if !capabilities.has(Capabilities::DEPRECATE_EOF) {
        return encode_eof(status, warnings);
    }
    let mut output = BytesMut::with_capacity(7);
    output.put_slice(&[EofPacket::HEADER, 0, 0]);
    output.put_u16_le((status - StatusFlags::SERVER_SESSION_STATE_CHANGED).bits());
    output.put_u16_le(warnings);
    output.freeze()
}

/// Status and warnings if the payload, read where a row is expected, ends the rows. `None` for a
/// row or an ERR.
pub fn result_end_status(
    capabilities: Capabilities,
    payload: &[u8],
) -> Option<Result<EofPacket, Malformed>> {
    if payload.first() != Some(&EofPacket::HEADER) {
        return None;
    }
    if capabilities.has(Capabilities::DEPRECATE_EOF) {
        (payload.len() < PACKET_BYTES_MAX).then(|| {
            OkPacket::parse(payload).map(|ok| EofPacket {
                warnings: ok.warnings,
                status: ok.status,
            })
        })
    } else {
        EofPacket::is_eof(payload).then(|| EofPacket::parse(payload))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Answer of MariaDB 10.11 to `UPDATE ... ` of three rows.
    #[test]
    fn an_ok_of_a_real_server() {
        let payload = b"\x00\x03\x00\x02\x00\x00\x00\x28Rows matched: 3  Changed: 3  Warnings: 0";
        let ok = OkPacket::parse(payload).unwrap();
        assert_eq!(ok.affected_rows, 3);
        assert_eq!(ok.status, StatusFlags::SERVER_STATUS_AUTOCOMMIT);
        assert_eq!(ok.info(), b"Rows matched: 3  Changed: 3  Warnings: 0");
    }

    #[test]
    fn a_huge_row_is_not_an_end() {
        let mut row = vec![0xfe];
        row.resize(PACKET_BYTES_MAX, 0);
        for capabilities in [Capabilities::default(), Capabilities::DEPRECATE_EOF] {
            assert!(result_end_status(capabilities, &row).is_none());
        }
    }

    proptest! {
        #[test]
        fn ok_round_trip(affected: u64, id: u64, status: u16, warnings: u16, info in ".{0,300}") {
            let status = StatusFlags::from_bits_retain(status) - StatusFlags::SERVER_SESSION_STATE_CHANGED;
            let ok = OkPacket::parse(&encode_ok(affected, id, status, warnings, info.as_bytes())).unwrap();
            prop_assert_eq!((ok.affected_rows, ok.last_insert_id), (affected, id));
            prop_assert_eq!((ok.status, ok.warnings), (status, warnings));
            prop_assert_eq!(ok.info(), info.as_bytes());
        }

        #[test]
        fn result_end_round_trip(status: u16, warnings: u16, deprecate_eof: bool) {
            let status = StatusFlags::from_bits_retain(status) - StatusFlags::SERVER_SESSION_STATE_CHANGED;
            let capabilities = if deprecate_eof { Capabilities::DEPRECATE_EOF } else { Capabilities::default() };
            let end = result_end_status(capabilities, &encode_result_end(capabilities, status, warnings));
            prop_assert_eq!(end.unwrap().unwrap(), EofPacket { warnings, status });
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = OkPacket::parse(&bytes).map(|ok| ok.info().len());
            let _ = EofPacket::parse(&bytes);
            let _ = result_end_status(Capabilities::DEPRECATE_EOF, &bytes);
        }
    }
}
