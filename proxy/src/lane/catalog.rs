//! Catalog statements in a session: whose right it is, and who does it.

use predictsql_catalog::ModelOptions;
use predictsql_catalog::store::SchemaName;
use predictsql_executor::{Executor, ModelError, ModelFile};
use predictsql_optimizer::LexMode;
use predictsql_optimizer::ddl::{self, CatalogStatement};
use tokio_util::sync::CancellationToken;

use super::rows::Codec;
use super::store_link::{LinkError, command_payload};
use super::stream::watch;
use super::{Diagnostics, Lane, Turn, write_ok};
use crate::account::AccountError;
use crate::ddl::{DdlContext, Inspect, as_select, check_show, probed_table, rights_probe, run};
use crate::error::SqlError;
use crate::relay::{Handled, SessionEnd};

impl Lane {
    /// Answers a catalog statement. A SHOW becomes a SELECT of the user's own session, sent as
    /// `command` (a query, or a statement to prepare).
    pub(super) async fn answer_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        text: &str,
    ) -> Result<Handled, LinkError> {
        if !self.context.account.is_configured() {
            return Err(SqlError::from(AccountError::NotConfigured).into());
        }
        let statement = parse(turn, text).await?;
        let schema = self.context.schema.clone();
        if let Some(select) = as_select(&statement, &schema) {
            self.check_known(turn, &statement, &select).await?;
            return Ok(Handled::Forward(command_payload(
                command,
                select.as_bytes(),
            )));
        }
        self.run_catalog(turn, &statement, Codec::Text).await?;
        Ok(Handled::Answered)
    }

    /// Runs a statement that is no SHOW, if the session's user may, and writes its answer.
    pub(super) async fn run_catalog(
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
        };
        let answer = {
            let (mut reader, _writer) = tokio::io::split(&mut *turn.client);
            let work = run(statement, &context);
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
            diagnostics.add("Note", note.code, note.message);
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
pub(super) async fn current_user(turn: &mut Turn<'_>) -> Result<String, LinkError> {
    let answer = turn.store.ask_text("SELECT CURRENT_USER() LIMIT 1").await?;
    Ok(answer.text(0, 0)?.unwrap_or_default())
}

/// Parses a catalog statement as the session's `sql_mode` has it.
pub(super) async fn parse(turn: &mut Turn<'_>, text: &str) -> Result<CatalogStatement, LinkError> {
    let sql_mode = turn
        .store
        .ask_text("SELECT @@sql_mode LIMIT 1")
        .await?
        .text(0, 0)?;
    let mode = LexMode::from_sql_mode(&sql_mode.unwrap_or_default());
    Ok(ddl::parse_in(text, mode).map_err(SqlError::from)?)
}

/// The right to change the catalog is the right to change its tables, asked of the store on the
/// user's session.
pub(super) async fn check_rights(
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
            1142,
            "42000",
            format!(
                "command denied: a temporary table of the session hides table `{schema}`.`{table}`, whose rights \
                 are asked for; drop it"
            ),
        )
        .into()),
        false => Ok(()),
    }
}
