//! `--admin`: the live state of this proxy over the MySQL protocol, for operators' usual clients.
//!
//! It has its own user (`[admin]`), separate from the store's users. The protocol is implemented
//! by opensrv-mysql, which answers unknown commands with OK and is therefore used only here, never
//! in front of a store.

mod answer;
mod cap;
mod endpoint;
mod server;
mod shim;
pub(crate) mod statement;

pub use endpoint::Admin;
pub use server::serve;
