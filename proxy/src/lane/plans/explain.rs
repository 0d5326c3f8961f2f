//! EXPLAIN and ANALYZE of a statement with predict calls: its plan, and the measured execution.

mod actual;

use bytes::Bytes;
use predictsql_optimizer::explain::{Elapsed, Kept, Shown, WIDTH};
use predictsql_optimizer::statement::Explain;

use crate::lane::context::LaneContext;
use crate::lane::plans::ready::Ready;
use crate::lane::store::link::Protocol;
use crate::lane::store::result::{TextResult, text_column};
use crate::lane::turn::Turn;
use crate::predict::{CacheMode, Predictor};
use actual::Actual;
pub use actual::Ran;

/// The plan as rows of one column: one row per line, or a single row of JSON. Includes the
/// measurements of `ran`, if the statement was executed.
pub fn shown(
    context: &LaneContext,
    ready: &Ready<'_, '_>,
    how: Explain,
    elapsed: Option<Elapsed>,
    ran: Option<Ran<'_>>,
) -> Vec<String> {
    let costs = context.planner.costs();
    let kept: Vec<Kept> = ready.predictors.iter().map(kept).collect();
    let shown = Shown {
        plan: &ready.plan,
        kept: &kept,
        schema: context.schema.as_str(),
        costs,
        elapsed,
    };
    let seconds = elapsed.map(|elapsed| elapsed.seconds);
    let actual = ran.map(|ran| Actual {
        ran,
        ready,
        costs,
        seconds,
    });
    if how.json {
        let mut plan = shown.json();
        actual.iter().for_each(|actual| actual.add_to(&mut plan));
        return vec![plan.to_string()];
    }
    let mut lines = shown.lines();
    actual
        .iter()
        .for_each(|actual| actual.add_lines(&mut lines));
    lines
}

/// A prediction's use of cached outputs.
fn kept(predictor: &Predictor) -> Kept {
    let mode = predictor.cache_mode();
    Kept {
        mode: mode.map(CacheMode::name),
        looks_up: mode.is_some_and(|mode| mode != CacheMode::Off),
        hit_rate_so_far: predictor.hit_rate_so_far(),
    }
}

/// Writes the lines as a result set of one column.
pub fn write(
    turn: &mut Turn<'_>,
    how: Explain,
    shown: Vec<String>,
    protocol: &Protocol,
    warnings: u16,
) {
    let width = shown.iter().map(String::len).max().unwrap_or(0);
    let width = u32::try_from(width).unwrap_or(u32::MAX).max(WIDTH);
    let result = TextResult {
        columns: vec![text_column(how.column, width)],
        rows: shown.into_iter().map(|l| vec![Bytes::from(l)]).collect(),
    };
    let codec = protocol.codec();
    let status = turn.end_status(turn.status.flags());
    result.write(&mut turn.out, turn.capabilities, codec, status, warnings);
}
