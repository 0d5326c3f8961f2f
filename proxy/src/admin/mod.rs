//! `--admin`: the live state of this proxy over the MySQL protocol, for operators' usual clients.
//!
//! It has its own user (`[admin]`), separate from the store's users. It answers what clients ask
//! when they connect, too: variables, settings, lists of a server. The grammar is that of
//! `statement` and `expression`; what is not understood is an error that says what is.

mod cursor;
mod encode;
mod endpoint;
mod expression;
mod facts;
mod functions;
mod handshake;
mod lexer;
mod lists;
mod prepared;
mod refusal;
mod server;
mod session;
pub(crate) mod statement;
mod table;
mod value;
mod variables;

pub use endpoint::Admin;
pub use server::serve;
