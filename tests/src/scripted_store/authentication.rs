//! Proofs of passwords, as MySQL 8's plugins ask for and check them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::OnceLock;

use mysql_common::scramble::scramble_native;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{Oaep, RsaPrivateKey};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::packets::Packets;
use super::script::{Account, Plugin, Way};
use super::state::{State, lock};

/// `caching_sha2_password`, server to client.
const FAST_AUTHENTICATED: u8 = 0x03;
const FULL_AUTHENTICATION: u8 = 0x04;
/// Client to server: `caching_sha2_password` and `sha256_password` ask for the public key.
const CACHING_SHA2_KEY_REQUEST: &[u8] = &[0x02];
const SHA256_KEY_REQUEST: &[u8] = &[0x01];
const RSA_KEY_BITS: usize = 2048;

/// 20 random bytes, none of them NUL.
pub(super) fn nonce() -> [u8; 20] {
    let mut nonce = [0; 20];
    for chunk in nonce.chunks_mut(8) {
        let random = RandomState::new().build_hasher().finish().to_le_bytes();
        for (byte, random) in chunk.iter_mut().zip(random) {
            *byte = random % 127 + 1;
        }
    }
    nonce
}

/// Asks for a proof and checks it; `response` is the client's first answer to `nonce`. `None` for
/// the account: the user is unknown, which a client must not be able to tell.
///
/// # Errors
/// The connection ends, or the client does not follow the protocol.
pub(super) fn authenticate(
    packets: &mut Packets,
    state: &State,
    user: &str,
    account: Option<&Account>,
    nonce: &[u8; 20],
    response: &[u8],
) -> io::Result<(Way, bool)> {
    if account.is_some_and(|account| account.requires_tls) && !packets.leg.is_tls() {
        return Ok((Way::TlsRequired, false));
    }
    let password = account.map(|account| account.password.as_bytes());
    let plugin = account.map_or(Plugin::CachingSha2, |account| account.plugin);
    if matches!(response, [] | [0]) {
        return Ok((Way::Empty, password == Some(b"")));
    }
    match plugin {
        Plugin::Native => {
            let expected = scramble_native(nonce, password.unwrap_or_default());
            Ok((Way::Native, expected.is_some_and(|e| e[..] == *response)))
        }
        Plugin::Sha256 => full(packets, state, SHA256_KEY_REQUEST, nonce, Some(response))
            .map(|(way, given)| (way, password == Some(&given))),
        Plugin::CachingSha2 => {
            let cached = lock(&state.cache).get(user).copied();
            if cached.is_some_and(|stage2| is_scramble_of(stage2, nonce, response)) {
                packets.write_more(&[FAST_AUTHENTICATED])?;
                return Ok((Way::Fast, true));
            }
            packets.write_more(&[FULL_AUTHENTICATION])?;
            let (way, given) = full(packets, state, CACHING_SHA2_KEY_REQUEST, nonce, None)?;
            let granted = password == Some(&given);
            if granted {
                let stage2 = Sha256::digest(Sha256::digest(&given)).into();
                lock(&state.cache).insert(user.to_owned(), stage2);
            }
            Ok((way, granted))
        }
    }
}

/// Whether `scramble` is SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce), where
/// `stage2` is SHA256(SHA256(password)): by undoing the XOR.
fn is_scramble_of(stage2: [u8; 32], nonce: &[u8; 20], scramble: &[u8]) -> bool {
    let mask = Sha256::new_with_prefix(stage2)
        .chain_update(nonce)
        .finalize();
    let stage1: Vec<u8> = scramble.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    scramble.len() == 32 && Sha256::digest(stage1)[..] == stage2
}

/// The password itself: in clear where the connection is secure, else under the public key, which
/// is sent on request. `first` is what the client has sent already.
fn full(
    packets: &mut Packets,
    state: &State,
    key_request: &[u8],
    nonce: &[u8; 20],
    first: Option<&[u8]>,
) -> io::Result<(Way, Vec<u8>)> {
    let mut sent = match first {
        Some(first) => first.to_vec(),
        None => packets.read()?,
    };
    if packets.leg.is_secure() {
        return match sent.split_last() {
            Some((0, password)) => Ok((Way::Clear, password.to_vec())),
            _ => Err(broken("a password in clear without its NUL")),
        };
    }
    if !state.script.rsa {
        return Ok((Way::Rsa, Vec::new()));
    }
    if sent == key_request {
        packets.write_more(public_key_pem().as_bytes())?;
        sent = packets.read()?;
    }
    let mut password = private_key()
        .decrypt(Oaep::new::<Sha1>(), &sent)
        .map_err(|_| broken("a password that is not under the public key"))?;
    for (byte, mask) in password.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    match password.pop() {
        Some(0) => Ok((Way::Rsa, password)),
        _ => Err(broken("an encrypted password without its NUL")),
    }
}

fn broken(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// One for the whole process: making it takes long.
pub(super) fn private_key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_KEY_BITS).unwrap())
}

fn public_key_pem() -> String {
    let key = private_key().to_public_key();
    key.to_public_key_pem(LineEnding::LF).unwrap()
}
