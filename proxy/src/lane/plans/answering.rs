//! Answers a planned statement: with its rows, with its plan, or with its plan and what executing it took.

use std::sync::Arc;

use predictsql_optimizer::materialise::Materialise;
use predictsql_optimizer::statement::{Explain, PredictStatement};
use predictsql_optimizer::stream::StreamSelect;

use crate::lane::plans::deciding::PredictorMaker;
use crate::lane::plans::explain;
use crate::lane::plans::explain::Ran;
use crate::lane::plans::select;
use crate::lane::plans::select::Planned;
use crate::lane::plans::{materialise, stream};
use crate::lane::session::effects::Counts;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::link::{LinkError, Protocol};
use crate::lane::{Lane, Turn};
use crate::live::Statement;

/// Who gets the rows of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The client.
    Client,
    /// Nobody: they are counted, and the client is told of them.
    Nobody,
}

/// A statement under way, with what it is planned by.
struct Asked<'q> {
    settings: &'q SessionSettings,
    maker: &'q PredictorMaker<'q>,
    running: &'q Statement,
    explain: Option<Explain>,
    protocol: Protocol,
    /// FOUND_ROWS() is what it leaves.
    finds_rows: bool,
}

impl Asked<'_> {
    /// Only the plan is wanted.
    fn only_plan(&self) -> Option<Explain> {
        self.explain.filter(|explain| !explain.analyze)
    }

    fn audience(&self) -> Audience {
        match self.explain {
            None => Audience::Client,
            Some(_) => Audience::Nobody,
        }
    }
}

impl Lane {
    /// Plans a statement and answers it. Returns what FOUND_ROWS() is to say, where the store does not say so.
    pub(in crate::lane) async fn answer_planned(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &SessionSettings,
        statement: &PredictStatement<'_>,
        maker: &PredictorMaker<'_>,
        running: &Statement,
        protocol: Protocol,
    ) -> Result<Option<u64>, LinkError> {
        let planned = select::plan(turn, statement, settings.forced_plan).await?;
        let asked = Asked {
            settings,
            maker,
            running,
            explain: statement.explain(),
            protocol,
            finds_rows: statement.finds_rows(),
        };
        if asked.only_plan().is_some() {
            self.counts = Counts {
                row_count: Some(-1),
                found_rows: turn.store.before.map(|before| before.found_rows),
            };
        }
        match &planned {
            Planned::Stream(select) => self.answer_streamed(turn, select, asked).await,
            Planned::Materialise(plan) => self.answer_materialised(turn, plan, asked).await,
        }
    }

    async fn answer_streamed(
        &mut self,
        turn: &mut Turn<'_>,
        select: &StreamSelect<'_, '_>,
        asked: Asked<'_>,
    ) -> Result<Option<u64>, LinkError> {
        let context = Arc::clone(&self.context);
        let audience = asked.audience();
        let Asked { running, .. } = asked;
        let only_plan = asked.only_plan();
        let protocol = asked.protocol;
        let ready = select::make_ready(turn, asked.maker, asked.settings, select, protocol).await?;
        running.note_plan(|| explain::short_stream(&ready));
        let costs = context.planner.costs();
        let rows = match asked.explain {
            Some(_) => explain::stream_rows(turn, &ready).await?,
            None => None,
        };
        if let Some(how) = only_plan {
            let shown = explain::Stream(&ready, rows).shown(how, None, costs);
            explain::write(turn, how, shown, &ready.protocol, 0);
            self.diagnostics = Some(Default::default());
            return Ok(None);
        }
        let done = stream::run(turn, &context, &ready, running, audience).await?;
        if let Some(how) = asked.explain {
            let ran = Ran {
                running,
                rows: Some(done.rows),
                affected: None,
            };
            let shown = explain::Stream(&ready, rows).shown(how, Some(ran), costs);
            explain::write(turn, how, shown, &ready.protocol, done.warnings);
        }
        self.diagnostics = done.diagnostics;
        Ok(done.found_rows)
    }

    async fn answer_materialised(
        &mut self,
        turn: &mut Turn<'_>,
        plan: &Materialise<'_, '_>,
        asked: Asked<'_>,
    ) -> Result<Option<u64>, LinkError> {
        let context = Arc::clone(&self.context);
        let audience = asked.audience();
        let Asked { running, .. } = asked;
        let only_plan = asked.only_plan();
        let protocol = asked.protocol;
        let ready =
            materialise::ready::make_ready(turn, asked.maker, asked.settings, plan, protocol)
                .await?;
        running.note_plan(|| explain::short_materialise(&ready));
        let costs = context.planner.costs();
        let mut rows = Vec::new();
        if asked.explain.is_some() {
            for target in 0..ready.predictors.len() {
                rows.push(ready.estimated_inputs(turn, target).await?);
            }
        }
        let explained = explain::Materialised {
            ready: &ready,
            schema: context.schema.as_str(),
            rows: &rows,
        };
        if let Some(how) = only_plan {
            let shown = explained.shown(how, None, costs);
            explain::write(turn, how, shown, &ready.protocol, 0);
            self.diagnostics = Some(Default::default());
            return Ok(None);
        }
        self.tables.forced = ready.forced;
        // Lookups change what the statement leaves as it was, also where it fails.
        self.counts.found_rows = turn
            .store
            .before
            .filter(|_| !asked.finds_rows)
            .map(|before| before.found_rows);
        let tables = &mut self.tables;
        let done = materialise::run(turn, &context, &ready, running, tables, audience).await?;
        self.counts.row_count = done.row_count;
        if let Some(how) = asked.explain {
            let ran = Ran {
                running,
                rows: done.rows,
                affected: done.affected,
            };
            let shown = explained.shown(how, Some(ran), costs);
            explain::write(turn, how, shown, &ready.protocol, done.warnings);
            // Its answer is rows, whatever it did.
            self.counts.row_count = Some(-1);
        }
        self.diagnostics = done.diagnostics;
        Ok(None)
    }
}
