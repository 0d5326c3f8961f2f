//! The proxy: wire protocol, sessions, the predict lane, the embedded store, configuration.

pub mod account;
pub mod config;
pub mod ddl;
pub mod demo;
pub mod embedded;
pub mod error;
pub mod init;
pub mod lane;
pub mod relay;
pub mod serve;
pub mod wire;
