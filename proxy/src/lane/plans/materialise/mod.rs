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
mod lookups;
mod relation;

use std::sync::Arc;

use predictsql_optimizer::materialise::{HarvestPass, Shape};
use predictsql_optimizer::planning::{Breadth, Forced, Widened, Widening};

use crate::error::{ErrorKind, SqlError};
use crate::lane::context::LaneContext;
use crate::lane::plans::answered::{Answered, Audience};
use crate::lane::plans::ready::Materialisation;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::temporary_tables::{TableNames, Tables};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{StoreLink, UNPREPARABLE};
use crate::lane::store::questions::Questions;
use crate::lane::turn::{Turn, check_not_interrupted};
use crate::live::{Phase, Statement};
use crate::predict::interrupted;
use crate::wire::StatusFlags;
use finish::Finished;
use harvest::Harvester;
use lookups::lookups;
use relation::Relation;

/// How often a statement whose keys were missing is tried before it gives up with error 1205.
const ATTEMPTS_MAX: usize = 8;

/// From this attempt on (counted from 0) both passes of an autocommit statement share a
/// transaction: others change its tables faster than it can follow. Never so under LOCK TABLES,
/// which START TRANSACTION would release: there nobody else changes them.
const SHARED_STATE_ATTEMPT: usize = 3;

/// Runs the statement and writes its whole answer, where somebody is to get it.
pub async fn run(
    turn: &mut Turn<'_>,
    context: &Arc<LaneContext>,
    plan: &Materialisation<'_, '_, '_>,
    running: &Statement,
    tables: &mut Tables,
    audience: Audience,
) -> Result<Answered, LinkError> {
    let cancel = running.cancel.child_token();
    let autocommit = turn.status.contains(StatusFlags::SERVER_STATUS_AUTOCOMMIT)
        && !turn.status.contains(StatusFlags::SERVER_STATUS_IN_TRANS);
    let diagnostics = Diagnostics::keeping(turn.store.warnings_kept);
    let session = turn.record;
    let (guard, legs) = turn.guarded();
    let store = legs.store;
    let work = async {
        let schema = context.schema.as_str();
        let mut names = tables.begin(store, schema).await?;
        let mut passes = Passes {
            harvester: Harvester {
                context,
                plan,
                running,
                cancel: &cancel,
                diagnostics: plan.ready.forewarned(diagnostics),
                members: Vec::new(),
            },
            relations: relations(plan, names.wanted),
            may_begin: autocommit,
            began: false,
        };
        let answered = passes.answer(store, &mut names).await;
        let finished = passes.end(store, answered).await?;
        if !plan.passes().changes_tables() && !plan.passes().fails_if_interrupted() {
            check_not_interrupted(session, running, &store.bounds).await?;
        }
        let row_count = match passes.began {
            true => Some(finished.row_count()?),
            false => None,
        };
        Ok((finished, row_count, passes.harvester.diagnostics))
    };
    let answered = guard.while_client_stays(work).await;
    cancel.cancel();
    let (finished, row_count, diagnostics) = answered?;
    finish::write(turn, running, finished, row_count, diagnostics, audience).await
}

/// Both passes of one statement.
struct Passes<'h, 'p, 's, 'a> {
    harvester: Harvester<'h, 'p, 's, 'a>,
    relations: Vec<Relation<'p>>,
    /// The session is in no transaction of its own.
    may_begin: bool,
    /// It is in one of ours.
    began: bool,
}

impl Passes<'_, '_, '_, '_> {
    /// Runs them as often as it takes, up to the answer of the second.
    async fn answer(
        &mut self,
        store: &mut StoreLink<'_>,
        names: &mut TableNames<'_>,
    ) -> Result<Finished, LinkError> {
        let plan = self.harvester.plan;
        let mut pass = HarvestPass::default();
        let mut breadth = Breadth::Block;
        let mut shapes: Vec<Shape> = plan.relates.iter().map(|r| r.shape.clone()).collect();
        if plan.passes().writes_file() {
            breadth = Breadth::Everything;
            shapes = self.widen(store, breadth).await?;
        }
        // A key was missing after all that these shapes find was there.
        let mut missed = false;
        for attempt in 0..ATTEMPTS_MAX {
            let before = self.keys();
            if attempt >= SHARED_STATE_ATTEMPT && self.may_begin && !self.began {
                self.begin(store).await?;
            }
            let mut found = true;
            if attempt > 0 || !plan.passes().is_empty_answer() {
                let relations = &mut self.relations;
                let harvester = &mut self.harvester;
                found = harvester
                    .harvest(store, relations, names, &shapes, pass)
                    .await?;
            }
            if missed && self.keys() == before {
                missed = false;
                breadth = breadth.next().ok_or_else(unfound)?;
                let wider = self.widen(store, breadth).await?;
                // The same rows, but others need not be known any more:
                // there is nothing to look for.
                let same = found && wider == shapes && breadth == Breadth::Members;
                shapes = wider;
                if !same {
                    continue;
                }
            }
            if !found {
                missed = true;
                continue;
            }
            let members = &self.harvester.members;
            let statement = plan.passes().run(&lookups(plan, &self.relations, members));
            let Harvester {
                context, running, ..
            } = self.harvester;
            if self.harvester.cancel.is_cancelled() {
                return Err(interrupted().into());
            }
            running.enter(Phase::Answering);
            match finish::run(store, context, plan, running, &statement).await? {
                Some(finished) => return Ok(finished),
                None if plan.passes().writes_file() => return Err(begun_file().into()),
                None => pass.locking = plan.passes().reads_current_rows(),
            }
            missed = true;
        }
        Err(SqlError::new(
            ErrorKind::LockWaitTimeout,
            "Rows changed faster than they could be predicted; try restarting the statement",
        )
        .into())
    }

    fn keys(&self) -> usize {
        self.relations.iter().map(Relation::keys).sum()
    }

    /// The shapes of harvests that look at more; from now on a missing key is no error where the
    /// members of its harvest are known, and the store takes the statement that asks for them.
    async fn widen(
        &mut self,
        store: &mut StoreLink<'_>,
        breadth: Breadth,
    ) -> Result<Vec<Shape>, LinkError> {
        let plan = self.harvester.plan;
        let (shapes, members) = widened(store, plan, breadth, true).await?;
        self.harvester.members.clear();
        if members.iter().all(Option::is_none) {
            return Ok(shapes);
        }
        let run = plan.passes().run(&lookups(plan, &self.relations, &members));
        match store.describe(&run.sql).await {
            Err(LinkError::End(end)) => return Err(LinkError::End(end)),
            Err(LinkError::Refused(error))
                if error.code == UNPREPARABLE || finish::is_missing_key(&error) => {}
            // Under LOCK TABLES, say, no table may be named once more.
            Err(_) => return Ok(widened(store, plan, breadth, false).await?.0),
            Ok(_) => {}
        }
        self.harvester.members = members;
        Ok(shapes)
    }

    /// A snapshot for reads; for changes, locks that keep others from adding rows.
    async fn begin(&mut self, store: &mut StoreLink<'_>) -> Result<(), LinkError> {
        store
            .command("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        store
            .command(match self.harvester.plan.passes().reads_current_rows() {
                true => "START TRANSACTION",
                false => "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            })
            .await?;
        self.began = true;
        Ok(())
    }

    /// Ends a transaction of ours, of which the client learns nothing.
    async fn end(
        &self,
        store: &mut StoreLink<'_>,
        answered: Result<Finished, LinkError>,
    ) -> Result<Finished, LinkError> {
        match answered {
            answered if !self.began => answered,
            Ok(finished) => {
                store.command("COMMIT").await?;
                Ok(finished.outside_transaction()?)
            }
            Err(LinkError::End(end)) => Err(LinkError::End(end)),
            Err(error) => {
                store.command("ROLLBACK").await?;
                Err(error)
            }
        }
    }
}

/// The shapes of harvests at a breadth, and their members where these are looked for and known.
async fn widened(
    store: &mut StoreLink<'_>,
    plan: &Materialisation<'_, '_, '_>,
    breadth: Breadth,
    with_members: bool,
) -> Result<Widened, LinkError> {
    let mut widening = Widening::new(plan.passes(), &plan.relates, breadth, with_members);
    let mut questions = Questions::new(store, &plan.ready.protocol);
    questions.converse(&mut widening).await
}

/// The relations of a plan, empty. `wanted` is the kind that is forced.
fn relations<'r>(plan: &Materialisation<'r, '_, '_>, wanted: Option<Forced>) -> Vec<Relation<'r>> {
    let rerun = plan.rerun;
    let copies = rerun.copies(&plan.relates);
    let relations = rerun.relations.iter().filter_map(|of| {
        let target = rerun.target(of)?;
        Some(Relation::new(
            target,
            (of.form, of.key_bytes),
            copies,
            wanted,
        ))
    });
    relations.collect()
}

fn begun_file() -> SqlError {
    SqlError::new(
        ErrorKind::LockWaitTimeout,
        "An input appeared that was not there when inputs were predicted; remove the file that the \
         statement has begun, and try again",
    )
}

fn unfound() -> SqlError {
    SqlError::unsupported(
        "predictions whose inputs cannot be found before the statement runs: they depend on what it \
         computes, or a view drops rows by conditions of its own where it may not be named once more (under LOCK \
         TABLES)",
    )
}
