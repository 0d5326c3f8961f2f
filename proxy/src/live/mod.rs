//! What goes on now: the sessions and the predict statements that they run,
//! for operators to see and end.
//!
//! A session writes here without locks while it runs (one relaxed store for each time it is
//! polled); locks are taken when it begins, when it ends, when a predict statement begins or ends,
//! and when somebody looks.

mod activity;
mod idle;
mod idle_watch;
mod lock;
mod registry;
mod session;
mod slow;
mod statement;

pub use activity::Activity;
pub use idle::IDLE_SWEEP_PERIOD;
pub use registry::{Live, SessionGuard};
pub use session::{Session, StatementGuard};
pub use slow::SlowLog;
pub use statement::{Phase, Statement};

#[cfg(test)]
mod tests;
