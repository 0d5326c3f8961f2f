//! The predict lane: answers the statements that the proxy does not leave to the store.
//!
//! A command comes here if it may hold a predict call ([`Lane::route`]'s prefilter and tokens), is
//! a catalog statement, or executes a statement prepared here. All reading of user data happens on
//! the client's own store connection; when the lane returns, the store is idle again.
//!
//! [`statements`] has a file a kind of statement, [`plans`] makes predict statements ready, runs
//! and shows them, [`session`] is what a statement finds and leaves, [`store`] the connection on
//! which all of it is done.

mod context;
mod plans;
mod router;
pub(crate) mod session;
pub(crate) mod statements;
pub(crate) mod store;
mod turn;

pub use context::LaneContext;
pub use session::lane::Lane;
pub use store::spool::{SpoolAccount, SpoolLimits};
