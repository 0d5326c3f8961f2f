//! Physical plans as values: the plan nodes that execute a statement.
//!
//! ```text
//! stream:       Scan ─► Spool ─► Predict ... ─► Filter ─► Project
//! materialise:  Relate ... ─► Rerun
//! ```

mod input;
mod node;

pub use input::{InputKind, bytes_asked, columns_key};
pub use node::{
    ByClass, Filter, FilterTest, Node, Plan, Predict, Prediction, Project, Relate, RelationForm,
    Rerun, Scan,
};
