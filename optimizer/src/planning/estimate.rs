//! The store's row estimate of a query.

use super::session::PlanSession;
use crate::exchange::{Failure, Question, Reply};
use crate::sql::fragment::Fragment;

/// Asks for the row estimate of a query, before LIMIT.
pub(super) fn question(session: &PlanSession, query: &Fragment) -> Question {
    session.run(Fragment {
        sql: format!("EXPLAIN EXTENDED {}", query.sql),
        parameters: query.parameters.clone(),
    })
}

/// Reads the estimate; `None` where the store has or shows none, or the rows are binary.
pub(super) fn rows(session: &PlanSession, reply: Reply) -> Result<Option<f64>, Failure> {
    let answer = match reply {
        Reply::Refused(refusal) if refusal.hides_plan() => return Ok(None),
        reply => reply.rows()?,
    };
    let (Some(id), Some(rows), filtered) = (
        answer.column("id"),
        answer.column("rows"),
        answer.column("filtered"),
    ) else {
        return Ok(None);
    };
    if session.is_binary() {
        return Ok(None);
    }
    let mut estimate = 1.0;
    for row in 0..answer.rows.len() {
        if answer.text(row, id).as_deref() != Some("1") {
            continue;
        }
        let number = |column| answer.text(row, column).and_then(|t| t.parse::<f64>().ok());
        if let Some(rows) = number(rows) {
            estimate *= rows;
        }
        if let Some(percent) = filtered.and_then(number) {
            estimate *= percent / 100.0;
        }
    }
    Ok(Some(estimate))
}
