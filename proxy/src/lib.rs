//! The proxy: wire protocol, sessions, the predict lane, the embedded store, configuration.

pub mod account;
pub mod config;
pub mod ddl;
pub mod demo;
pub mod embedded;
pub mod error;
pub mod init;
#[path = "lane_stub.rs"] // until lane/mod.rs compiles: then `pub mod lane;`
pub mod lane;
pub mod relay;
pub mod serve;
pub mod wire;
