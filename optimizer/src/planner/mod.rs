//! Planning: which models answer a prediction, in which stages and with which thresholds.
//!
//! [`decide()`] chooses among models whose votes on labelled rows are stored: the answers of any
//! set of models to these rows are computed, not assumed. Everything here is a pure function of
//! the statement, its constraints and the published data.
//!
//! ```text
//! blocks ─► projection of votes ─► greedy, refinement, branch and bound ─► cascades
//!           (replay)               (search, branch; frontier)              (pick)
//!        ─► certificate ─► plan
//!           (certificate)
//! ```

mod again;
mod answered;
mod assemble;
mod blocks;
mod branch;
pub mod calibrate;
mod cascades;
pub mod certificate;
mod choice;
mod cost;
mod decide;
mod deciding;
mod decision;
mod declared;
mod demands;
mod frontier;
mod limits;
mod measured;
pub mod ordering;
mod pick;
mod plan;
mod prior;
mod query;
mod replay;
mod rows;
mod search;
mod sequence;
mod settled;
mod thinning;
mod thresholds;
mod unmeasured;
mod unreachable;

#[cfg(test)]
mod tests;

pub use blocks::Blocks;
pub use branch::Gap;
pub use decide::{decide, replays_default};
pub use deciding::{Decide, Decided, Deciding, PredictionRequest, class_names};
pub use decision::{Decision, Leader, Stage, Voter};
pub use declared::{Declared, check_has_model};
pub use demands::{DEMANDS, Demands, WrongDemand};
pub use limits::Unplanned;
pub use plan::{Basis, Guarantee, Interval, Plan, Price, Reason, Rejected, StageEstimate};
pub use query::{Constraints, CostModel, DecisionKey, Estimate, Metric, Prior, Query, Strategy};
pub use replay::PLAN_ROWS_MAX;
pub use settled::Settled;
