//! The proxy: wire protocol, sessions, the predict lane, the embedded store, configuration.

pub mod account;
pub mod embedded;
pub mod error;
pub mod wire;
