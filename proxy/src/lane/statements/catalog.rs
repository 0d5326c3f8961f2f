//! Runs catalog statements in a session, after a check of the user's privileges.

use std::sync::Arc;

use bytes::Bytes;
use predictsql_catalog::store::SchemaName;
use predictsql_catalog::{Model, ModelOptions, OnnxHead};
use predictsql_executor::{Executor, ImageRootError, ModelError, ModelFile};
use predictsql_optimizer::ddl::{self, CatalogStatement, Change, Show, Work};
use predictsql_optimizer::planner::Demands;
use predictsql_optimizer::{LexMode, heads};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::account::AccountError;
use crate::ddl::{DdlContext, Inspect, ObservedSeconds, Right, as_select, check_show, run};
use crate::error::{ErrorKind, SqlError};
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, Left};
use crate::lane::session::settings::wrong_demand;
use crate::lane::store::bounds::{Deadline, within};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::command_payload;
use crate::lane::store::rows::Codec;
use crate::lane::turn::{MustFinish, Turn};

impl Lane {
    /// Answers a catalog statement. A SHOW becomes a SELECT of the user's own session, sent as
    /// `command` (a query, or a statement to prepare).
    pub(in crate::lane) async fn answer_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        command: u8,
        text: &str,
    ) -> Result<Done, LinkError> {
        if !self.context.account.is_configured() {
            return Err(SqlError::from(AccountError::NotConfigured).into());
        }
        turn.store.set_for_statements(None);
        turn.store.began = Instant::now();
        let mode = lex_mode(turn).await?;
        let (head, text) = match heads::statement_settings(text, mode) {
            Some((head, rest)) if ddl::recognise(rest) => (Some(head), rest),
            _ if ddl::recognise(text) => (None, text),
            // The words of a catalog statement are in a string literal.
            _ => {
                self.leave_as_found(turn).await?;
                let payload = command_payload(command, text.as_bytes());
                return Ok(Done::Forward(payload));
            }
        };
        let statement = ddl::parse_in(text, mode).map_err(SqlError::from)?;
        let head_of_own = head.map(str::to_owned);
        let left = match statement {
            CatalogStatement::Show(show) => {
                let observed = self.observed_seconds().await?;
                let select = as_select(&show, &self.context.schema, &observed);
                self.check_known(turn, &show, &select).await?;
                let select = match head {
                    Some(head) => format!("{head} {select}"),
                    None => select,
                };
                let payload = command_payload(command, select.as_bytes());
                return Ok(Done::Forward(payload));
            }
            CatalogStatement::Change(change) => {
                turn.store.set_for_statements(head_of_own);
                self.run_change(turn, &change).await?
            }
            CatalogStatement::Work(work) => {
                turn.store.set_for_statements(head_of_own);
                self.run_work(turn, &work, Codec::Text).await?
            }
        };
        turn.store.set_for_statements(None);
        Ok(Done::Answered(left))
    }

    /// Runs a change of the catalog and writes its answer, if the session's user has the right.
    pub(in crate::lane) async fn run_change(
        &mut self,
        turn: &mut Turn<'_>,
        change: &Change,
    ) -> Result<Left, LinkError> {
        check_right(turn, Right::of_change(change), &self.context.schema).await?;
        let left = self.change_catalog(turn, change).await?;
        turn.flush().await?;
        Ok(left)
    }

    /// Runs work and writes its answer, if the session's user has the right.
    pub(in crate::lane) async fn run_work(
        &mut self,
        turn: &mut Turn<'_>,
        work: &Work,
        codec: Codec,
    ) -> Result<Left, LinkError> {
        check_right(turn, Right::of_work(work), &self.context.schema).await?;
        match work {
            Work::Evaluate(evaluate) => self.answer_evaluate(turn, evaluate, codec).await,
        }
    }

    /// What this proxy has observed of the catalog's models.
    async fn observed_seconds(&self) -> Result<ObservedSeconds, LinkError> {
        let snapshot = self.context.account.snapshot().await;
        let snapshot = snapshot.map_err(SqlError::from)?;
        let observed = &self.context.observed;
        let models = snapshot.models();
        let seconds = |model: &Arc<Model>| Some((model.id, observed.model_seconds(model)?));
        Ok(models.filter_map(seconds).collect())
    }

    /// Refuses a SHOW of a name that does not exist, after a reload of the catalog, since another
    /// proxy may have just created it. The store checks the user's right to read the catalog
    /// first, so that the refusal reveals nothing to users without it.
    async fn check_known(
        &self,
        turn: &mut Turn<'_>,
        show: &Show,
        select: &str,
    ) -> Result<(), LinkError> {
        let account = &self.context.account;
        let snapshot = account.snapshot().await.map_err(SqlError::from)?;
        if check_show(show, &snapshot).is_ok() {
            return Ok(());
        }
        turn.store.describe(select).await?;
        account.invalidate();
        let snapshot = account.snapshot().await.map_err(SqlError::from)?;
        Ok(check_show(show, &snapshot)?)
    }

    /// Runs a change of the catalog for the session's user, after the check of rights.
    async fn change_catalog(
        &mut self,
        turn: &mut Turn<'_>,
        change: &Change,
    ) -> Result<Left, LinkError> {
        let user = current_user(turn).await?;
        let deadline = deadline(turn).await?;
        // Loading a model's file may take long: registered as a running statement, it can be
        // killed.
        let running = match change {
            Change::CreateModel(create) => {
                let text = format!("CREATE MODEL {} FOR TASK {}", create.name, create.task);
                Some(turn.record.begin("catalog", &text, LexMode::default()))
            }
            Change::CreateTask(_)
            | Change::AlterTask { .. }
            | Change::AlterModel { .. }
            | Change::DropTask { .. }
            | Change::DropModel { .. } => None,
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
            let work = async { Ok(run(change, &context).await?) };
            let work = within(deadline, &inspector.cancel, work);
            let (guard, _legs) = turn.guarded();
            let cancel = &inspector.cancel;
            guard.until_finished(MustFinish { work, cancel }).await?
        };
        let mut diagnostics = Diagnostics::default();
        for note in answer.notes {
            diagnostics.add("Note", note.code(), note.message);
        }
        for warning in answer.warnings {
            diagnostics.warn(warning.kind, || warning.message);
        }
        turn.write_ok(answer.affected_rows, diagnostics.count());
        Ok(Left {
            diagnostics: Some(diagnostics),
            ..Left::default()
        })
    }
}

/// Inspects model files until the statement is interrupted.
struct UntilCancelled<'a> {
    executor: &'a Executor,
    cancel: CancellationToken,
}

impl UntilCancelled<'_> {
    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, ModelError>>,
    ) -> Result<T, ModelError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ModelError::Interrupted {
                reason: "Query execution was interrupted".to_owned(),
            }),
            found = work => found,
        }
    }
}

impl Inspect for UntilCancelled<'_> {
    async fn inspect(&self, uri: &str, options: &ModelOptions) -> Result<ModelFile, ModelError> {
        self.unless_cancelled(self.executor.inspect(uri, options))
            .await
    }

    async fn onnx_head(&self, uri: &str) -> Result<OnnxHead, ModelError> {
        self.unless_cancelled(self.executor.onnx_head(uri)).await
    }

    async fn read_beside(&self, uri: &str) -> Result<Bytes, ModelError> {
        self.unless_cancelled(self.executor.read_beside_model(uri))
            .await
    }

    async fn check_image_roots(&self, roots: &[String]) -> Result<(), ImageRootError> {
        let check = Inspect::check_image_roots(self.executor, roots);
        let checked = self.cancel.run_until_cancelled(check).await;
        checked.unwrap_or(Err(ImageRootError::Interrupted))
    }
}

/// Account of the session's user, `user@host`.
pub(in crate::lane) async fn current_user(turn: &mut Turn<'_>) -> Result<String, LinkError> {
    let answer = turn.store.ask_text("SELECT CURRENT_USER() LIMIT 1").await?;
    Ok(answer.text(0, 0)?.unwrap_or_default())
}

/// Deadline of a statement that began with the turn.
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

/// How the session's statements are split into tokens, from its `sql_mode`.
async fn lex_mode(turn: &mut Turn<'_>) -> Result<LexMode, LinkError> {
    let answer = turn.store.ask_text("SELECT @@sql_mode LIMIT 1").await?;
    let sql_mode = answer.text(0, 0)?.unwrap_or_default();
    Ok(LexMode::from_sql_mode(&sql_mode))
}

/// Parses a catalog statement under the session's `sql_mode`.
pub(in crate::lane) async fn parse(
    turn: &mut Turn<'_>,
    text: &str,
) -> Result<CatalogStatement, LinkError> {
    let mode = lex_mode(turn).await?;
    Ok(ddl::parse_in(text, mode).map_err(SqlError::from)?)
}

/// Checks the right to change the catalog: the right to change its tables, probed at the store on
/// the user's session.
pub(in crate::lane) async fn check_right(
    turn: &mut Turn<'_>,
    right: Right,
    schema: &SchemaName,
) -> Result<(), LinkError> {
    turn.store.describe(&right.probe(schema)).await?;
    check_not_hidden(turn, schema, right.table()).await
}

/// Refuses if a temporary table of the session hides the catalog's table: its creator has all
/// rights on it, so the probe would not test the rights on the catalog's table.
async fn check_not_hidden(
    turn: &mut Turn<'_>,
    schema: &SchemaName,
    table: &str,
) -> Result<(), LinkError> {
    let show = format!("SHOW CREATE TABLE `{schema}`.`{table}`");
    let shown = match turn.store.ask_text(&show).await {
        Ok(shown) => shown.text(0, 1)?,
        // The user has rights on single columns only. A temporary table is always shown to its
        // creator.
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
