//! Environment variables for passwords.

/// Password of the service account.
pub(super) const SERVICE_PASSWORD_VARIABLE: &str = "PREDICTSQL_SERVICE_PASSWORD";
/// Password of the admin endpoint's user.
pub(super) const ADMIN_PASSWORD_VARIABLE: &str = "PREDICTSQL_ADMIN_PASSWORD";
/// Password of the embedded store's root user.
pub(super) const ROOT_PASSWORD_VARIABLE: &str = "PREDICTSQL_ROOT_PASSWORD";
