//! The session state and environment that a plan depends on.

use predictsql_catalog::{Snapshot, Task};

use super::physical::Forced;
use crate::exchange::{Method, Question};
use crate::planner::{Decide, Demands};
use crate::refusal::Refusal;
use crate::sql::clauses::{Limit, RowCount};
use crate::sql::fragment::Fragment;

/// The session state that a plan depends on.
#[derive(Debug, Clone, Default)]
pub struct PlanSession {
    /// Whether result text arrives in UTF-8.
    pub results_utf8: bool,
    /// Whether string literals are binary (`SET NAMES binary`): a location is written so, too.
    pub literals_binary: bool,
    /// Whether a value that does not fit its column is an error (strict SQL mode).
    pub is_strict: bool,
    /// `@@sql_select_limit`; `u64::MAX` for none.
    pub select_limit: u64,
    /// The forced physical plan, if any.
    pub forced: Option<Forced>,
    /// Maximum image size in bytes.
    pub image_bytes_max: u64,
    /// The bound parameters of a prepared statement; `None` for a text statement.
    pub parameters: Option<Vec<Bound>>,
}

/// A bound parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    /// Its value as a row count; `None` for NULL, negative numbers and non-integers.
    pub integer: Option<u64>,
    /// Whether its value contains a NUL byte: every image file does, and no path.
    pub holds_nul: bool,
}

impl PlanSession {
    /// Maximum number of UTF-8 bytes per byte of result text.
    pub fn growth(&self) -> u64 {
        // A UTF-8 character takes up to four bytes.
        if self.results_utf8 { 1 } else { 4 }
    }

    /// Whether a parameter contains a NUL byte.
    pub fn holds_nul(&self, parameter: usize) -> bool {
        let bound = self.parameters.as_ref().and_then(|p| p.get(parameter));
        bound.is_some_and(|bound| bound.holds_nul)
    }

    /// Whether this is the execution of a prepared statement, with binary rows.
    pub fn is_binary(&self) -> bool {
        self.parameters.is_some()
    }

    /// A question that is executed in the statement's own protocol.
    pub(super) fn run(&self, text: Fragment) -> Question {
        let method = match self.is_binary() {
            true => Method::Execute,
            false => Method::Query,
        };
        Question { method, text }
    }

    /// A question that is executed: by the text protocol if the text has no parameters.
    pub(super) fn ask(&self, text: Fragment) -> Question {
        match text.parameters.is_empty() {
            true => Question {
                method: Method::Query,
                text,
            },
            false => self.run(text),
        }
    }

    /// (rows to skip, maximum rows)
    pub(super) fn limits(&self, limit: Option<Limit>) -> Result<(u64, u64), Refusal> {
        let Some(limit) = limit else {
            return Ok((0, self.select_limit));
        };
        let count = |count: RowCount| match (count, &self.parameters) {
            (RowCount::Number(n), _) => Ok(n),
            (RowCount::Parameter(n), Some(parameters)) => {
                let count = parameters.get(n).and_then(|bound| bound.integer);
                count.ok_or_else(|| Refusal::argument("LIMIT", "a parameter is not a row count"))
            }
            (RowCount::Parameter(_), None) => Err(Refusal::syntax("A parameter in a query")),
        };
        Ok((count(limit.offset)?, count(limit.rows)?))
    }
}

/// Everything a plan depends on besides the statement and the store's replies.
#[derive(Clone, Copy)]
pub struct Context<'d> {
    /// The session.
    pub session: &'d PlanSession,
    /// The demands of statement and session on plans.
    pub demands: &'d Demands,
    /// The catalog snapshot that the statement was parsed against.
    pub catalog: &'d Snapshot,
    /// Chooses the models.
    pub decide: &'d (dyn Decide + Sync),
}

impl Context<'_> {
    /// Whether the choice of models depends on the number of inputs.
    pub(super) fn counts_rows(&self, task: &Task) -> bool {
        let demands = self.demands.clone().or(Demands::of_task(task));
        demands.max_seconds.is_some() || demands.max_cost.is_some()
    }
}
