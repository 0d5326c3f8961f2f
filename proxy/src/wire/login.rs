//! The client's first packet (Protocol::HandshakeResponse41 or SSLRequest), parsed and edited in
//! place.

use super::greeting::put;
use super::{Capabilities, Malformed, lenenc};
use bytes::Bytes;

/// The parts of a login that the proxy uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Capabilities negotiated by client and store.
    pub capabilities: Capabilities,
    /// Collation id of the connection.
    pub charset: u8,
    /// User name.
    pub user: Bytes,
    /// Initial database, if there is one.
    pub database: Option<Bytes>,
    /// Authentication plugin used by the client, if it is named.
    pub plugin: Option<Bytes>,
}

/// Why a client's first packet is not a login that can be relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The client requests TLS although it was not offered.
    #[error("TLS is not offered here: connect without it (--skip-ssl, ssl-mode=DISABLED)")]
    Tls,
    /// The client uses compression although it was not offered, as PHP's mysqlnd and the
    /// pure-Python Connector/Python do.
    #[error("compression is not offered here: connect without it")]
    Compression,
    /// A client older than MySQL 4.1.
    #[error("clients older than MySQL 4.1 are not supported")]
    Old,
    /// Not a login packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Length of a TLS request (SSLRequest): a login truncated before the user name.
pub const TLS_REQUEST_BYTES: usize = 32;

impl Login {
    /// Parses a login and clears each capability that the greeting did not offer. No other byte
    /// changes.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn restrict(payload: &mut [u8], offered: Capabilities) -> Result<Self, LoginError> {
        let mut input = &payload[..];
        let base = Capabilities(u64::from(lenenc::get_u32(&mut input)?));
        if !base.has(Capabilities::PROTOCOL_41) {
            return Err(LoginError::Old);
        }
        if Self::is_tls_request(payload) {
            return Err(LoginError::Tls);
        }
        lenenc::get_u32(&mut input)?; // max_allowed_packet
        let charset = lenenc::get_u8(&mut input)?;
        lenenc::get_bytes(&mut input, 19)?;
        let extended = lenenc::get_u32(&mut input)?;
        let mut asked = base;
        // Only if both sides are MariaDB; otherwise these bytes are filler.
        let extends = !base.has(Capabilities::LONG_PASSWORD);
        if extends {
            asked = base.or(Capabilities(u64::from(extended) << 32));
        }
        let compressing = asked.and(Capabilities::COMPRESS.or(Capabilities::ZSTD_COMPRESSION));
        if !offered.has(compressing) {
            return Err(LoginError::Compression);
        }
        // LONG_PASSWORD distinguishes MySQL from MariaDB clients: never cleared.
        let capabilities = asked.and(offered.or(Capabilities::LONG_PASSWORD));
        let user = Bytes::copy_from_slice(lenenc::get_nul_str(&mut input)?);
        let (database, plugin) = Self::after_user(capabilities, input)?;

        let [a, b, c, d, e, f, g, h] = capabilities.0.to_le_bytes();
        put(payload, 0, &[a, b, c, d]);
        if extends {
            put(payload, TLS_REQUEST_BYTES - 4, &[e, f, g, h]);
        }
        Ok(Self {
            capabilities,
            charset,
            user,
            database,
            plugin,
        })
    }

    /// Whether a client's packet is a TLS request instead of a login.
    #[must_use]
    pub fn is_tls_request(payload: &[u8]) -> bool {
        let mut input = payload;
        payload.len() == TLS_REQUEST_BYTES
            && lenenc::get_u32(&mut input)
                .is_ok_and(|base| Capabilities(u64::from(base)).has(Capabilities::SSL))
    }

    /// Sets the SSL capability in a login that [`restrict`](Self::restrict) has accepted. Its
    /// first [`TLS_REQUEST_BYTES`] are then the TLS request.
    pub fn say_tls(payload: &mut [u8]) {
        let [_, ssl, ..] = Capabilities::SSL.0.to_le_bytes();
        if let Some(byte) = payload.get_mut(1) {
            *byte |= ssl;
        }
    }

    /// Parses the fields from the authentication data on: database and plugin.
    fn after_user(
        capabilities: Capabilities,
        mut input: &[u8],
    ) -> Result<(Option<Bytes>, Option<Bytes>), Malformed> {
        let named = |name: &[u8]| (!name.is_empty()).then(|| Bytes::copy_from_slice(name));
        let skipped = Self::get_authentication(capabilities, &mut input);
        let mut database = None;
        if capabilities.has(Capabilities::CONNECT_WITH_DB) {
            skipped?;
            // The last field may lack its NUL: some old clients end the packet there.
            match lenenc::get_nul_str(&mut input) {
                Ok(name) => database = named(name),
                Err(_) => return Ok((named(input), None)),
            }
        } else if skipped.is_err() {
            // Not needed here; the store will report the error.
            return Ok((None, None));
        }
        let mut plugin = None;
        if capabilities.has(Capabilities::PLUGIN_AUTH) {
            plugin = named(lenenc::get_nul_str(&mut input).unwrap_or(input));
        }
        Ok((database, plugin))
    }

    /// The proof of the password in a login that [`restrict`](Self::restrict) has accepted with
    /// these capabilities as result.
    pub fn authentication(payload: &[u8], capabilities: Capabilities) -> Result<Bytes, Malformed> {
        let mut input = payload;
        lenenc::get_bytes(&mut input, TLS_REQUEST_BYTES)?;
        lenenc::get_nul_str(&mut input)?;
        Self::get_authentication(capabilities, &mut input).map(Bytes::copy_from_slice)
    }

    fn get_authentication<'p>(
        capabilities: Capabilities,
        input: &mut &'p [u8],
    ) -> Result<&'p [u8], Malformed> {
        if capabilities.has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            lenenc::get_str(input)
        } else if capabilities.has(Capabilities::SECURE_CONNECTION) {
            let length = lenenc::get_u8(input)?;
            lenenc::get_bytes(input, usize::from(length))
        } else {
            lenenc::get_nul_str(input)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::Greeting;
    use proptest::prelude::*;

    fn offered() -> Capabilities {
        let mut greeting = crate::wire::greeting::tests::mariadb();
        Greeting::restrict(&mut greeting, Capabilities::RELAYED)
            .unwrap()
            .capabilities
    }

    fn login(base: u32, extended: u32) -> Vec<u8> {
        let mut payload = base.to_le_bytes().to_vec();
        payload.extend(0x100_0000_u32.to_le_bytes());
        payload.push(45);
        payload.extend([0; 19]);
        payload.extend(extended.to_le_bytes());
        payload.extend(b"root\0\x03abcshop\0mysql_native_password\0");
        payload
    }

    #[test]
    fn a_mariadb_client() {
        let asked = Capabilities::PROTOCOL_41.0
            | Capabilities::CONNECT_WITH_DB.0
            | Capabilities::SECURE_CONNECTION.0
            | Capabilities::PLUGIN_AUTH.0
            | Capabilities::QUERY_ATTRIBUTES.0;
        let mut payload = login(asked as u32, 0x1d);
        let before = payload.clone();
        let login = Login::restrict(&mut payload, offered()).unwrap();
        assert_eq!(&login.user[..], b"root");
        assert_eq!(login.database.as_deref(), Some(&b"shop"[..]));
        assert_eq!(login.charset, 45);
        let proof = Login::authentication(&payload, login.capabilities);
        assert_eq!(proof.as_deref(), Ok(&b"abc"[..]));
        assert_eq!(login.plugin.as_deref(), Some(&b"mysql_native_password"[..]));
        assert!(!login.capabilities.has(Capabilities::QUERY_ATTRIBUTES));
        assert!(login.capabilities.has(Capabilities::MARIADB_PROGRESS));
        let changed = before.iter().zip(&payload).filter(|(a, b)| a != b).count();
        assert_eq!(changed, 2);
    }

    #[test]
    fn a_request_for_tls_has_its_own_error() {
        let asked = Capabilities::PROTOCOL_41.or(Capabilities::SSL);
        let mut payload = login(asked.0 as u32, 0);
        assert!(!Login::is_tls_request(&payload));
        payload.truncate(TLS_REQUEST_BYTES);
        assert!(Login::is_tls_request(&payload));
        assert_eq!(
            Login::restrict(&mut payload, offered()),
            Err(LoginError::Tls)
        );
    }

    #[test]
    fn a_client_that_would_compress_is_told_so() {
        for unasked in [Capabilities::COMPRESS, Capabilities::ZSTD_COMPRESSION] {
            let asked = Capabilities::PROTOCOL_41.or(unasked);
            let mut payload = login(asked.0 as u32, 0);
            let refused = Login::restrict(&mut payload, offered());
            assert_eq!(refused, Err(LoginError::Compression));
            let accepted = Login::restrict(&mut payload, offered().or(unasked));
            assert!(accepted.unwrap().capabilities.has(unasked));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Login::restrict(&mut bytes, offered());
            if let Some(second) = bytes.get_mut(1) {
                *second |= 0x02; // PROTOCOL_41
            }
            let _ = Login::restrict(&mut bytes, offered());
        }
    }
}
