//! Proofs of a password, by the plugin that asks for them.

use mysql_common::scramble::scramble_native;
use ring::signature::Ed25519KeyPair;

/// The plugin of accounts that name none.
pub const NATIVE: &str = "mysql_native_password";
const ED25519: &[u8] = b"client_ed25519";
/// Random bytes that a proof is made from; what follows them is a NUL.
const NATIVE_NONCE_BYTES: usize = 20;
const ED25519_NONCE_BYTES: usize = 32;

/// What a client answers to that plugin; nothing to one that is not known here.
///
/// MariaDB's ed25519 takes SHA-512 of a password of any length, where the standard takes it of a
/// seed of 32 bytes: with a password of 32 bytes they are the same.
pub fn proof(plugin: &[u8], password: &str, nonce: &[u8]) -> Vec<u8> {
    if plugin == NATIVE.as_bytes() {
        let nonce = nonce.get(..NATIVE_NONCE_BYTES).unwrap_or_default();
        return scramble_native(nonce, password.as_bytes())
            .map_or_else(Vec::new, |proof| proof.to_vec());
    }
    if plugin == ED25519
        && let Some(nonce) = nonce.get(..ED25519_NONCE_BYTES)
        && let Ok(key) = Ed25519KeyPair::from_seed_unchecked(password.as_bytes())
    {
        return key.sign(nonce).as_ref().to_vec();
    }
    Vec::new()
}
