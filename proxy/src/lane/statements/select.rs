//! Statements with predict calls, and statements that turn out to have none.

use std::sync::Arc;

use bytes::Bytes;
use predictsql_catalog::Snapshot;
use predictsql_optimizer::heads;
use predictsql_optimizer::last_statement::LastStatement;
use predictsql_optimizer::statement::PredictStatement;
use tracing::Instrument;

use crate::error::SqlError;
use crate::lane::plans::{deciding, reading};
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, Left};
use crate::lane::session::settings;
use crate::lane::statements::views;
use crate::lane::store::as_written;
use crate::lane::store::bounds::{self, Bounds, Deadline};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{self, Protocol};
use crate::lane::turn::Turn;
use crate::predict::Work;
use crate::wire::command;

impl Lane {
    /// The settings that apply to a statement, and its text without a `SET STATEMENT ... FOR`
    /// head.
    pub(in crate::lane) async fn settings_of(
        &self,
        turn: &mut Turn<'_>,
        statement: &Bytes,
    ) -> Result<(settings::SessionSettings, String), LinkError> {
        turn.store.set_for_statements(None);
        let mut settings = settings::SessionSettings::read(&mut turn.store, statement).await?;
        let text = settings.encoding.decode(statement).into_owned();
        let Some((head, rest)) = heads::statement_settings(&text, settings.lex) else {
            self.find_bare_calls(turn, &mut settings, &text).await?;
            return Ok((settings, text));
        };
        turn.store.set_for_statements(Some(head.to_owned()));
        let own = settings::SessionSettings::read(&mut turn.store, statement).await?;
        let mut own = own.for_text_of(settings);
        turn.store.encode_as(own.encoding.clone());
        self.find_bare_calls(turn, &mut own, rest).await?;
        Ok((own, rest.to_owned()))
    }

    /// Answers a statement with predict calls; forwards one that turns out to have none.
    pub(in crate::lane) async fn answer_select(
        &mut self,
        turn: &mut Turn<'_>,
        sent: &Bytes,
        protocol: Protocol,
        prepared_under: Option<settings::Meaning>,
    ) -> Result<Done, LinkError> {
        let context = Arc::clone(&self.context);
        let (settings, text) = self.settings_of(turn, sent).await?;
        if prepared_under.is_some_and(|meaning| meaning != settings.meaning) {
            return Err(SqlError::unsupported(
                "executing a statement with predictions under another database, sql_mode or \
                 character set than it was prepared under; prepare it again",
            )
            .into());
        }
        if let Some(left) = self.change_views(turn, &settings, &text).await? {
            return Ok(Done::Answered(left));
        }
        self.tell_remembered(turn);
        self.keep_warnings(turn, &text, &settings, &protocol)
            .await?;
        let last = LastStatement::from(turn.store.before.unwrap_or_default());
        let written = last.written_into(&text, settings.lex);
        let text = written.as_deref().unwrap_or(&text);
        let expanded = views::expand(turn, &context, &settings, text).await?;
        let columns = || expanded.as_ref()?.columns.clone();
        turn.own_columns = turn.own_columns.take().or_else(columns);
        let text = expanded.as_ref().map_or(text, |e| &e.text.sql);
        let Some((statement, catalog)) = reading::read(&context, &settings, text).await? else {
            let Some(expanded) = &expanded else {
                self.leave_as_found(turn).await?;
                return Ok(forward(&protocol, sent));
            };
            self.pass_through(turn, &expanded.text, &protocol).await?;
            return Ok(Done::Answered(Left::default()));
        };
        if matches!(protocol, Protocol::Text) && statement.parameter_count() > 0 {
            self.leave_as_found(turn).await?;
            return Ok(forward(&protocol, sent)); // the store's syntax error
        }
        let is_data = |content: &str| settings.encoding.is_data(content, settings.lex);
        let with_bytes = statement.with_images_as_bytes(is_data);
        if turn.own_columns.is_none() {
            let (store, is_rewritten) = (&mut turn.store, with_bytes.is_some());
            turn.as_written = as_written::columns(store, &statement, text, is_rewritten).await?;
        }
        let again = match &with_bytes {
            Some(text) => reading::read(&context, &settings, text).await?,
            None => None,
        };
        let read = again.unwrap_or((statement, catalog));
        let text = with_bytes.as_deref().unwrap_or(text);
        self.answer_predictions(turn, &settings, text, read, protocol)
            .await
    }

    /// Answers a statement that has predict calls.
    async fn answer_predictions(
        &mut self,
        turn: &mut Turn<'_>,
        settings: &settings::SessionSettings,
        text: &str,
        (statement, catalog): (PredictStatement<'_>, Arc<Snapshot>),
        protocol: Protocol,
    ) -> Result<Done, LinkError> {
        let context = Arc::clone(&self.context);
        if statement.is_values() && turn.own_columns.is_none() {
            turn.own_columns = Some(turn.store.describe(text).await?);
        }
        let running = turn.record.begin(label(&statement), text, settings.lex);
        let demands = deciding::demands(&statement, settings)?;
        let limits = (settings.max_statement_time, demands.max_seconds);
        let deadline = Deadline::of(turn.store.began, limits.0, limits.1.unwrap_or_default());
        turn.store.bounds = Bounds {
            deadline,
            timestamp: (statement.tells_time()).then(|| settings.timestamp.clone()),
        };
        let planner = deciding::PredictionPlanner {
            context: &context,
            catalog: &catalog,
            work: Arc::new(Work::new(
                Arc::clone(&running.statement().counters),
                settings.cache.unwrap_or(context.cache_mode),
                settings.inferences_max(&context.limits),
            )),
            demands,
            used: self.used_decisions(*turn.status),
        };
        let work = self.answer_planned(turn, settings, &statement, &planner, &running, protocol);
        let work = work.instrument(running.span().clone());
        let left = bounds::within(deadline, &running.cancel, work).await?;
        turn.flush().await?;
        Ok(Done::Answered(left))
    }
}

/// Label for the kind of execution, with few values.
fn label(statement: &PredictStatement<'_>) -> &'static str {
    match statement.explain() {
        None => "predict",
        Some(explain) if explain.analyze => "analyze",
        Some(_) => "explain",
    }
}

/// The command as the client sent it, for the store.
fn forward(protocol: &Protocol, statement: &[u8]) -> Done {
    match protocol {
        Protocol::Text => Done::Forward(link::command_payload(command::QUERY, statement)),
        // The statement was prepared over stubs: executing its id returns the store's error.
        Protocol::Binary(parameters) => Done::Forward(link::command_payload(
            command::STMT_EXECUTE,
            &parameters.as_sent(),
        )),
    }
}
