//! The proxy: wire protocol, sessions, the predict lane, the embedded store, configuration.

pub mod account;
pub mod admin;
pub mod admin_login;
pub mod admission;
pub mod config;
pub mod ddl;
pub mod demo;
pub mod embedded;
pub mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod init;
pub mod lane;
pub mod live;
pub mod metrics;
pub mod observed;
pub mod open_files;
pub mod predict;
pub mod relay;
pub mod reload;
pub mod serve;
pub mod session_end;
mod shared_limits;
pub mod stop;
pub mod tls;
pub mod wire;
pub mod worker;
