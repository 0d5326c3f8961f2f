//! Answers a planned statement: with its rows, with its plan, or with its plan and what executing it took.

use std::sync::Arc;

use predictsql_optimizer::explain::short;
use predictsql_optimizer::statement::PredictStatement;

use crate::lane::plans::answered::Audience;
use crate::lane::plans::deciding::PredictionPlanner;
use crate::lane::plans::explain::{self, Ran};
use crate::lane::plans::ready::make_ready;
use crate::lane::plans::run::run;
use crate::lane::session::effects::Counts;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::link::{LinkError, Protocol};
use crate::lane::{Lane, Turn};
use crate::live::Statement;

impl Lane {
    /// Plans a statement and answers it. Returns the FOUND_ROWS() that it leaves, where the store has others.
    pub(in crate::lane) async fn answer_planned(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        statement: &PredictStatement<'_>,
        planner: &PredictionPlanner<'_>,
        running: &Statement,
        protocol: Protocol,
    ) -> Result<Option<u64>, LinkError> {
        let context = Arc::clone(&self.context);
        let explain = statement.explain();
        let found_before = turn.store.before.map(|before| before.found_rows);
        let only_plan = explain.filter(|explain| !explain.analyze);
        if only_plan.is_some() {
            self.counts = Counts {
                row_count: Some(-1),
                found_rows: found_before,
            };
        }
        let ready = make_ready(turn, planner, settings, statement, protocol).await?;
        running.note_plan(|| short(&ready.plan));
        if let Some(how) = only_plan {
            let shown = explain::shown(&context, &ready, how, None);
            explain::write(turn, how, shown, &ready.protocol, 0);
            self.diagnostics = Some(Default::default());
            return Ok(None);
        }
        let runs_lookups = ready.plan.project().is_none();
        if runs_lookups {
            self.tables.forced = ready.forced;
            // Lookups change what the statement leaves as it was, also where it fails.
            self.counts.found_rows = found_before.filter(|_| !statement.finds_rows());
        }
        let audience = match explain {
            None => Audience::Client,
            Some(_) => Audience::Nobody,
        };
        let tables = &mut self.tables;
        let done = run(turn, &context, &ready, running, tables, audience).await?;
        if runs_lookups {
            self.counts.row_count = done.row_count;
        }
        if let Some(how) = explain {
            let ran = Ran {
                running,
                rows: done.rows,
                affected: done.affected,
            };
            let shown = explain::shown(&context, &ready, how, Some(ran));
            explain::write(turn, how, shown, &ready.protocol, done.warnings);
            if runs_lookups {
                // Its answer is rows, whatever it did.
                self.counts.row_count = Some(-1);
            }
        }
        self.diagnostics = done.diagnostics;
        Ok(done.found_rows)
    }
}
