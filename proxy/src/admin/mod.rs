//! `--admin`: the live state of this proxy as SQL, for the clients that operators have at hand.
//!
//! It has a user of its own (`[admin]`), apart from those of the store. opensrv-mysql speaks the
//! protocol; it answers commands that it does not know with OK,
//! which is why it stands here and never before a store.

mod answer;
mod cap;
mod endpoint;
mod server;
mod shim;
pub(crate) mod statement;

pub use endpoint::Admin;
pub use server::serve;
