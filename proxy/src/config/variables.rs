//! Environment variables of passwords.

/// That of the service account's.
pub(super) const SERVICE_PASSWORD_VARIABLE: &str = "PREDICTSQL_SERVICE_PASSWORD";
/// That of the admin endpoint's.
pub(super) const ADMIN_PASSWORD_VARIABLE: &str = "PREDICTSQL_ADMIN_PASSWORD";
/// That of the embedded store's root.
pub(super) const ROOT_PASSWORD_VARIABLE: &str = "PREDICTSQL_ROOT_PASSWORD";
