//! The settings file as read: the only list of all settings.
//!
//! [`Config::as_typed`](super::Config::as_typed) returns the file equivalent to a configuration;
//! `SHOW CONFIG` lists its keys and values.

use super::accounts::{AdminFile, ServiceFile};
use super::cache::CacheFile;
use super::endpoint::Endpoint;
use super::error::ConfigError;
use super::executor::ExecutorFile;
use super::lane::LaneFile;
use super::limits::LimitsFile;
use super::planner::PlannerFile;
use super::secret::hidden;
use super::tls::{ClientTlsFile, StoreTlsFile};
use super::workers::WorkersFile;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The settings file as read.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub(super) listen: Option<SocketAddr>,
    pub(super) store: Option<String>,
    pub(super) embedded: Option<PathBuf>,
    pub(super) http: Option<Endpoint>,
    pub(super) schema: Option<String>,
    pub(super) runtimes: Option<usize>,
    pub(super) connections_max: Option<usize>,
    pub(super) connect_timeout_ms: Option<u64>,
    pub(super) login_seconds_max: Option<u64>,
    pub(super) logins_max_by_address: Option<usize>,
    pub(super) command_stall_seconds_max: Option<u64>,
    pub(super) idle_seconds_max: Option<u64>,
    pub(super) stop_seconds_max: Option<u64>,
    pub(super) store_stop_seconds_max: Option<u64>,
    pub(super) inspect_bytes_max: Option<usize>,
    pub(super) inspect_memory_bytes_max: Option<u64>,
    pub(super) inspect_disk_bytes_max: Option<u64>,
    pub(super) slow_query_ms: Option<u64>,
    pub(super) slow_query_literals: Option<bool>,
    /// Set only through the environment.
    #[serde(skip_deserializing, serialize_with = "hidden")]
    pub(super) root_password: Option<()>,
    pub(super) tls: ClientTlsFile,
    pub(super) store_tls: StoreTlsFile,
    pub(super) service: ServiceFile,
    pub(super) admin: AdminFile,
    pub(super) executor: ExecutorFile,
    pub(super) lane: LaneFile,
    pub(super) cache: CacheFile,
    pub(super) limits: LimitsFile,
    pub(super) planner: PlannerFile,
    pub(super) workers: WorkersFile,
}

/// Reads a settings file.
pub(super) fn read_file(path: &Path) -> Result<ConfigFile, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })
}
