//! Hiding of passwords.

use serde::Serializer;

/// Serializes whether a password is set, in place of the password or of its file.
pub(super) fn hidden<T, S: Serializer>(
    password: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match password {
        Some(_) => serializer.serialize_str("(set)"),
        None => serializer.serialize_none(),
    }
}
