//! Authentication of the admin endpoint: one user, `mysql_native_password` or
//! `caching_sha2_password`.

use bytes::Bytes;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use subtle::{Choice, ConstantTimeEq};

/// Length of a challenge, and of the native plugin's answer to it, in bytes.
pub const SCRAMBLE_BYTES: usize = 20;

/// A client's answer to the challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// That of `mysql_native_password`.
    Native(Bytes),
    /// That of `caching_sha2_password`.
    Sha2(Bytes),
}

impl Proof {
    /// Length of an answer of `caching_sha2_password`, in bytes.
    pub const SHA2_BYTES: usize = 32;

    /// An answer.
    #[must_use]
    pub fn of(sha2: bool, answer: Bytes) -> Self {
        match sha2 {
            true => Self::Sha2(answer),
            false => Self::Native(answer),
        }
    }
}

/// Credentials of the admin endpoint's user.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminLogin {
    user: String,
    /// SHA1(SHA1(password)), as stored by servers.
    digest: [u8; SCRAMBLE_BYTES],
    /// SHA256(SHA256(password))
    sha2_digest: [u8; Proof::SHA2_BYTES],
}

/// Keeps the digest out of logs.
impl fmt::Debug for AdminLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut login = formatter.debug_struct("AdminLogin");
        login.field("user", &self.user).finish_non_exhaustive()
    }
}

impl AdminLogin {
    /// Credentials of `user` with `password`.
    #[must_use]
    pub fn new(user: impl Into<String>, password: &str) -> Self {
        Self {
            user: user.into(),
            digest: sha1(&[&sha1(&[password.as_bytes()])]),
            sha2_digest: sha2(&[&sha2(&[password.as_bytes()])]),
        }
    }

    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether `user` is correct and `proof` answers the challenge `salt` for the password. The
    /// native answer is `SHA1(password) XOR SHA1(salt + SHA1(SHA1(password)))`, the other one
    /// `SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt)`. Takes the same time
    /// whatever is wrong.
    pub fn admits(&self, user: &[u8], salt: &[u8], proof: &Proof) -> bool {
        let proven = match proof {
            Proof::Native(answer) => {
                let (once, whole) = unmasked(answer, sha1(&[salt, &self.digest]));
                sha1(&[&once]).ct_eq(&self.digest) & whole
            }
            Proof::Sha2(answer) => {
                let (once, whole) = unmasked(answer, sha2(&[&self.sha2_digest, salt]));
                sha2(&[&once]).ct_eq(&self.sha2_digest) & whole
            }
        };
        let known = user.ct_eq(self.user.as_bytes());
        (proven & known).into()
    }
}

/// An answer without its mask, and whether it has the mask's length.
fn unmasked<const BYTES: usize>(answer: &[u8], mask: [u8; BYTES]) -> ([u8; BYTES], Choice) {
    let mut padded = mask;
    for (place, byte) in padded.iter_mut().zip(answer) {
        *place ^= byte;
    }
    (padded, Choice::from(u8::from(answer.len() == BYTES)))
}

fn sha2(parts: &[&[u8]]) -> [u8; Proof::SHA2_BYTES] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

fn sha1(parts: &[&[u8]]) -> [u8; SCRAMBLE_BYTES] {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// A random challenge without bytes that terminate a string or act as separator.
///
/// # Errors
/// The system provides no random bytes.
pub fn challenge() -> io::Result<[u8; SCRAMBLE_BYTES]> {
    let mut salt = [0; SCRAMBLE_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut salt)?;
    for byte in &mut salt {
        // 37..=100: printable, and not a dollar sign.
        *byte = b'%' + (*byte & 63);
    }
    Ok(salt)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(password: &str, salt: &[u8]) -> Vec<u8> {
        let once = sha1(&[password.as_bytes()]);
        let mask = sha1(&[salt, &sha1(&[&once])]);
        once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
    }

    fn native(answer: &[u8]) -> Proof {
        Proof::of(false, Bytes::copy_from_slice(answer))
    }

    #[test]
    fn only_the_password_of_the_user_is_admitted() {
        let login = AdminLogin::new("admin", "right");
        let salt = challenge().unwrap();
        let right = answer("right", &salt);
        assert!(login.admits(b"admin", &salt, &native(&right)));
        assert!(!login.admits(b"root", &salt, &native(&right)));
        assert!(!login.admits(b"admin", &challenge().unwrap(), &native(&right)));
        assert!(!login.admits(b"admin", &salt, &native(&answer("wrong", &salt))));
        for bad in [&b""[..], &right[..19], &[&right[..], b"x"].concat()] {
            assert!(!login.admits(b"admin", &salt, &native(bad)));
        }
        assert!(!format!("{login:?}").contains("digest"));
    }

    #[test]
    fn the_answers_are_those_of_the_plugins() {
        // The implementation of mysql_common, which real clients use.
        let salt = *b"0123456789abcdefghij";
        let login = AdminLogin::new("a", "right");
        let known = mysql_common::scramble::scramble_native(&salt, b"right").unwrap();
        assert_eq!(answer("right", &salt), known);
        assert!(login.admits(b"a", &salt, &native(&known)));
        let known = mysql_common::scramble::scramble_sha256(&salt, b"right").unwrap();
        let sha2 = |answer: &[u8]| Proof::of(true, Bytes::copy_from_slice(answer));
        assert!(login.admits(b"a", &salt, &sha2(&known)));
        let wrong = mysql_common::scramble::scramble_sha256(&salt, b"wrong").unwrap();
        for bad in [&b""[..], &wrong, &known[..31]] {
            assert!(!login.admits(b"a", &salt, &sha2(bad)));
        }
    }

    #[test]
    fn a_challenge_has_no_byte_that_clients_misread() {
        for _ in 0..50 {
            let salt = challenge().unwrap();
            assert!(
                salt.iter()
                    .all(|byte| byte.is_ascii_graphic() && *byte != b'$')
            );
        }
    }
}
