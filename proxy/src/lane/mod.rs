//! The predict lane: answers the statements that the proxy does not forward to the store.
//!
//! The router sends a command here if it may contain a predict call ([`Lane::route`]: a prefilter,
//! then a check of the tokens), if it is a catalog statement, or if it executes a statement that
//! was prepared here. The lane reads user data only on the client's own store connection; when the
//! lane returns, the store connection is idle again.
//!
//! [`statements`] has one file per kind of statement. [`plans`] plans, runs and explains predict
//! statements. [`session`] holds the session state before and after a statement. [`store`] is the
//! store connection that the lane's own statements use.

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
