//! Planning of a whole statement, as a conversation with the store: [`Planning`] sends questions,
//! reads the replies and builds a [`Plan`](crate::plan::Plan).
//!
//! ```text
//! stream:       describe ─► constants ─► rows ─► classes, decide (each prediction)
//!               ─► estimate (EXPLAIN)
//! materialise:  describe ─► fit (each harvest) ─► rows, classes, decide (each target)
//!               ─► estimates (EXPLAIN)
//! ```

mod classes;
mod condition;
mod draft;
mod estimate;
mod fetching;
mod fit;
mod materialise;
mod physical;
mod session;
mod statement;
mod stream;
mod widening;

pub use physical::{Choosing, Forced, Physical};
pub use session::{Bound, Context, PlanSession};
pub use statement::Planning;
pub use widening::{Breadth, Widened, Widening};
