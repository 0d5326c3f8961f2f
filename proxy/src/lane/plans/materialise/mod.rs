//! Runs a materialise plan: it harvests and predicts the inputs (pass 1), makes the answers
//! available in the session as relations, and runs the statement with a lookup in place of each
//! predict call (pass 2).
//!
//! ```text
//! probe ─► harvest ─► spool ─► executor ─► relation ─► pass 2 ─► spool ─► client
//!             ▲                                           │
//!             └── a key was missing: harvest what is new ◄┘
//! ```
//!
//! Pass 2 alone determines the answer: it is one statement, which sees the session state at its
//! start. Its rows are buffered in a spool until it has ended, since a missing key makes it fail
//! in mid-result. No statement runs after it, so ROW_COUNT(), FOUND_ROWS() and the warnings are
//! its own. The temporary tables of the relations are dropped before the session's next such
//! statement.

mod finish;
mod harvest;
mod lookups;
mod relation;

use std::sync::Arc;

use predictsql_optimizer::materialise::{HarvestPass, Shape, UNREAD_CODE};
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

/// Maximum number of attempts for a statement with missing keys; then it fails with error 1205.
const ATTEMPTS_MAX: usize = 8;

/// From this attempt on (counted from 0), both passes of an autocommit statement share a
/// transaction, since other sessions change its tables faster than new keys are harvested. Not
/// under LOCK TABLES, which START TRANSACTION would release: no other session changes the tables
/// then.
const SHARED_STATE_ATTEMPT: usize = 3;

/// Runs the statement and writes its whole answer, if `audience` is the client.
pub async fn run(
    turn: &mut Turn<'_>,
    context: &Arc<LaneContext>,
    plan: &Materialisation<'_, '_, '_>,
    running: &Statement,
    tables: &mut Tables,
    audience: Audience,
) -> Result<Answered, LinkError> {
    let cancel = running.cancel.child_token();
    let autocommit = turn
        .status
        .flags()
        .contains(StatusFlags::SERVER_STATUS_AUTOCOMMIT)
        && !turn
            .status
            .flags()
            .contains(StatusFlags::SERVER_STATUS_IN_TRANS);
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
                spares_unread: true,
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
    /// Whether the lane may begin a transaction: the session is in autocommit mode and in no
    /// transaction.
    may_begin: bool,
    /// Whether the lane has begun a transaction.
    began: bool,
}

impl Passes<'_, '_, '_, '_> {
    /// Repeats both passes until pass 2 finds all keys; returns its answer.
    async fn answer(
        &mut self,
        store: &mut StoreLink<'_>,
        names: &mut TableNames<'_>,
    ) -> Result<Finished, LinkError> {
        let plan = self.harvester.plan;
        let mut pass = HarvestPass::default();
        let (mut breadth, mut shapes) = self.first_shapes(store).await?;
        // With the current shapes, a pass has looked up a key that no harvest had found.
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
            let spared = self.harvester.spares_any();
            self.harvester.spares_unread = false;
            if missed && self.keys() == before {
                missed = false;
                breadth = breadth.next().ok_or_else(unfound)?;
                let wider = self.widen(store, breadth).await?;
                // Only the treatment of missing keys has changed; the same shapes find no new
                // keys, so another harvest is not needed.
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
            match self.run(store, spared).await? {
                Some(finished) => return Ok(finished),
                None if plan.passes().writes_file() => return Err(begun_file().into()),
                None => {
                    if let Some(once) = plan.passes().changes_once() {
                        return Err(begun_once(once).into());
                    }
                    pass.locking = plan.passes().reads_current_rows();
                }
            }
            missed = true;
        }
        Err(SqlError::new(
            ErrorKind::LockWaitTimeout,
            "Rows changed faster than they could be predicted; try restarting the statement",
        )
        .into())
    }

    /// Runs pass 2; `None`: it needs answers that no harvest has found. `spared`: harvests were
    /// left out.
    async fn run(
        &mut self,
        store: &mut StoreLink<'_>,
        spared: bool,
    ) -> Result<Option<Finished>, LinkError> {
        let plan = self.harvester.plan;
        let lookups = lookups(plan, &self.relations, &self.harvester.members);
        let statement = match spared {
            true => plan.passes().run_without_unread(&lookups),
            false => plan.passes().run(&lookups),
        };
        let Harvester {
            context, running, ..
        } = self.harvester;
        if self.harvester.cancel.is_cancelled() {
            return Err(interrupted().into());
        }
        running.enter(Phase::Answering);
        match finish::run(store, context, plan, running, &statement).await {
            Err(LinkError::Refused(error)) if spared && error.code == UNREAD_CODE => Ok(None),
            ran => ran,
        }
    }

    /// Breadth and shapes of the first harvest.
    async fn first_shapes(
        &mut self,
        store: &mut StoreLink<'_>,
    ) -> Result<(Breadth, Vec<Shape>), LinkError> {
        let plan = self.harvester.plan;
        let breadth = match plan.passes().changes_once() {
            _ if plan.passes().writes_file() => Breadth::Everything,
            // It may not run again: keys of rows that cannot affect the result may be missing.
            Some(_) => Breadth::Members,
            None => {
                let shapes = plan.relates.iter().map(|r| r.shape.clone());
                return Ok((Breadth::Block, shapes.collect()));
            }
        };
        Ok((breadth, self.widen(store, breadth).await?))
    }

    fn keys(&self) -> usize {
        self.relations.iter().map(Relation::keys).sum()
    }

    /// The shapes of harvests with a wider breadth. From here on, a missing key is no error if the
    /// members of its harvest are known and the store accepts the statement that looks them up.
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
            // The store refuses the members: under LOCK TABLES, for example, a table may not be
            // named a second time.
            Err(_) => return Ok(widened(store, plan, breadth, false).await?.0),
            Ok(_) => {}
        }
        self.harvester.members = members;
        Ok(shapes)
    }

    /// Begins a transaction: with a snapshot for reads; for changes, with locks that prevent other
    /// sessions from adding rows.
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

    /// Ends the lane's transaction, which is invisible to the client.
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

/// The shapes of harvests at a breadth, and their members if `with_members` is set and they are
/// known.
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

/// Creates the empty relations of a plan. `wanted` is the kind of relation that is forced, if any.
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

fn begun_once(once: &str) -> SqlError {
    SqlError::unsupported(format_args!(
        "{once} in a statement of which an input was not there when inputs were predicted: it may \
         not run again; it was ended, and what it has changed besides tables stays changed"
    ))
}

fn unfound() -> SqlError {
    SqlError::unsupported(
        "predictions whose inputs cannot be found before the statement runs: they depend on what it \
         computes, or a view drops rows by conditions of its own where it may not be named once more (under LOCK \
         TABLES)",
    )
}
