//! Per-class values of expressions over a prediction, computed by the store, and the distinctions
//! that follow from them.

use crate::distinctions::Distinctions;
use crate::exchange::{Failure, Layout, Reply};
use crate::plan::ByClass;
use crate::planner::ordering::Known;
use crate::refusal::Refusal;
use crate::stream::{ClassQuery, StreamSelect};

/// Reads the reply to a class query, and the encodings of its cells.
pub(super) fn read(
    query: &ClassQuery,
    outcomes: usize,
    reply: Reply,
) -> Result<(ByClass, Vec<Layout>), Failure> {
    let answer = reply.rows()?;
    let mut by_class = ByClass {
        cells: query.cells.iter().map(|&cell| (cell, Vec::new())).collect(),
        tests: query.tests.iter().map(|&test| (test, Vec::new())).collect(),
    };
    for (row, values) in answer.rows.iter().enumerate() {
        for ((_, of_cell), value) in by_class.cells.iter_mut().zip(values) {
            of_cell.push(value.clone());
        }
        for (i, (_, passes)) in by_class.tests.iter_mut().enumerate() {
            passes.push(answer.text(row, query.cells.len() + i).as_deref() == Some("1"));
        }
    }
    check_outcomes(answer.rows.len(), outcomes)?;
    let layouts = answer.columns.iter().map(|c| c.layout).collect();
    Ok((by_class, layouts))
}

/// The values of each outcome as text, by outcome.
pub(super) fn signatures(
    outcomes: usize,
    reply: Reply,
) -> Result<Vec<Vec<Option<String>>>, Failure> {
    let answer = reply.rows()?;
    let columns = answer.columns.len();
    let values = |row| {
        (0..columns)
            .map(|column| answer.text(row, column))
            .collect()
    };
    check_outcomes(answer.rows.len(), outcomes)?;
    Ok((0..answer.rows.len()).map(values).collect())
}

fn check_outcomes(answered: usize, outcomes: usize) -> Result<(), Refusal> {
    match answered == outcomes {
        true => Ok(()),
        false => Err(Refusal::internal(
            "the store did not answer for every class",
        )),
    }
}

/// The partition of the outcomes by all these values; a single block if there are none. Outcomes
/// whose rows are dropped share a block, since their cells are never sent.
pub(super) fn distinctions(
    by_class: &ByClass,
    select: &StreamSelect<'_, '_>,
    outcomes: usize,
) -> Distinctions {
    Distinctions::from_signatures((0..outcomes).map(|outcome| {
        let cells = by_class.cells.iter();
        let cells: Vec<_> = cells.map(|(_, values)| values.get(outcome)).collect();
        let known = known(by_class, select, outcome);
        let is_dropped = select.condition().passes(&known) == Some(false);
        (!is_dropped).then_some((cells, known))
    }))
}

/// Whether rows with that outcome may be kept.
pub(super) fn passes(by_class: &ByClass, select: &StreamSelect<'_, '_>, outcome: usize) -> bool {
    let known = known(by_class, select, outcome);
    select.condition().passes(&known) != Some(false)
}

/// For an outcome, the truth value of each test of the condition.
fn known(by_class: &ByClass, select: &StreamSelect<'_, '_>, outcome: usize) -> Vec<Known> {
    let mut known: Vec<Known> = vec![None; select.tests().len()];
    for (test, passes) in &by_class.tests {
        if let Some(known) = known.get_mut(*test) {
            *known = passes.get(outcome).map(|passes| Some(*passes));
        }
    }
    known
}
