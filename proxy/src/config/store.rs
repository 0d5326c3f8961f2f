//! Selection of the store: an external server or an embedded one.

use super::error::{ConfigError, value};
use crate::account::{AddressError, StoreAddress};
use std::path::PathBuf;

/// The store to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// An external server.
    External(StoreAddress),
    /// A private server run by the proxy.
    Embedded {
        /// Its data directory.
        data_dir: PathBuf,
    },
}

/// Resolves the store. One given by flag or environment replaces one in the file, of whichever
/// kind.
pub(super) fn store(
    flags: (Option<StoreAddress>, Option<PathBuf>),
    (url, data_dir): (Option<&str>, Option<PathBuf>),
) -> Result<StoreConfig, ConfigError> {
    let in_file = url
        .map(str::parse)
        .transpose()
        .map_err(|error: AddressError| value("store", error.to_string()))?;
    let pair = |store: Option<StoreAddress>, data_dir: Option<PathBuf>| match (store, data_dir) {
        (Some(_), Some(_)) => Err(ConfigError::TwoStores),
        (Some(store), None) => Ok(StoreConfig::External(store)),
        (None, Some(data_dir)) => Ok(StoreConfig::Embedded { data_dir }),
        (None, None) => Err(ConfigError::NoStore),
    };
    match pair(flags.0, flags.1) {
        Err(ConfigError::NoStore) => pair(in_file, data_dir),
        decided => decided,
    }
}
