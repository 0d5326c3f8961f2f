//! The store's first packet (Protocol::HandshakeV10), read and edited in place.

use super::{Capabilities, Malformed, StatusFlags, lenenc};

/// What the proxy reads of a greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Such as `10.11.6-MariaDB`; may start with `5.5.5-` on MariaDB.
    pub server_version: String,
    /// The store's id of the connection: what KILL takes.
    pub connection_id: u32,
    /// What the store offers, after the edit.
    pub capabilities: Capabilities,
    /// Default collation id.
    pub charset: u8,
    /// The session's state.
    pub status: StatusFlags,
}

/// Bytes between the end of the version and the lower capabilities: connection id, scramble, filler.
const TO_CAPABILITIES_BYTES: usize = 4 + 8 + 1;

impl Greeting {
    /// Reads a greeting and clears each offered capability that is not in `allowed`. No other byte changes.
    ///
    /// # Errors
    /// Not protocol version 10, or cut short.
    pub fn restrict(payload: &mut [u8], allowed: Capabilities) -> Result<Self, Malformed> {
        let mut input = &payload[..];
        if lenenc::get_u8(&mut input)? != 10 {
            return Err(Malformed("the store greets in an unknown protocol version"));
        }
        let server_version = String::from_utf8_lossy(lenenc::get_nul_str(&mut input)?).into_owned();
        let low_at = payload.len() - input.len() + TO_CAPABILITIES_BYTES;
        let connection_id = lenenc::get_u32(&mut input)?;
        lenenc::get_bytes(&mut input, TO_CAPABILITIES_BYTES - 4)?;
        let low = lenenc::get_u16(&mut input)?;
        let charset = lenenc::get_u8(&mut input)?;
        let status = StatusFlags::from_bits_retain(lenenc::get_u16(&mut input)?);
        let high = lenenc::get_u16(&mut input)?;
        let scramble_length_and_filler = 1 + 6;
        lenenc::get_bytes(&mut input, scramble_length_and_filler)?;
        let extended = lenenc::get_u32(&mut input)?;

        let base = Capabilities(u64::from(low) | u64::from(high) << 16);
        let mut offered = base;
        if !base.has(Capabilities::LONG_PASSWORD) {
            offered = base.or(Capabilities(u64::from(extended) << 32));
        }
        let capabilities = offered.and(allowed);
        let [a, b, c, d, e, f, g, h] = capabilities.0.to_le_bytes();
        let high_at = low_at + 2 + 1 + 2;
        let extended_at = high_at + 2 + scramble_length_and_filler;
        put(payload, low_at, &[a, b]);
        put(payload, high_at, &[c, d]);
        if !base.has(Capabilities::LONG_PASSWORD) {
            put(payload, extended_at, &[e, f, g, h]);
        }
        Ok(Self {
            server_version,
            connection_id,
            capabilities,
            charset,
            status,
        })
    }
}

/// Overwrites bytes whose place was read before, so that it is there.
pub(super) fn put(payload: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = payload.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// As MariaDB 10.11 on Debian greets.
    pub fn mariadb() -> Vec<u8> {
        let mut payload = b"\x0a5.5.5-10.11.6-MariaDB\0\x1f\0\0\0abcdefgh\0".to_vec();
        payload.extend(b"\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0");
        payload.extend(b"ijklmnopqrst\0mysql_native_password\0");
        payload
    }

    #[test]
    fn only_capability_bytes_change() {
        let before = mariadb();
        let mut after = before.clone();
        let greeting = Greeting::restrict(&mut after, Capabilities::RELAYED).unwrap();
        assert_eq!(greeting.connection_id, 31);
        assert_eq!(greeting.server_version, "5.5.5-10.11.6-MariaDB");
        assert_eq!(greeting.status, StatusFlags::SERVER_STATUS_AUTOCOMMIT);
        assert!(greeting.capabilities.has(Capabilities::DEPRECATE_EOF));
        assert!(greeting.capabilities.has(Capabilities::MARIADB_BULK));
        for cleared in [Capabilities::COMPRESS, Capabilities::MARIADB_CACHE_METADATA] {
            assert!(!greeting.capabilities.has(cleared));
        }
        let changed: Vec<_> = (0..before.len())
            .filter(|&at| before[at] != after[at])
            .map(|at| (before[at], after[at]))
            .collect();
        assert_eq!(changed, [(0xfe, 0xde), (0x1d, 0x0d)]);
        let again = Greeting::restrict(&mut after, Capabilities::RELAYED).unwrap();
        assert_eq!(again, greeting);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Greeting::restrict(&mut bytes, Capabilities::RELAYED);
            if let Some(first) = bytes.first_mut() {
                *first = 10;
            }
            let length = bytes.len();
            let _ = Greeting::restrict(&mut bytes, Capabilities::RELAYED);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
