//! Where the data is: a store that runs already, or one of the proxy's own.

use super::error::{ConfigError, value};
use crate::account::{AddressError, StoreAddress};
use std::path::PathBuf;

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A server that runs already.
    External(StoreAddress),
    /// A private server of the proxy.
    Embedded {
        /// Its directory.
        data_dir: PathBuf,
    },
}

/// A store named by flag or environment replaces one that the file names, whichever kind.
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
