//! Authentication that depends on whether a leg is private: caching_sha2_password's full
//! authentication and sha256_password.
//!
//! Both plugins need the password itself if they do not have its hash. A client sends it in clear
//! over TLS, and otherwise encrypted with a public key that it requests from the store; a store
//! expects it in clear over TLS and on a Unix socket, and sends its key otherwise. Where both legs
//! are private, or neither is, the packets are relayed.
//!
//! | client | store | caching_sha2, full | sha256 |
//! |---|---|---|---|
//! | plain | plain | relayed | relayed |
//! | TLS | TLS, Unix socket | relayed | relayed |
//! | TLS | plain | the proxy asks for the key and encrypts | refused |
//! | plain | TLS, Unix socket | refused | refused |

use crate::error::ErrorKind;
use crate::wire::{ErrPacket, Stream};
use bytes::Bytes;
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::OsRng;
use rsa::{Oaep, RsaPublicKey};
use sha1::Sha1;

/// Client packet that requests the store's public key, in caching_sha2_password.
pub const REQUEST_PUBLIC_KEY: u8 = 2;
/// First byte of plugin data after the login.
const MORE_DATA: u8 = 1;
/// The store switches to another plugin.
const SWITCH: u8 = 0xfe;
/// caching_sha2_password does not have the account's hash cached.
const FULL_AUTHENTICATION: &[u8] = &[MORE_DATA, 4];

const CACHING_SHA2: &[u8] = b"caching_sha2_password";
const SHA256: &[u8] = b"sha256_password";

/// Why an account's plugin cannot work over these legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The client would request a public key, which a store on a private leg does not send.
    ClientPlain,
    /// The client has sent, or would send, its password in clear, but the store leg is not
    /// private.
    StorePlain,
}

impl Refusal {
    /// The error packet for the client.
    pub fn packet(self) -> ErrPacket {
        let text = match self {
            Self::ClientPlain => {
                "The store asks for the password itself, which this connection to the proxy would expose: \
                 connect with TLS"
            }
            Self::StorePlain => {
                "Accounts of sha256_password need TLS between the proxy and the store where the client uses it: \
                 set mode of [store_tls]"
            }
        };
        ErrorKind::TlsRequired.packet(text)
    }

    /// The text for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ClientPlain => "the account's authentication needs TLS on the client's side",
            Self::StorePlain => "the account's authentication needs TLS on the store's side",
        }
    }
}

/// Whether the client's data for `plugin` would be unusable at the store, or sent in clear.
pub fn refusal(plugin: &[u8], client: &Stream, store: &Stream) -> Option<Refusal> {
    if plugin != SHA256 {
        return None;
    }
    match (client.is_private(), store.is_private()) {
        (false, true) => Some(Refusal::ClientPlain),
        (true, false) => Some(Refusal::StorePlain),
        _ => None,
    }
}

/// What to do with a packet from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Forward it.
    Forward,
    /// Forward it; the client answers with the password, which is encrypted before forwarding.
    Encrypt,
    /// Send the client this refusal instead.
    Refuse(Refusal),
}

/// Follows the current authentication plugin.
#[derive(Debug)]
pub struct Authentication {
    plugin: Bytes,
    nonce: Bytes,
}

impl Authentication {
    /// Starts with the plugin of the client's login and the nonce of the greeting.
    pub fn new(plugin: Bytes, nonce: Bytes) -> Self {
        Self { plugin, nonce }
    }

    /// The nonce that passwords are masked with.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// Processes a packet from the store.
    pub fn step(&mut self, payload: &Bytes, client: &Stream, store: &Stream) -> Step {
        if let Some((&SWITCH, switch)) = payload.split_first()
            && let Some(end) = switch.iter().position(|&byte| byte == 0)
        {
            self.plugin = payload.slice(1..=end);
            let nonce = payload.slice(end + 2..);
            self.nonce = match nonce.split_last() {
                Some((0, _)) => nonce.slice(..nonce.len() - 1),
                _ => nonce,
            };
            return refusal(&self.plugin, client, store).map_or(Step::Forward, Step::Refuse);
        }
        if self.plugin == CACHING_SHA2 && payload == FULL_AUTHENTICATION {
            return match (client.is_private(), store.is_private()) {
                (true, false) => Step::Encrypt,
                (false, true) => Step::Refuse(Refusal::ClientPlain),
                _ => Step::Forward,
            };
        }
        Step::Forward
    }
}

/// Encrypts the password, including the client's trailing NUL, with the public key in the store's
/// packet.
///
/// # Errors
/// What is wrong with the key or the password.
pub fn encrypt(password: &[u8], nonce: &[u8], packet: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (Some((&MORE_DATA, pem)), false) = (packet.split_first(), nonce.is_empty()) else {
        return Err("the store answers the request for its public key with something else");
    };
    let pem = std::str::from_utf8(pem).map_err(|_| "the store's public key is not a text")?;
    let key = RsaPublicKey::from_public_key_pem(pem.trim_end_matches('\0').trim())
        .map_err(|_| "the store's public key is not one of RSA in PEM form")?;
    let masked: Vec<u8> = password
        .iter()
        .zip(nonce.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    key.encrypt(&mut OsRng, Oaep::new::<Sha1>(), &masked)
        .map_err(|_| "the password is too long for the store's public key")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rsa::RsaPrivateKey;
    use rsa::pkcs8::{EncodePublicKey, LineEnding};
    use tokio::net::UnixStream;

    #[test]
    fn the_owner_of_the_key_reads_the_password() {
        let key = RsaPrivateKey::new(&mut OsRng, 1024).unwrap();
        let pem = key
            .to_public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        let packet = [&[MORE_DATA], pem.as_bytes()].concat();
        let (password, nonce) = (b"a password longer than the nonce\0", [7; 20]);
        let encrypted = encrypt(password, &nonce, &packet).unwrap();
        let masked = key.decrypt(Oaep::new::<Sha1>(), &encrypted).unwrap();
        let clear: Vec<u8> = masked.iter().map(|byte| byte ^ 7).collect();
        assert_eq!(clear, password);

        assert!(encrypt(&[1; 200], &nonce, &packet).is_err(), "too long");
        assert!(encrypt(password, b"", &packet).is_err(), "no nonce");
        for wrong in [
            &b""[..],
            b"\x01",
            b"\x01\xff",
            b"\x01-----BEGIN PUBLIC KEY-----",
            b"\xff",
        ] {
            assert!(encrypt(password, &nonce, wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn the_plugin_of_a_switch_counts() {
        let (client, store) = UnixStream::pair().unwrap();
        let (private, plain) = (Stream::Unix(client), Stream::Broken);
        let _ = store;
        let native = Bytes::from_static(b"mysql_native_password");
        let mut authentication = Authentication::new(native, Bytes::from_static(b"first"));
        let full = Bytes::from_static(FULL_AUTHENTICATION);
        let step = authentication.step(&full, &private, &plain);
        assert_eq!(step, Step::Forward, "another plugin's data");

        let switch = Bytes::from_static(b"\xfecaching_sha2_password\0second\0");
        let step = authentication.step(&switch, &private, &plain);
        assert_eq!(
            (step, authentication.nonce()),
            (Step::Forward, &b"second"[..])
        );
        let step = authentication.step(&full, &private, &plain);
        assert_eq!(step, Step::Encrypt);
        let step = authentication.step(&full, &plain, &private);
        assert_eq!(step, Step::Refuse(Refusal::ClientPlain));
        let step = authentication.step(&full, &plain, &plain);
        assert_eq!(step, Step::Forward);

        let switch = Bytes::from_static(b"\xfesha256_password\0third\0");
        let step = authentication.step(&switch, &private, &plain);
        assert_eq!(step, Step::Refuse(Refusal::StorePlain));
        for odd in [&b"\xfe"[..], b"\xfeno end", b"\xfe\0", b""] {
            let odd = Bytes::from_static(odd);
            assert_eq!(authentication.step(&odd, &plain, &plain), Step::Forward);
        }
    }
}
