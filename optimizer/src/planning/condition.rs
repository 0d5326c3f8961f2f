//! Static evaluation of a stream plan's condition: tests with the same truth value for all rows,
//! expected selectivity and cost of the others, and the order of their predictions.

use predictsql_catalog::Snapshot;

use super::draft::Draft;
use crate::planner::Estimate;
use crate::planner::ordering::{self, Known};
use crate::stream::{Decider, RowTest, ScoreTest, StreamSelect};

/// For each test, its truth value for all rows; `None` where it depends on the row.
pub(super) fn known_tests(
    select: &StreamSelect<'_, '_>,
    predictions: &[Draft],
    constants: &[Option<f64>],
) -> Vec<Known> {
    let by_class = |index: usize| {
        let mut tests = predictions.iter().flat_map(|p| &p.by_class.tests);
        let (_, passes) = tests.find(|(test, _)| *test == index)?;
        let first = *passes.first()?;
        passes.iter().all(|p| *p == first).then_some(Some(first))
    };
    let is_null = |place: &usize| constants.get(*place).copied().flatten().is_none();
    let tests = select.tests().iter().enumerate();
    tests
        .map(|(index, test)| match &test.decider {
            Decider::PerClass(_) => by_class(index),
            Decider::Score(_, _, ScoreTest::Compare(of))
            | Decider::Value(_, ScoreTest::Compare(of)) => {
                // A comparison with NULL is never true; a negated list of several comparisons may
                // be false.
                let never = !test.negated || of.len() == 1;
                (never && of.iter().any(|(_, place)| is_null(place))).then_some(Some(false))
            }
            _ => None,
        })
        .collect()
}

/// Whether a prediction is needed by a cell, or by a test that the condition still depends on.
pub(super) fn is_asked(select: &StreamSelect<'_, '_>, prediction: usize, known: &[Known]) -> bool {
    let mut tests = select.tests().iter().enumerate();
    select.cells().any(|cell| cell.prediction() == prediction)
        || tests.any(|(index, test)| {
            test.prediction() == Some(prediction) && select.condition().depends_on(index, known)
        })
}

/// Expected figures of each test: the share of rows that pass, by its models' votes on labelled
/// rows, and the prediction cost.
pub(super) fn expected_of(
    catalog: &Snapshot,
    select: &StreamSelect<'_, '_>,
    predictions: &[Draft],
    known: &[Known],
) -> Vec<ordering::Test> {
    let share = |index: usize, prediction: usize| {
        let draft = predictions.get(prediction)?;
        let task = &select.predictions().get(prediction)?.task;
        let (_, passes) = draft
            .by_class
            .tests
            .iter()
            .find(|(test, _)| *test == index)?;
        let statistics = catalog.statistics(&task.name);
        let plan = &draft.decided.plan;
        let passes = |outcome: u16| passes.get(usize::from(outcome)) == Some(&true);
        Some(ordering::share_passing(
            &plan.decision,
            statistics.map(|s| &**s),
            plan.prior.as_ref(),
            passes,
        ))
    };
    let expected = |(index, test): (usize, &RowTest)| {
        let said = known.get(index).copied().flatten();
        match (said, test.prediction()) {
            (Some(passes), _) => ordering::Test {
                share: Estimate::Exact(if passes == Some(true) { 1.0 } else { 0.0 }),
                seconds: Estimate::Exact(0.0),
            },
            (None, None) => ordering::Test {
                share: Estimate::Absent,
                seconds: Estimate::Exact(0.0),
            },
            (None, Some(prediction)) => ordering::Test {
                share: share(index, prediction).unwrap_or(Estimate::Absent),
                seconds: predictions
                    .get(prediction)
                    .map_or(Estimate::Absent, |draft| {
                        draft.decided.plan.seconds_per_input()
                    }),
            },
        }
    };
    select.tests().iter().enumerate().map(expected).collect()
}

/// The needed predictions that drop rows, in the order of their tests.
pub(super) fn deciding(
    select: &StreamSelect<'_, '_>,
    predictions: &[Draft],
    expected: &[ordering::Test],
) -> Vec<usize> {
    let mut deciding = Vec::new();
    for test in select.condition().order(expected) {
        let prediction = select.tests().get(test).and_then(RowTest::prediction);
        let is_needed = |p: &usize| predictions.get(*p).is_some_and(|draft| draft.needed);
        deciding.extend(prediction.filter(|p| is_needed(p) && !deciding.contains(p)));
    }
    deciding
}

/// For each prediction, the expected share of rows it is made for.
pub(super) fn reached(select: &StreamSelect<'_, '_>, expected: &[ordering::Test]) -> Vec<f64> {
    let expected = select.condition().expected(expected);
    let of = |prediction: usize| {
        let decides = |(test, _): &&(usize, f64)| {
            let test = select.tests().get(*test);
            test.and_then(RowTest::prediction) == Some(prediction)
        };
        let deciding = expected
            .made
            .iter()
            .filter(decides)
            .map(|(_, reach)| *reach);
        let fills = select.cells().any(|cell| cell.prediction() == prediction);
        let filling = if fills { expected.passing } else { 0.0 };
        deciding.fold(filling, f64::max)
    };
    (0..select.predictions().len()).map(of).collect()
}
