//! The ERR packet.

use super::{Malformed, lenenc};
use bytes::{BufMut, Bytes, BytesMut};

/// Content of an ERR packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrPacket {
    /// The MySQL error number, such as 1064.
    pub code: u16,
    /// Five characters, such as `*b"42000"`.
    pub sqlstate: [u8; 5],
    /// Message for the user, in the connection's character set.
    pub message: Bytes,
}

impl ErrPacket {
    /// First byte of the payload.
    pub const HEADER: u8 = 0xff;
    /// MariaDB: error code of a progress report, which does not end an answer.
    pub const PROGRESS_CODE: u16 = 0xffff;

    /// An error with this number, SQLSTATE and message.
    pub fn new(code: u16, sqlstate: &[u8; 5], message: impl Into<String>) -> Self {
        Self {
            code,
            sqlstate: *sqlstate,
            message: Bytes::from(message.into()),
        }
    }

    /// Whether a payload is an ERR packet.
    #[must_use]
    pub fn is_err(payload: &[u8]) -> bool {
        payload.first() == Some(&Self::HEADER)
    }

    /// Parses a payload. Errors sent before the handshake have no SQLSTATE: they get HY000.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut input = payload;
        if lenenc::get_u8(&mut input)? != Self::HEADER {
            return Err(Malformed("not an ERR packet"));
        }
        let code = lenenc::get_u16(&mut input)?;
        let mut sqlstate = *b"HY000";
        if input.first() == Some(&b'#') {
            lenenc::get_u8(&mut input)?;
            sqlstate.copy_from_slice(lenenc::get_bytes(&mut input, 5)?);
        }
        let message = Bytes::copy_from_slice(input);
        Ok(Self {
            code,
            sqlstate,
            message,
        })
    }

    /// The payload, including the SQLSTATE.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut output = BytesMut::with_capacity(9 + self.message.len());
        output.put_u8(Self::HEADER);
        output.put_u16_le(self.code);
        output.put_u8(b'#');
        output.put_slice(&self.sqlstate);
        output.put_slice(&self.message);
        output.freeze()
    }

    /// The payload to send in place of a greeting: without SQLSTATE.
    #[must_use]
    pub fn encode_before_handshake(&self) -> Bytes {
        let mut output = BytesMut::with_capacity(3 + self.message.len());
        output.put_u8(Self::HEADER);
        output.put_u16_le(self.code);
        output.put_slice(&self.message);
        output.freeze()
    }
}

impl std::fmt::Display for ErrPacket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({}) {}",
            self.code,
            String::from_utf8_lossy(&self.sqlstate),
            String::from_utf8_lossy(&self.message)
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_error_before_the_handshake_has_no_sqlstate() {
        let parsed = ErrPacket::parse(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!(parsed.code, 1040);
        assert_eq!(&parsed.sqlstate, b"HY000");
        assert_eq!(&parsed.message[..], b"Too many connections");
    }

    proptest! {
        #[test]
        fn round_trip(code: u16, message in "[^#].{0,60}") {
            let packet = ErrPacket::new(code, b"42000", message);
            prop_assert_eq!(ErrPacket::parse(&packet.encode()).unwrap(), packet);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = ErrPacket::parse(&bytes);
        }
    }
}
