//! The store's first packet (Protocol::HandshakeV10), parsed and edited in place.

use super::{Capabilities, Malformed, StatusFlags, lenenc};
use bytes::Bytes;

/// The parts of a greeting that the proxy uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Such as `10.11.6-MariaDB`; may start with `5.5.5-` on MariaDB.
    pub server_version: String,
    /// The store's connection id, the argument of KILL.
    pub connection_id: u32,
    /// Capabilities offered by the store, after the edit.
    pub capabilities: Capabilities,
    /// Default collation id.
    pub charset: u8,
    /// Status flags of the session.
    pub status: StatusFlags,
    /// Whether the store supports TLS.
    pub tls: bool,
    /// Nonce for password hashing, without its NUL.
    pub nonce: Bytes,
    /// Authentication plugin that the nonce is for, if it is named.
    pub plugin: Bytes,
}

/// Bytes between the end of the version and the lower capabilities: connection id,
/// scramble, filler.
const TO_CAPABILITIES_BYTES: usize = 4 + NONCE_HEAD_BYTES + 1;
/// Length of the part of the nonce before the capabilities.
const NONCE_HEAD_BYTES: usize = 8;
/// Reserved bytes between the nonce's length and MariaDB's extended capabilities.
const FILLER_BYTES: usize = 6;

impl Greeting {
    /// Parses a greeting and clears each offered capability that is not in `allowed`. No other
    /// byte changes.
    ///
    /// # Errors
    /// Not protocol version 10, older than MySQL 4.1, or truncated.
    pub fn restrict(payload: &mut [u8], allowed: Capabilities) -> Result<Self, Malformed> {
        let mut input = &payload[..];
        if lenenc::get_u8(&mut input)? != 10 {
            return Err(Malformed("the store greets in an unknown protocol version"));
        }
        let server_version = String::from_utf8_lossy(lenenc::get_nul_str(&mut input)?).into_owned();
        let low_at = payload.len() - input.len() + TO_CAPABILITIES_BYTES;
        let connection_id = lenenc::get_u32(&mut input)?;
        let mut nonce = lenenc::get_bytes(&mut input, NONCE_HEAD_BYTES)?.to_vec();
        lenenc::get_u8(&mut input)?; // filler
        let low = lenenc::get_u16(&mut input)?;
        let charset = lenenc::get_u8(&mut input)?;
        let status = StatusFlags::from_bits_retain(lenenc::get_u16(&mut input)?);
        let high = lenenc::get_u16(&mut input)?;
        let nonce_bytes = usize::from(lenenc::get_u8(&mut input)?);
        lenenc::get_bytes(&mut input, FILLER_BYTES)?;
        let extended = lenenc::get_u32(&mut input)?;

        // Greetings of servers without plugins may end here; their clients hash with the part
        // received.
        let tail_bytes = nonce_bytes.saturating_sub(NONCE_HEAD_BYTES).max(13);
        nonce.extend_from_slice(input.get(..tail_bytes).unwrap_or(input));
        while nonce.last() == Some(&0) {
            nonce.pop();
        }
        let plugin = input.get(tail_bytes..).unwrap_or_default();
        let plugin = plugin.split(|&byte| byte == 0).next().unwrap_or_default();
        let plugin = Bytes::copy_from_slice(plugin);

        let base = Capabilities(u64::from(low) | u64::from(high) << 16);
        let mut offered = base;
        if !base.has(Capabilities::LONG_PASSWORD) {
            offered = base.or(Capabilities(u64::from(extended) << 32));
        }
        if !offered.has(Capabilities::PROTOCOL_41) {
            return Err(Malformed("the store is older than MySQL 4.1"));
        }
        let capabilities = offered.and(allowed);
        let [a, b, c, d, e, f, g, h] = capabilities.0.to_le_bytes();
        let high_at = low_at + 2 + 1 + 2;
        let extended_at = high_at + 2 + 1 + FILLER_BYTES;
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
            tls: base.has(Capabilities::SSL),
            nonce: nonce.into(),
            plugin,
        })
    }

    /// Sets the SSL capability in a greeting that [`restrict`](Self::restrict) has accepted.
    pub fn offer_tls(&self, payload: &mut [u8]) {
        let low_at = 1
            + payload
                .iter()
                .skip(1)
                .take_while(|&&byte| byte != 0)
                .count()
            + 1;
        let ssl_at = low_at + TO_CAPABILITIES_BYTES + 1;
        let [_, ssl, ..] = Capabilities::SSL.0.to_le_bytes();
        if let Some(byte) = payload.get_mut(ssl_at) {
            *byte |= ssl;
        }
    }
}

/// Overwrites bytes at an offset that was parsed before and thus exists.
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

    /// A greeting of MariaDB 10.11 on Debian.
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
        assert_eq!(&greeting.nonce[..], b"abcdefghijklmnopqrst");
        assert_eq!(&greeting.plugin[..], b"mysql_native_password");
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

    #[test]
    fn tls_is_offered_by_one_bit() {
        let mut payload = mariadb();
        let greeting = Greeting::restrict(&mut payload, Capabilities::RELAYED).unwrap();
        let before = payload.clone();
        assert!(!greeting.tls);
        greeting.offer_tls(&mut payload);
        let changed: Vec<_> = (0..before.len())
            .filter(|&at| before[at] != payload[at])
            .map(|at| before[at] ^ payload[at])
            .collect();
        assert_eq!(changed, [0x08]);
        let greeting = Greeting::restrict(&mut payload, Capabilities::RELAYED).unwrap();
        assert!(greeting.tls);
        assert_eq!(payload, before);
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
