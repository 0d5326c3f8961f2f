//! Errors in the settings.

use super::variables::{ADMIN_PASSWORD_VARIABLE, ROOT_PASSWORD_VARIABLE};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read settings from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The settings file is not TOML, or has an unknown key or an invalid value.
    #[error("settings file {}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        source: Box<toml::de::Error>,
    },
    /// A password file cannot be read.
    #[error("cannot read the password in {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// No store is configured.
    #[error(
        "no store is named: give --store mysql://HOST:PORT, or --embedded for a private MariaDB"
    )]
    NoStore,
    /// Two stores are configured.
    #[error("--store and --embedded exclude each other: give one")]
    TwoStores,
    /// An embedded store without a root password would be reachable from the network.
    #[error(
        "--embedded with --listen {listen} would let anyone on the network in as root: \
         listen on 127.0.0.1, or set a root password in {ROOT_PASSWORD_VARIABLE}"
    )]
    OpenToAll {
        /// The requested listen address.
        listen: SocketAddr,
    },
    /// The admin endpoint is enabled, but no login is possible.
    #[error(
        "--admin needs a password: set {ADMIN_PASSWORD_VARIABLE}, or password_file of [admin] in the settings file"
    )]
    AdminPassword,
    /// An invalid value.
    #[error("setting {name}: {reason}")]
    Value {
        /// The setting's name.
        name: &'static str,
        /// Why, and which values are valid.
        reason: String,
    },
}

/// An invalid value.
pub(super) fn value(name: &'static str, reason: String) -> ConfigError {
    ConfigError::Value { name, reason }
}
