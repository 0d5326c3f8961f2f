//! Authentication of the admin endpoint: one user, `mysql_native_password`.

use sha1::{Digest, Sha1};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use subtle::{Choice, ConstantTimeEq};

/// Length of a challenge and of its answer, in bytes.
pub const SCRAMBLE_BYTES: usize = 20;

/// Credentials of the admin endpoint's user.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminLogin {
    user: String,
    /// SHA1(SHA1(password)), as stored by servers.
    digest: [u8; SCRAMBLE_BYTES],
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
        }
    }

    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether `user` is correct and `answer` to the challenge `salt` proves the password. The
    /// answer is `SHA1(password) XOR SHA1(salt + SHA1(SHA1(password)))`. Takes the same time
    /// whatever is wrong.
    pub fn admits(&self, user: &[u8], salt: &[u8], answer: &[u8]) -> bool {
        let mut padded = [0; SCRAMBLE_BYTES];
        let whole = answer.len() == SCRAMBLE_BYTES;
        for (place, byte) in padded.iter_mut().zip(answer) {
            *place = *byte;
        }
        let mask = sha1(&[salt, &self.digest]);
        for (place, byte) in padded.iter_mut().zip(mask) {
            *place ^= byte;
        }
        let proven = sha1(&[&padded]).ct_eq(&self.digest);
        let known = user.ct_eq(self.user.as_bytes());
        (proven & known & Choice::from(u8::from(whole))).into()
    }
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

    #[test]
    fn only_the_password_of_the_user_is_admitted() {
        let login = AdminLogin::new("admin", "right");
        let salt = challenge().unwrap();
        let right = answer("right", &salt);
        assert!(login.admits(b"admin", &salt, &right));
        assert!(!login.admits(b"root", &salt, &right));
        assert!(!login.admits(b"admin", &challenge().unwrap(), &right));
        assert!(!login.admits(b"admin", &salt, &answer("wrong", &salt)));
        for bad in [&b""[..], &right[..19], &[&right[..], b"x"].concat()] {
            assert!(!login.admits(b"admin", &salt, bad));
        }
        assert!(!format!("{login:?}").contains("digest"));
    }

    #[test]
    fn the_answer_is_that_of_mysql_native_password() {
        // The implementation of mysql_common, which real clients use.
        let salt = *b"0123456789abcdefghij";
        let known = mysql_common::scramble::scramble_native(&salt, b"right").unwrap();
        assert_eq!(answer("right", &salt), known);
        assert!(AdminLogin::new("a", "right").admits(b"a", &salt, &known));
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
