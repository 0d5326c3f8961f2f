//! The predict lane: answers the statements that the proxy does not leave to the store.
//!
//! A command comes here if it may hold a predict call ([`Lane::route`]'s prefilter and tokens), is a
//! catalog statement, or executes a statement prepared here. All reading of user data happens on
//! the client's own store connection; when the lane returns, the store is idle again.
//!
//! [`statements`] has a file a kind of statement, [`plans`] makes predict statements ready, runs and shows them,
//! [`session`] is what a statement finds and leaves, [`store`] the connection on which all of it is done.

mod plans;
pub(crate) mod session;
pub(crate) mod statements;
pub(crate) mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use predictsql_catalog::store::SchemaName;
use predictsql_executor::Executor;
use predictsql_optimizer::statement::PredictStatement;
use predictsql_optimizer::{Refusal, ddl, heads, prefilter};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use store::spool::{SpoolAccount, SpoolLimits};

use crate::account::ServiceAccount;
use crate::config::LimitsConfig;
use crate::error::SqlError;
use crate::live::{self, Live};
use crate::predict::{CacheMode, OutputCache, Planner, Work};
use crate::relay::{Handled, Route, Router, SessionEnd, Takeover};
use crate::wire::{
    Capabilities, ColumnDefinition, ErrPacket, PacketWriter, StatusFlags, Stream, command,
    encode_ok,
};
use plans::{deciding, materialise, reading, stream};
use session::diagnostics::{Diagnostics, ShowDiagnostics};
use session::effects::Counts;
use session::last_query::LastQuery;
use session::settings;
use statements::kill::Kill;
use statements::named::NamedStatements;
use statements::prepared::PreparedStatements;
use statements::{catalog, failure, several, views};
use store::bounds::{self, Bounds, Deadline};
use store::link::{self, LinkError, Protocol, StoreLink};
use store::rows::Codec;

/// What all sessions' lanes share.
pub struct LaneContext {
    /// Schema of the catalog, the stubs and the functions.
    pub schema: SchemaName,
    /// Runs models.
    pub executor: Executor,
    /// Decides which.
    pub planner: Planner,
    /// Outputs of models that are kept.
    pub cache: OutputCache,
    /// What sessions do with them unless they say otherwise.
    pub cache_mode: CacheMode,
    /// What statements may have models do.
    pub limits: LimitsConfig,
    /// Reads and writes the catalog.
    pub account: ServiceAccount,
    /// Limits of each statement's spool.
    pub spool: SpoolLimits,
    /// The sessions, for those that end what another runs.
    pub live: Arc<Live>,
    /// Longest data sent ahead for one parameter (COM_STMT_SEND_LONG_DATA), in bytes.
    pub long_data_bytes_max: usize,
}

/// One session's lane.
pub struct Lane {
    context: Arc<LaneContext>,
    prepared: PreparedStatements,
    named: NamedStatements,
    /// Of the last statement, where the store does not know them.
    diagnostics: Option<Diagnostics>,
    /// Counts that the last statement has left, where the store says others.
    counts: Counts,
    /// Temporary tables that the lane has made in the session.
    tables: materialise::Tables,
    /// The schema may be the session's current database.
    may_be_in_schema: bool,
    last_query: LastQuery,
    /// The store's answer to a query that was taken back.
    taken_back: Option<ErrPacket>,
}

/// Both legs for the time of one command, and the answer under way.
struct Turn<'a> {
    client: &'a mut Stream,
    store: StoreLink<'a>,
    capabilities: Capabilities,
    out: PacketWriter,
    read_ahead: &'a mut BytesMut,
    status: &'a mut StatusFlags,
    stop: &'a CancellationToken,
    record: &'a live::Session,
    /// Another statement of the same text follows.
    more: bool,
    /// The client's answer has its last packet, sent or not.
    complete: AtomicBool,
    /// The columns that the client is told of, where they are not those of the statement that runs.
    own_columns: Option<Vec<ColumnDefinition>>,
}

impl Turn<'_> {
    /// The flags of the packet that ends an answer in `state`, to be written next.
    fn end_status(&self, state: StatusFlags) -> StatusFlags {
        if self.more {
            return state | StatusFlags::SERVER_MORE_RESULTS_EXISTS;
        }
        if !state.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
            self.complete.store(true, Relaxed);
        }
        state
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        self.out
            .flush(self.client)
            .await
            .map_err(|e| LinkError::End(SessionEnd::client(e)))
    }
}

impl From<Refusal> for LinkError {
    fn from(refusal: Refusal) -> Self {
        Self::Sql(refusal.into())
    }
}

impl Router for Lane {
    fn route(&mut self, command: u8, body: &[u8]) -> Route {
        self.note_database(command, body);
        let route = self.route_noted(command, body);
        match route {
            Route::Forward => self.last_query.keep(command, body),
            Route::Lane => self.last_query.forget(),
        }
        route
    }

    fn take_back(&mut self, answer: &[u8]) -> Option<Bytes> {
        self.take_last_query(answer)
    }

    fn passed_unseen(&mut self, command: u8, head: &[u8]) {
        self.last_query.forget();
        self.may_be_in_schema |= matches!(command, command::QUERY | command::STMT_PREPARE);
        match command {
            command::STMT_PREPARE => self.prepared.forget_last(),
            // The store runs its stubs, which refuse; that uses up what was sent ahead.
            command::STMT_EXECUTE | command::STMT_BULK_EXECUTE => {
                self.prepared.executed_unseen(head);
            }
            command::STMT_RESET => self.prepared.reset(head),
            command::STMT_SEND_LONG_DATA => self.prepared.long_data_lost(head),
            command::STMT_CLOSE => {
                self.prepared.close(head);
                return; // changes no diagnostics
            }
            command::CHANGE_USER | command::RESET_CONNECTION => {
                self.prepared = PreparedStatements::default();
                self.named = NamedStatements::default();
                self.tables.forget();
            }
            _ => {}
        }
        self.diagnostics = None;
        self.counts = Counts::default();
    }

    async fn handle(&mut self, takeover: Takeover<'_>) -> Result<Handled, SessionEnd> {
        let command = takeover.command.first().copied().unwrap_or_default();
        let body = takeover.command.slice(1.min(takeover.command.len())..);
        let mut turn = Turn {
            client: takeover.client,
            store: StoreLink::new(takeover.store, takeover.capabilities),
            capabilities: takeover.capabilities,
            out: PacketWriter::new(takeover.seq.wrapping_add(1)),
            read_ahead: takeover.read_ahead,
            status: takeover.status,
            stop: takeover.stop,
            record: takeover.record,
            more: false,
            complete: AtomicBool::new(false),
            own_columns: None,
        };
        self.prepared.taken_over(command, takeover.prepared);
        let answered = self.answer_once(&mut turn, command, &body).await;
        turn.record.note_outcome(failure::outcome(&answered));
        match answered {
            Ok(handled) => Ok(handled),
            Err(error) => self.fail(&mut turn, command, error).await,
        }
    }
}

impl Lane {
    /// Who answers a command whose choice of a database is noted.
    fn route_noted(&mut self, command: u8, body: &[u8]) -> Route {
        let ours = match command {
            command::QUERY => {
                self.is_ours(body)
                    || self.may_be_named(body)
                    || Kill::parse(body).is_some()
                    || (self.diagnostics.is_some() && ShowDiagnostics::recognise(body).is_some())
                    || self.may_read_remembered(body)
            }
            command::STMT_PREPARE => {
                let ours = self.is_ours(body);
                if !ours {
                    self.prepared.forget_last();
                }
                ours
            }
            command::STMT_EXECUTE | command::STMT_BULK_EXECUTE | command::STMT_SEND_LONG_DATA => {
                self.prepared.owns(body) || self.prepared.names_last(body)
            }
            command::STMT_CLOSE | command::STMT_RESET | command::STMT_FETCH
                if self.prepared.names_last(body) =>
            {
                true
            }
            command::STMT_CLOSE => {
                self.prepared.close(body);
                return Route::Forward; // changes no diagnostics
            }
            command::STMT_RESET => {
                self.prepared.reset(body);
                false
            }
            command::CHANGE_USER | command::RESET_CONNECTION => {
                self.prepared = PreparedStatements::default();
                self.named = NamedStatements::default();
                self.tables.forget();
                false
            }
            _ => false,
        };
        if ours {
            return Route::Lane;
        }
        self.diagnostics = None;
        self.counts = Counts::default();
        Route::Forward
    }

    /// The lane of a new session that has named `database` at its login.
    pub fn new(context: Arc<LaneContext>, database: Option<&[u8]>) -> Self {
        let mut lane = Self {
            context,
            prepared: PreparedStatements::default(),
            named: NamedStatements::default(),
            diagnostics: None,
            counts: Counts::default(),
            tables: materialise::Tables::default(),
            may_be_in_schema: false,
            last_query: LastQuery::default(),
            taken_back: None,
        };
        lane.note_database(command::INIT_DB, database.unwrap_or_default());
        lane
    }

    /// Whether a statement's text may be for the lane.
    fn is_ours(&self, body: &[u8]) -> bool {
        let schema = self.context.schema.as_str();
        if self.concerns_views(body) {
            return true;
        }
        let bare = self.may_call_bare(body);
        if !bare && !prefilter::may_call(body, schema) && !may_be_catalog_statement(body) {
            return several::may_hold_catalog_statement(body);
        }
        // Text in another character set is looked at too, so that its refusal says why.
        let text = String::from_utf8_lossy(body);
        bare || prefilter::has_schema_call(&text, schema)
            || ddl::recognise(&text)
            || several::may_hold_catalog_statement(body)
    }

    /// Whether a text, inside strings too, may name what predicts.
    fn may_predict(&self, body: &[u8]) -> bool {
        let account = &self.context.account;
        prefilter::may_call(body, self.context.schema.as_str())
            || account.may_name_view(body)
            || self.may_hold_bare_call(body)
    }

    /// The session's settings as a statement finds them, and the statement without the head that sets some
    /// for it alone.
    async fn settings_of(
        &self,
        turn: &mut Turn<'_>,
        statement: &[u8],
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
        self.find_bare_calls(turn, &mut own, rest).await?;
        Ok((own, rest.to_owned()))
    }

    async fn answer(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        body: &Bytes,
    ) -> Result<Handled, LinkError> {
        if let Some(body) = self.prepared.with_id(command, body) {
            return self.answer_last(turn, command, &body).await;
        }
        match command {
            command::QUERY => {
                if self.show_diagnostics(turn, body).await? {
                    return Ok(Handled::Answered);
                }
                if let Some(kill) = Kill::parse(body) {
                    return self.answer_kill(turn, body, kill).await;
                }
                if !self.is_ours(body) && !self.may_be_named(body) {
                    return Ok(self.forward_with_remembered(body));
                }
                if several::may_be_several(body, turn.capabilities) {
                    return self.answer_several(turn, body).await;
                }
                if catalog::recognise(&String::from_utf8_lossy(body)) {
                    return self.answer_catalog(turn, command, utf8(body)?).await;
                }
                if let Some(handled) = self.answer_named(turn, body).await? {
                    if matches!(handled, Handled::Forward(_)) {
                        self.leave_as_found(turn).await?;
                    }
                    return Ok(handled);
                }
                self.answer_select(turn, body, Protocol::Text, None).await
            }
            command::STMT_PREPARE => self.answer_prepare(turn, body).await,
            command::STMT_EXECUTE => self.answer_execute(turn, body).await,
            command::STMT_SEND_LONG_DATA => {
                self.keep_long_data(body);
                Ok(Handled::Answered) // the protocol has no answer to it
            }
            _ => Err(SqlError::unsupported("bulk execution of statements with predictions").into()),
        }
    }

    /// Answers a statement that reads the diagnostics, where the lane keeps them.
    async fn show_diagnostics(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &[u8],
    ) -> Result<bool, LinkError> {
        let (Some(what), Some(diagnostics)) =
            (ShowDiagnostics::recognise(statement), &mut self.diagnostics)
        else {
            return Ok(false);
        };
        let at_store = diagnostics.take_at_store();
        if at_store > 0 {
            stream::store_warnings(turn, diagnostics, at_store).await?;
        }
        self.counts.row_count = Some(-1);
        let (status, shown) = (turn.end_status(*turn.status), diagnostics.show(what));
        shown.write(&mut turn.out, turn.capabilities, Codec::Text, status, 0);
        turn.flush().await?;
        Ok(true)
    }

    /// Answers a statement with predict calls; forwards one that turns out to have none.
    async fn answer_select(
        &mut self,
        turn: &mut Turn<'_>,
        sent: &[u8],
        protocol: Protocol,
        prepared_under: Option<settings::Meaning>,
    ) -> Result<Handled, LinkError> {
        let context = Arc::clone(&self.context);
        let (settings, text) = self.settings_of(turn, sent).await?;
        if prepared_under.is_some_and(|meaning| meaning != settings.meaning) {
            return Err(SqlError::unsupported(
                "executing a statement with predictions under another database, sql_mode or \
                 character set than it was prepared under; prepare it again",
            )
            .into());
        }
        if let Some(handled) = self.change_views(turn, &settings, &text).await? {
            return Ok(handled);
        }
        self.tell_remembered(turn);
        let last = turn.store.before.unwrap_or_default().as_read_by(&text);
        let written = last.written_into(&text, settings.lex);
        let text = written.as_deref().unwrap_or(&text);
        let expanded = views::expand(turn, &context, &settings, text).await?;
        if turn.own_columns.is_none() {
            turn.own_columns = expanded.as_ref().and_then(|e| e.columns.clone());
        }
        let text = expanded.as_ref().map_or(text, |e| &e.text.sql);
        let Some((statement, catalog)) = reading::read(&context, &settings, text).await? else {
            let Some(expanded) = &expanded else {
                self.leave_as_found(turn).await?;
                return Ok(forward(&protocol, sent));
            };
            self.diagnostics = None;
            self.answer_plain(turn, &expanded.text, &protocol).await?;
            return Ok(Handled::Answered);
        };
        if matches!(protocol, Protocol::Text) && statement.parameter_count() > 0 {
            self.leave_as_found(turn).await?;
            return Ok(forward(&protocol, sent)); // the store's syntax error
        }
        if statement.is_values() && turn.own_columns.is_none() {
            turn.own_columns = Some(turn.store.describe(text).await?);
        }
        let running = turn.record.begin(route(&statement), text, settings.lex);
        let demands = deciding::demands(&statement, &settings)?;
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
                Arc::clone(running.statement()),
                settings.cache.unwrap_or(context.cache_mode),
                settings.inferences_max(&context.limits),
            )),
            demands,
        };
        let work = self.answer_planned(turn, &settings, &statement, &planner, &running, protocol);
        let work = work.instrument(running.span().clone());
        let found_rows = bounds::within(deadline, &running.cancel, work).await?;
        turn.flush().await?;
        if let Some(rows) = found_rows {
            turn.store.set_for_statements(None);
            turn.store.set_found_rows(rows).await?;
        }
        Ok(Handled::Answered)
    }
}

/// What is done with a statement, as a label of few values.
fn route(statement: &PredictStatement<'_>) -> &'static str {
    match statement.explain() {
        None => "predict",
        Some(explain) if explain.analyze => "analyze",
        Some(_) => "explain",
    }
}

/// The command as the client sent it, for the store.
fn forward(protocol: &Protocol, statement: &[u8]) -> Handled {
    match protocol {
        Protocol::Text => Handled::Forward(link::command_payload(command::QUERY, statement)),
        // The statement was prepared over stubs: its own id answers with the store's error.
        Protocol::Binary(parameters) => Handled::Forward(link::command_payload(
            command::STMT_EXECUTE,
            &parameters.as_sent(),
        )),
    }
}

/// The first letters of the statements that the proxy adds, or a comment before them.
fn may_be_catalog_statement(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let starts = |word: &[u8]| {
        body.get(..word.len())
            .is_some_and(|b| b.eq_ignore_ascii_case(word))
    };
    [
        &b"CREATE"[..],
        b"ALTER",
        b"DROP",
        b"SHOW",
        b"EVALUATE",
        b"/*",
        b"--",
        b"#",
    ]
    .iter()
    .any(|w| starts(w))
}

fn utf8(body: &[u8]) -> Result<&str, LinkError> {
    std::str::from_utf8(body)
        .map_err(|_| SqlError::unsupported("catalog statements that are not UTF-8").into())
}

/// An OK to a statement that the lane ran.
fn write_ok(turn: &mut Turn<'_>, affected_rows: u64, warnings: u16) {
    let status = turn.end_status(*turn.status);
    turn.out
        .write(&encode_ok(affected_rows, 0, status, warnings, b""));
}
