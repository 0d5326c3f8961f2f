//! Settings: read from file, environment and flags, then resolved and checked. No address is bound
//! before all settings are valid.
//!
//! Precedence: flag, environment variable, file, default.

mod accounts;
mod args;
mod cache;
mod checked;
mod endpoint;
mod error;
mod executor;
mod file;
mod lane;
mod limits;
mod logins;
mod over;
mod paths;
mod planner;
mod secret;
mod shown;
mod slow;
mod store;
mod tls;
mod variables;
mod workers;

pub use accounts::{AdminConfig, ServiceLogin};
pub use args::ServeArgs;
pub(crate) use args::root;
pub use cache::CacheConfig;
pub use checked::Config;
pub use endpoint::{Endpoint, EndpointError};
pub use error::ConfigError;
pub(crate) use executor::{ExecutorFile, take as take_executor};
pub use lane::LaneConfig;
pub use limits::LimitsConfig;
pub use logins::LoginLimits;
pub use planner::PlannerConfig;
pub use store::StoreConfig;
pub use tls::{ClientTlsArgs, ClientTlsConfig, StoreTlsArgs};
pub use workers::WorkersSettings;
pub(crate) use workers::read_pem;

#[cfg(test)]
mod tests;
