//! Runs a materialise plan: inputs are harvested and predicted, their answers given to the session
//! as relations, and the statement itself run with a lookup in place of each call.
//!
//! ```text
//! probe ─► harvest ─► spool ─► executor ─► relation ─► pass 2 ─► spool ─► client
//!             ▲                                           │
//!             └── a key was missing: harvest what is new ◄┘
//! ```
//!
//! Pass 2 alone decides the answer, as one statement of the session with the state that it finds.
//! Its rows wait in a spool until its end is known, since a missing key ends it in mid-result.
//! Nothing runs after it: ROW_COUNT(), FOUND_ROWS() and the warnings are what it left. The
//! relations' temporary tables are dropped before the session's next such statement.

mod finish;
mod harvest;
pub(super) mod ready;
mod relation;

use std::sync::Arc;

use predictsql_optimizer::materialise::{HarvestPass, Lookup, Shape};
use tokio_util::sync::CancellationToken;

use super::diagnostics::Diagnostics;
use super::store_link::{LinkError, StoreLink};
use super::stream::watch;
use super::{LaneContext, Turn};
use crate::error::SqlError;
use crate::live::Statement;
use crate::relay::SessionEnd;
use finish::Finished;
use harvest::Harvester;
use ready::{Breadth, ReadyPlan};
use relation::{Relation, TableNames};

pub use relation::Tables;

/// How often a statement whose keys were missing is tried before it gives up with error 1205.
const ATTEMPTS_MAX: usize = 8;

/// Runs the statement and writes its whole answer. `None`: the diagnostics are the store's.
pub async fn run(
    turn: &mut Turn<'_>,
    context: &Arc<LaneContext>,
    ready: &ReadyPlan<'_, '_, '_>,
    running: &Statement,
    tables: &mut Tables,
) -> Result<Option<Diagnostics>, LinkError> {
    let cancel = running.cancel.child_token();
    let work = async {
        let mut names = tables
            .begin(&mut turn.store, context.schema.as_str())
            .await?;
        answer(
            &mut turn.store,
            context,
            ready,
            running,
            &cancel,
            &mut names,
        )
        .await
    };
    let (mut reader, _writer) = tokio::io::split(&mut *turn.client);
    let answered = tokio::select! {
        biased;
        answered = work => answered,
        end = watch(&mut reader, turn.read_ahead) => Err(LinkError::End(end)),
        () = turn.stop.cancelled() => Err(LinkError::End(SessionEnd::Stopped)),
    };
    cancel.cancel();
    let (finished, diagnostics) = answered?;
    finish::write(turn, running, finished, diagnostics).await
}

/// Both passes, up to the answer of the second.
async fn answer(
    store: &mut StoreLink<'_>,
    context: &Arc<LaneContext>,
    ready: &ReadyPlan<'_, '_, '_>,
    running: &Statement,
    cancel: &CancellationToken,
    names: &mut TableNames<'_>,
) -> Result<(Finished, Diagnostics), LinkError> {
    let mut harvester = Harvester {
        context,
        ready,
        running,
        cancel,
        diagnostics: ready.uncovered_classes(),
        models: vec![None; ready.plan.targets().len()],
        images: 0,
    };
    let mut relations: Vec<Relation<'_>> = ready.relations(names.wanted);
    let mut pass = HarvestPass::default();
    let mut breadth = Breadth::Block;
    let mut shapes: Vec<Shape> = ready.harvests.iter().map(|h| h.shape.clone()).collect();
    for attempt in 0..ATTEMPTS_MAX {
        let before: usize = relations.iter().map(Relation::keys).sum();
        if attempt > 0 || !ready.plan.is_empty_answer() {
            harvester
                .harvest(store, &mut relations, names, &shapes, pass)
                .await?;
        }
        let found: usize = relations.iter().map(Relation::keys).sum();
        if attempt > 0 && found == before {
            breadth = match breadth {
                Breadth::Block => Breadth::Unjoined,
                Breadth::Unjoined => Breadth::Everything,
                Breadth::Everything => return Err(unfound().into()),
            };
            shapes = ready::widened(store, ready, breadth).await?;
            continue;
        }
        let statement = ready.plan.run(&lookups(ready, &relations));
        match finish::run(store, context, ready, running, &statement).await? {
            Some(finished) => return Ok((finished, harvester.diagnostics)),
            None => pass.locking = ready.plan.reads_current_rows(),
        }
    }
    Err(SqlError::new(
        1205,
        "HY000",
        "Rows changed faster than they could be predicted; try restarting the statement",
    )
    .into())
}

/// Where each harvest's calls find their answers.
fn lookups(ready: &ReadyPlan<'_, '_, '_>, relations: &[Relation<'_>]) -> Vec<Lookup> {
    let lookup = |h: &ready::ReadyHarvest| Lookup {
        form: h.form,
        relation: relations
            .get(h.relation)
            .map(Relation::source)
            .unwrap_or_default(),
        shape: h.shape.clone(),
    };
    ready.harvests.iter().map(lookup).collect()
}

fn unfound() -> SqlError {
    SqlError::unsupported(
        "predictions whose inputs cannot be found before the statement runs: they depend on what it \
         computes, or come from a view over predictions",
    )
}
