//! Statement analysis and model planning of PredictSQL.
//!
//! Pure: no I/O, no async, no clock. The same text, catalog and store replies give the same plan.
//! [`statement`] finds predict calls; [`stream`] and [`materialise`] analyse the statement for the
//! two kinds of plan and build the statements sent to the store; [`planner`] chooses the models.
//! [`planning`] exchanges questions and replies with the store ([`exchange`]) and builds a
//! [`plan`]; [`explain`] renders it; [`schedule`] sets the batch sizes of its execution.

pub mod ddl;
pub mod distinctions;
pub mod exchange;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod last_statement;
pub mod materialise;
pub mod plan;
pub mod planner;
pub mod planning;
mod refusal;
pub mod schedule;
mod sql;
pub mod statement;
pub mod stream;
pub mod views;

pub use refusal::{Refusal, RefusalKind};
pub use sql::LexMode;
pub use sql::bare;
pub use sql::calls::may_call_newer_task;
pub use sql::clauses::{Limit, RowCount};
pub use sql::fragment::{Fragment, quote_name, quote_string};
pub use sql::functions::may_leave_traces;
pub use sql::heads;
pub use sql::key::{ColumnsKey, TOO_LONG_MARK};
pub use sql::labels::LabelCollation;
pub use sql::literals;
pub use sql::mask::mask_literals;
pub use sql::prefilter;
pub use sql::scan;
