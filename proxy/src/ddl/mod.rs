//! Runs catalog statements: changes of tasks and models by the service account, `SHOW` as
//! plain SELECTs for the user's own session.
//!
//! The user's right to change the catalog is the right to change its tables. The lane has the
//! user's session prepare the probe of a [`Right`] (which the store refuses with error 1142 where
//! the right is missing) and calls [`run`] only then.

mod alter;
mod change;
mod context;
mod create;
mod drop;
mod error;
mod rights;
mod show;
mod version;

pub use change::run;
pub use context::{DdlAnswer, DdlContext, Inspect};
pub use rights::Right;
pub use show::{as_select, check_show};
