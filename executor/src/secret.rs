//! Private keys.

use std::fmt;

/// A private key in PEM, which is not shown.
#[derive(Clone)]
pub struct SecretPem(pub Vec<u8>);

impl fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPem")
    }
}
