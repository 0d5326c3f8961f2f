//! Catalog statements in a session: whose right it is, and who does it.

use predictsql_catalog::ModelOptions;
use predictsql_catalog::store::SchemaName;
use predictsql_executor::{Executor, ModelError, ModelFile};
use predictsql_optimizer::ddl::{self, CatalogStatement};
use predictsql_optimizer::planner::Demands;
use predictsql_optimizer::{LexMode, heads};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::account::AccountError;
use crate::ddl::{DdlContext, Inspect, as_select, check_show, probed_table, rights_probe, run};
use crate::error::{ErrorKind, SqlError};
use crate::lane::plans::stream::watch;
use crate::lane::session::settings::wrong_demand;
use crate::lane::store::bounds::{Deadline, within};
use crate::lane::store::link::{LinkError, command_payload};
use crate::lane::store::rows::Codec;
use crate::lane::{Diagnostics, Lane, Turn, write_ok};
use crate::relay::{Handled, SessionEnd};

impl Lane {
    /// Answers a catalog statement. A SHOW becomes a SELECT of the user's own session, sent as
    /// `command` (a query, or a statement to prepare).
    pub(in crate::lane) async fn answer_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        text: &str,
    ) -> Result<Handled, LinkError> {
        if !self.context.account.is_configured() {
            return Err(SqlError::from(AccountError::NotConfigured).into());
        }
        turn.store.set_for_statements(None);
        turn.store.began = Instant::now();
        let mode = lex_mode(turn).await?;
        let (head, text) = match heads::statement_settings(text, mode) {
            Some((head, rest)) if ddl::recognise(rest) => (Some(head), rest),
            _ if ddl::recognise(text) => (None, text),
            // What looked like one stands in a string.
            _ => {
                self.leave_as_found(turn).await?;
                let payload = command_payload(command, text.as_bytes());
                return Ok(Handled::Forward(payload));
            }
        };
        let statement = ddl::parse_in(text, mode).map_err(SqlError::from)?;
        let schema = self.context.schema.clone();
        if let Some(select) = as_select(&statement, &schema) {
            self.check_known(turn, &statement, &select).await?;
            let select = match head {
                Some(head) => format!("{head} {select}"),
                None => select,
            };
            let payload = command_payload(command, select.as_bytes());
            return Ok(Handled::Forward(payload));
        }
        turn.store.set_for_statements(head.map(str::to_owned));
        self.run_catalog(turn, &statement, Codec::Text).await?;
        turn.store.set_for_statements(None);
        Ok(Handled::Answered)
    }

    /// Runs a statement that is no SHOW, if the session's user may, and writes its answer.
    pub(in crate::lane) async fn run_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &CatalogStatement,
        codec: Codec,
    ) -> Result<(), LinkError> {
        check_rights(turn, statement, &self.context.schema).await?;
        match statement {
            CatalogStatement::Evaluate(evaluate) => {
                self.answer_evaluate(turn, evaluate, codec).await
            }
            statement => {
                self.change_catalog(turn, statement).await?;
                turn.flush().await
            }
        }
    }

    /// Refuses a SHOW of what does not exist; what another proxy has just made is looked for again. Who may not read the
    /// catalog is not told what there is.
    async fn check_known(
        &self,
        turn: &mut Turn<'_>,
        statement: &CatalogStatement,
        select: &str,
    ) -> Result<(), LinkError> {
        let account = &self.context.account;
        let snapshot = account.snapshot().await.map_err(SqlError::from)?;
        if check_show(statement, &snapshot).is_ok() {
            return Ok(());
        }
        turn.store.describe(select).await?;
        account.invalidate();
        let snapshot = account.snapshot().await.map_err(SqlError::from)?;
        Ok(check_show(statement, &snapshot)?)
    }

    /// Runs a change of the catalog for the session's user, whose rights have been checked.
    async fn change_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &CatalogStatement,
    ) -> Result<(), LinkError> {
        let user = current_user(turn).await?;
        let deadline = deadline(turn).await?;
        // Trying a model's file may take long: as a statement that runs, it can be killed.
        let running = match statement {
            CatalogStatement::CreateModel(create) => {
                let text = format!("CREATE MODEL {} FOR TASK {}", create.name, create.task);
                Some(turn.record.begin("catalog", &text, LexMode::default()))
            }
            _ => None,
        };
        let cancel = running.as_ref().map(|running| running.cancel.child_token());
        let inspector = UntilCancelled {
            executor: &self.context.executor,
            cancel: cancel.unwrap_or_default(),
        };
        let context = DdlContext {
            account: &self.context.account,
            inspector: &inspector,
            user: &user,
            until: deadline.map(Deadline::at),
        };
        let answer = {
            let (mut reader, _writer) = tokio::io::split(&mut *turn.client);
            let work = async { Ok(run(statement, &context).await?) };
            let work = within(deadline, &inspector.cancel, work);
            let mut work = std::pin::pin!(work);
            let end = tokio::select! {
                biased;
                answer = &mut work => Ok(answer),
                end = watch(&mut reader, turn.read_ahead) => Err(end),
                () = turn.stop.cancelled() => Err(SessionEnd::Stopped),
            };
            match end {
                Ok(answer) => answer?,
                Err(end) => {
                    // What is being written is written to its end.
                    inspector.cancel.cancel();
                    let _ = work.await;
                    return Err(LinkError::End(end));
                }
            }
        };
        let mut diagnostics = Diagnostics::default();
        for note in answer.notes {
            diagnostics.add("Note", note.code(), note.message);
        }
        write_ok(turn, answer.affected_rows, diagnostics.count());
        self.diagnostics = Some(diagnostics);
        Ok(())
    }
}

/// Tries model files until the statement is interrupted.
struct UntilCancelled<'a> {
    executor: &'a Executor,
    cancel: CancellationToken,
}

impl Inspect for UntilCancelled<'_> {
    async fn inspect(&self, uri: &str, options: &ModelOptions) -> Result<ModelFile, ModelError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ModelError::Interrupted {
                reason: "Query execution was interrupted".to_owned(),
            }),
            found = self.executor.inspect(uri, options) => found,
        }
    }
}

/// Account of the session's user, `user@host`.
pub(in crate::lane) async fn current_user(turn: &mut Turn<'_>) -> Result<String, LinkError> {
    let answer = turn.store.ask_text("SELECT CURRENT_USER() LIMIT 1").await?;
    Ok(answer.text(0, 0)?.unwrap_or_default())
}

/// Whether a text begins as a catalog statement, perhaps with settings of its own.
pub(in crate::lane) fn recognise(text: &str) -> bool {
    ddl::recognise(text) || ddl::recognise_with_settings(text)
}

/// Whether a text begins with settings of a catalog statement.
pub(in crate::lane) fn is_headed(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    // Nearly every statement ends here.
    let may_be = [&b"SET"[..], b"/*", b"--", b"#"].iter().any(|begin| {
        let head = text.get(..begin.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(begin))
    });
    may_be && ddl::recognise_with_settings(&String::from_utf8_lossy(text))
}

/// When a statement must have ended that began with the turn.
async fn deadline(turn: &mut Turn<'_>) -> Result<Option<Deadline>, LinkError> {
    let asked = "SELECT @@max_statement_time, @ml_max_seconds LIMIT 1";
    let answer = turn.store.ask_text(asked).await?;
    let max_statement_time = answer.text(0, 0)?.and_then(|seconds| seconds.parse().ok());
    let mut demands = Demands::default();
    if let Some(seconds) = answer.text(0, 1)? {
        let set = demands.set("max_seconds", &seconds);
        set.map_err(|wrong| wrong_demand("@ml_max_seconds", wrong))?;
    }
    Ok(Deadline::of(
        turn.store.began,
        max_statement_time.unwrap_or_default(),
        demands.max_seconds.unwrap_or_default(),
    ))
}

/// How the session's statements are cut into tokens.
async fn lex_mode(turn: &mut Turn<'_>) -> Result<LexMode, LinkError> {
    let answer = turn.store.ask_text("SELECT @@sql_mode LIMIT 1").await?;
    let sql_mode = answer.text(0, 0)?.unwrap_or_default();
    Ok(LexMode::from_sql_mode(&sql_mode))
}

/// Parses a catalog statement as the session's `sql_mode` has it.
pub(in crate::lane) async fn parse(
    turn: &mut Turn<'_>,
    text: &str,
) -> Result<CatalogStatement, LinkError> {
    let mode = lex_mode(turn).await?;
    Ok(ddl::parse_in(text, mode).map_err(SqlError::from)?)
}

/// The right to change the catalog is the right to change its tables, asked of the store on the
/// user's session.
pub(in crate::lane) async fn check_rights(
    turn: &mut Turn<'_>,
    statement: &CatalogStatement,
    schema: &SchemaName,
) -> Result<(), LinkError> {
    let Some(probe) = rights_probe(statement, schema) else {
        return Ok(());
    };
    turn.store.describe(&probe).await?;
    check_not_hidden(turn, schema, probed_table(statement)).await
}

/// Refuses where a temporary table of the session has the name of the catalog's: whoever makes one has all rights on it,
/// which say nothing of those on the catalog.
async fn check_not_hidden(
    turn: &mut Turn<'_>,
    schema: &SchemaName,
    table: &str,
) -> Result<(), LinkError> {
    let show = format!("SHOW CREATE TABLE `{schema}`.`{table}`");
    let shown = match turn.store.ask_text(&show).await {
        Ok(shown) => shown.text(0, 1)?,
        // By somebody with a right on single columns; a temporary table is shown to who made it.
        Err(LinkError::Refused(_)) => None,
        Err(error) => return Err(error),
    };
    match shown.is_some_and(|text| text.starts_with("CREATE TEMPORARY TABLE")) {
        true => Err(SqlError::new(
            ErrorKind::TableAccessDenied,
            format!(
                "command denied: a temporary table of the session hides table `{schema}`.`{table}`, whose rights \
                 are asked for; drop it"
            ),
        )
        .into()),
        false => Ok(()),
    }
}
