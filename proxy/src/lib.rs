//! The proxy.
pub mod embedded;
pub mod account;
pub mod error;

pub mod wire;
