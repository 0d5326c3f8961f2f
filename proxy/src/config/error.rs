//! What can be wrong with settings.

use super::variables::{ADMIN_PASSWORD_VARIABLE, ROOT_PASSWORD_VARIABLE};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read settings from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings file is not TOML, or has a key or a value that is not known.
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
        /// What the system said.
        source: std::io::Error,
    },
    /// No store.
    #[error(
        "no store is named: give --store mysql://HOST:PORT, or --embedded for a private MariaDB"
    )]
    NoStore,
    /// Two stores.
    #[error("--store and --embedded exclude each other: give one")]
    TwoStores,
    /// An open door.
    #[error(
        "--embedded with --listen {listen} would let anyone on the network in as root: \
         listen on 127.0.0.1, or set a root password in {ROOT_PASSWORD_VARIABLE}"
    )]
    OpenToAll {
        /// The address asked for.
        listen: SocketAddr,
    },
    /// An admin endpoint that nobody could log in to.
    #[error(
        "--admin needs a password: set {ADMIN_PASSWORD_VARIABLE}, or password_file of [admin] in the settings file"
    )]
    AdminPassword,
    /// A value that cannot work.
    #[error("setting {name}: {reason}")]
    Value {
        /// The setting's name.
        name: &'static str,
        /// Why, and what would do.
        reason: String,
    },
}

/// A value that cannot work.
pub(super) fn value(name: &'static str, reason: String) -> ConfigError {
    ConfigError::Value { name, reason }
}
