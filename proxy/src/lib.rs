//! The proxy: wire protocol, sessions, the predict lane, the embedded store, configuration.

pub mod account;
pub mod demo;
pub mod embedded;
pub mod ddl;
pub mod init;
pub mod error;
pub mod relay;
pub mod wire;
