//! Answers a planned statement with its rows (execution), its plan (EXPLAIN), or its plan and the
//! measured execution (ANALYZE).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use predictsql_optimizer::explain::short;
use predictsql_optimizer::statement::PredictStatement;

use crate::lane::plans::answered::Audience;
use crate::lane::plans::deciding::PredictionPlanner;
use crate::lane::plans::explain::{self, Ran};
use crate::lane::plans::ready::make_ready;
use crate::lane::plans::run::run;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{FoundRows, Left};
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::Protocol;
use crate::lane::turn::Turn;
use crate::live::Statement;
use crate::observed::Workload;

impl Lane {
    /// Plans a statement and answers it.
    pub(in crate::lane) async fn answer_planned(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        statement: &PredictStatement<'_>,
        planner: &PredictionPlanner<'_>,
        running: &Statement,
        protocol: Protocol,
    ) -> Result<Left, LinkError> {
        let context = Arc::clone(&self.context);
        let explain = statement.explain();
        let ready = make_ready(turn, planner, settings, statement, protocol).await?;
        running.note_plan(|| short(&ready.plan));
        let fingerprint = running.fingerprint(settings.meaning.database());
        let (plan, predictors) = (&ready.plan, &ready.predictors);
        let mut workload = Workload::new(fingerprint, plan, predictors, &context.executor);
        let elapsed = explain.and_then(|_| context.observed.expect(&workload));
        if let Some(how) = explain.filter(|explain| !explain.analyze) {
            let shown = explain::shown(&context, &ready, how, elapsed, None);
            explain::write(turn, how, shown, &ready.protocol, 0);
            return Ok(left_by_plan(turn));
        }
        let runs_lookups = ready.plan.project().is_none();
        if runs_lookups {
            self.tables.forced = ready.forced;
            // Lookups overwrite FOUND_ROWS(), even if the statement fails; the statement alone
            // would leave it unchanged.
            let found_rows = turn.store.before.map(|before| before.found_rows);
            turn.found_rows_if_refused = found_rows.filter(|_| !statement.finds_rows());
        }
        let audience = match explain {
            None => Audience::Client,
            Some(_) => Audience::Nobody,
        };
        let tables = &mut self.tables;
        let mut done = run(turn, &context, &ready, running, tables, audience).await?;
        workload.ended();
        let (rows_read, seconds) = (running.rows_read.load(Relaxed), running.age());
        let observed = &context.observed;
        observed.note(&workload, rows_read, seconds.as_secs_f64());
        if let Some(how) = explain {
            let ran = Ran {
                running,
                rows: done.rows,
                affected: done.affected,
            };
            let shown = explain::shown(&context, &ready, how, elapsed, Some(ran));
            explain::write(turn, how, shown, &ready.protocol, done.warnings);
            if runs_lookups {
                // The answer of ANALYZE is a result set, even for a statement that changes rows.
                done.row_count = Some(-1);
            }
        }
        let found_rows = match runs_lookups {
            true => turn.found_rows_if_refused.map(FoundRows::Remembered),
            false => done.found_rows.map(FoundRows::Set),
        };
        let kept = self.remembered.kept.take().filter(|_| done.warnings == 0);
        Ok(Left {
            diagnostics: done.diagnostics.or(kept),
            row_count: done.row_count,
            found_rows: found_rows.unwrap_or(FoundRows::AsStore),
        })
    }
}

/// Effects of EXPLAIN, which does not run the statement.
fn left_by_plan(turn: &Turn<'_>) -> Left {
    let before = turn.store.before.map(|before| before.found_rows);
    Left {
        diagnostics: Some(Default::default()),
        row_count: Some(-1),
        found_rows: before.map_or(FoundRows::AsStore, FoundRows::Remembered),
    }
}
