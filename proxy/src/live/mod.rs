//! Current sessions and the predict statements they run, for operators to list and end.
//!
//! A running session writes here without locks (one relaxed store per poll). Locks are taken when
//! a session or a predict statement begins or ends, and by readers.

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
