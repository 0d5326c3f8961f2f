//! Fuzzing of the authentication packets inspected by the proxy.

use super::input::Input;
use crate::relay::handshake::password::{Authentication, Step, encrypt, refusal};
use crate::wire::Stream;
use bytes::Bytes;

/// Any packets of the store's plugins on unencrypted legs, and any key: no packet is withheld
/// there, and a password is encrypted or the key rejected.
pub fn passwords(data: &[u8]) {
    let mut input = Input::new(data);
    let plugins: [&[u8]; 3] = [
        b"caching_sha2_password",
        b"sha256_password",
        b"mysql_native_password",
    ];
    let plugin = plugins
        .get(usize::from(input.byte()))
        .copied()
        .unwrap_or(b"other");
    let nonce = Bytes::copy_from_slice(&input.array::<20>());
    // A broken leg counts as unencrypted, and needs no socket.
    let (client, store) = (Stream::Broken, Stream::Broken);
    assert_eq!(refusal(plugin, &client, &store), None);
    let mut authentication = Authentication::new(Bytes::copy_from_slice(plugin), nonce);
    while let Some(record) = input.record() {
        let payload = Bytes::copy_from_slice(record.bytes);
        let step = authentication.step(&payload, &client, &store);
        assert_eq!(step, Step::Forward);
        if record.tag == 1 {
            let password = b"a password\0";
            if let Ok(encrypted) = encrypt(password, authentication.nonce(), &payload) {
                assert!(encrypted.len() > password.len());
            }
        }
    }
}
