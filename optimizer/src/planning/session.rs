//! The parts of a session and of its surroundings that a plan depends on.

use predictsql_catalog::{Snapshot, Task};

use super::physical::Forced;
use crate::exchange::{Method, Question};
use crate::planner::{Decide, Demands};
use crate::refusal::Refusal;
use crate::sql::clauses::{Limit, RowCount};
use crate::sql::fragment::Fragment;

/// A session as a plan depends on it.
#[derive(Debug, Clone, Default)]
pub struct PlanSession {
    /// Text of results arrives in UTF-8.
    pub results_utf8: bool,
    /// A value that does not fit its column is an error.
    pub is_strict: bool,
    /// `@@sql_select_limit`; `u64::MAX` for none.
    pub select_limit: u64,
    /// The physical plan that must answer.
    pub forced: Option<Forced>,
    /// Most bytes of an image.
    pub image_bytes_max: u64,
    /// The parameters of an execution; `None` where the statement came as text.
    pub parameters: Option<Vec<Bound>>,
}

/// A bound parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    /// Its value as a count of rows; `None` for NULL, negative numbers and others.
    pub integer: Option<u64>,
    /// Its value holds a NUL byte, as every image file does and no path.
    pub holds_nul: bool,
}

impl PlanSession {
    /// Most bytes in UTF-8 of a byte of results.
    pub fn growth(&self) -> u64 {
        // In UTF-8 a character has up to four bytes.
        if self.results_utf8 { 1 } else { 4 }
    }

    /// Whether a parameter holds a NUL byte.
    pub fn holds_nul(&self, parameter: usize) -> bool {
        let bound = self.parameters.as_ref().and_then(|p| p.get(parameter));
        bound.is_some_and(|bound| bound.holds_nul)
    }

    /// Whether the statement came with parameters, and its rows are binary.
    pub fn is_binary(&self) -> bool {
        self.parameters.is_some()
    }

    /// A question that is run in the statement's own protocol.
    pub(super) fn run(&self, text: Fragment) -> Question {
        let method = match self.is_binary() {
            true => Method::Execute,
            false => Method::Query,
        };
        Question { method, text }
    }

    /// A question that is run: a text without parameters needs no preparing.
    pub(super) fn ask(&self, text: Fragment) -> Question {
        match text.parameters.is_empty() {
            true => Question {
                method: Method::Query,
                text,
            },
            false => self.run(text),
        }
    }

    /// (rows to skip, rows at most)
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

/// All that a plan depends on besides the statement and the store's replies.
#[derive(Clone, Copy)]
pub struct Context<'d> {
    /// The session.
    pub session: &'d PlanSession,
    /// The statement's and session's demands on plans.
    pub demands: &'d Demands,
    /// The catalog that the statement was read against.
    pub catalog: &'d Snapshot,
    /// Decides which models answer.
    pub decide: &'d (dyn Decide + Sync),
}

impl Context<'_> {
    /// Whether plans depend on how many inputs there are.
    pub(super) fn counts_rows(&self, task: &Task) -> bool {
        let demands = self.demands.clone().or(Demands::of_task(task));
        demands.max_seconds.is_some() || demands.max_cost.is_some()
    }
}
