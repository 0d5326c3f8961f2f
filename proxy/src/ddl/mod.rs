//! Executes catalog statements: changes of tasks and models as the service account, `SHOW` as
//! plain SELECTs in the user's own session.
//!
//! A user may change the catalog if the user has the privilege to change its tables. The lane
//! prepares the probe statement of a [`Right`] in the user's session (which the store rejects with
//! error 1142 if the privilege is missing), and calls [`run`] only after it succeeded.

mod alter;
mod change;
mod context;
mod create;
mod described;
mod drop;
mod error;
mod image_roots;
mod rights;
mod show;
mod version;

pub use change::run;
pub use context::{DdlAnswer, DdlContext, Inspect};
pub use rights::Right;
pub use show::{ObservedSeconds, as_select, check_show};
