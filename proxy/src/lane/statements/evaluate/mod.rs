//! EVALUATE in a session: labelled rows come from the user's own session, with the user's own
//! rights and in the user's own transaction; models look at them, and the service account
//! publishes what follows.
//!
//! ```text
//! describe ─► rows ─► spool ─► sample ─► executor, all models ─► calibrate, vote ─► publish
//! ```
//!
//! Nothing is published before all is known: a KILL, a client that leaves or a model that fails
//! leaves everything as it was.

mod report;
mod request;
mod rows;
mod run;
mod truth;

use std::sync::Arc;

use bytes::Bytes;
use predictsql_catalog::store::{self, NewEvaluation, Population, Published};
use predictsql_catalog::{AnswerShape, Model, Part, Task};
use predictsql_executor::evaluation::{Measured, Rows, evaluate};
use predictsql_optimizer::ddl::{Evaluate, Evaluated};
use tokio_util::sync::CancellationToken;

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::Left;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::bounds::{Bounds, Deadline, within};
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::Codec;
use crate::lane::store::text_encoding::TextEncoding;
use crate::lane::turn::Turn;
use crate::live::Statement;
use crate::predict::interrupted;
pub(in crate::lane) use report::columns;
use request::Request;
use rows::Form;
use run::{Outcomes, Run};

/// Longest text of a query that is kept with its evaluation, in characters.
const QUERY_CHARS_MAX: usize = 4096;

/// Most models of one EVALUATE: all of them are loaded while it runs.
const MODELS_MAX: usize = 256;

impl Lane {
    /// Runs an EVALUATE of a user whose rights have been checked, and writes its result.
    pub(in crate::lane) async fn answer_evaluate(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &Evaluate,
        codec: Codec,
    ) -> Result<Left, LinkError> {
        let context = Arc::clone(&self.context);
        let text = text_of(statement);
        let sent = Bytes::copy_from_slice(text.as_bytes());
        let settings = SessionSettings::read(&mut turn.store, &sent).await?;
        // The statement was read as UTF-8 whatever its character set, so its bytes are written so.
        turn.store.encode_as(TextEncoding::default());
        let (task, models, form) = check(turn, &context, statement).await?;
        let request = Request {
            task,
            models,
            whole_task: matches!(statement.target, Evaluated::Task(_)),
            query: statement.query.clone(),
            form,
            keep_foreign: statement.keep_foreign,
            fail_on_error: settings.fail_on_error,
            user: crate::lane::statements::catalog::current_user(turn).await?,
        };
        let running = turn.record.begin("evaluate", &text, settings.lex);
        let limits = (settings.max_statement_time, settings.demands.max_seconds);
        let deadline = Deadline::of(turn.store.began, limits.0, limits.1.unwrap_or_default());
        turn.store.bounds = Bounds {
            deadline,
            timestamp: None,
        };
        let work = async {
            let outcomes = run(turn, &context, &request, &running).await?;
            let new = conclude(&request, outcomes.rows, outcomes.measured, &running).await?;
            if running.cancel.is_cancelled() {
                return Err(interrupted().into());
            }
            let published = publish(&context, new, deadline).await?;
            Ok((outcomes.diagnostics, outcomes.summary, published))
        };
        let done = within(deadline, &running.cancel, work).await;
        turn.store.bounds = Bounds::default();
        let (mut diagnostics, summary, (published, new)) = done?;
        report::warn_of_models(&mut diagnostics, &request, &new);
        report::warn_of_use(&mut diagnostics, &new, published);
        report::write(turn, (&new, &summary), codec, diagnostics.count());
        turn.flush().await?;
        Ok(Left {
            diagnostics: Some(diagnostics),
            ..Left::default()
        })
    }
}

/// What a statement is about, if it may run: its models exist and its rows are theirs.
pub(in crate::lane) async fn check(
    turn: &mut Turn<'_>,
    context: &LaneContext,
    statement: &Evaluate,
) -> Result<(Arc<Task>, Vec<Arc<Model>>, Form), LinkError> {
    let (task, models) = targets(context, &statement.target).await?;
    let schema = context.schema.as_str();
    let form = rows::check(turn, &statement.query, schema, &task).await?;
    Ok((task, models, form))
}

/// The statement as operators see it.
fn text_of(statement: &Evaluate) -> String {
    let target = match &statement.target {
        Evaluated::Task(name) => format!("TASK {name}"),
        Evaluated::Model { name, version } => {
            format!("MODEL {}", model_at(name, version.as_deref()))
        }
    };
    let options = match statement.keep_foreign {
        true => " OPTIONS (foreign = 'keep')",
        false => "",
    };
    format!("EVALUATE {target} ON ({}){options}", statement.query)
}

fn model_at(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{name}@{version}"),
        None => name.to_owned(),
    }
}

/// The task and the models that a statement names, as the catalog has them now.
async fn targets(
    context: &LaneContext,
    target: &Evaluated,
) -> Result<(Arc<Task>, Vec<Arc<Model>>), SqlError> {
    // What was created a moment ago, through another proxy too, must be seen.
    context.account.invalidate();
    let catalog = context.account.snapshot().await?;
    let (task, models) = match target {
        Evaluated::Task(name) => (name, catalog.models_of(name).cloned().collect()),
        Evaluated::Model { name, version } => {
            let model = catalog.model(name, version.as_deref());
            let unknown = || SqlError::unknown("Model", &model_at(name, version.as_deref()));
            let model = model.ok_or_else(unknown)?;
            (&model.task, vec![Arc::clone(model)])
        }
    };
    let unknown = || SqlError::unknown("Task", task);
    let task = catalog.task(task).ok_or_else(unknown)?;
    match task.answer_shape() {
        AnswerShape::Label => {}
        AnswerShape::Value => return Err(SqlError::unsupported("EVALUATE of regressions")),
    }
    check_count(&task.name, models.len())?;
    Ok((Arc::clone(task), models))
}

fn check_count(task: &str, models: usize) -> Result<(), SqlError> {
    let message = match models {
        0 => format!("Task '{task}' has no model to evaluate"),
        1..=MODELS_MAX => return Ok(()),
        _ => format!(
            "Task '{task}' has {models} models, and EVALUATE TASK takes at most {MODELS_MAX}: EVALUATE \
             MODEL takes them one by one, and those on the same rows are compared"
        ),
    };
    Err(SqlError::wrong_value(message))
}

/// Reads the rows and has the models answer them, for as long as the client is there.
async fn run(
    turn: &mut Turn<'_>,
    context: &LaneContext,
    request: &Request,
    running: &Statement,
) -> Result<Outcomes, LinkError> {
    let cancel: CancellationToken = running.cancel.child_token();
    let (guard, legs) = turn.guarded();
    let work = Run::new(context, request, running, &cancel).work(legs.store);
    let done = guard.while_client_stays(work).await;
    cancel.cancel();
    done
}

/// What is to be published. Calibrations are fitted on a thread that nobody waits for once the
/// statement is interrupted.
async fn conclude(
    request: &Request,
    rows: Rows,
    measured: Vec<Measured>,
    running: &Statement,
) -> Result<NewEvaluation, SqlError> {
    let population = Population {
        id: rows.id,
        query: request.query.chars().take(QUERY_CHARS_MAX).collect(),
        cal_rows: u32::try_from(rows.of(Part::Cal).len()).unwrap_or(u32::MAX),
        plan: rows.truths(Part::Plan),
        cert: rows.truths(Part::Cert),
    };
    let task = Arc::clone(&request.task);
    let evaluated = tokio::task::spawn_blocking(move || evaluate(&task, &measured, &rows));
    let models = tokio::select! {
        biased;
        () = running.cancel.cancelled() => return Err(interrupted()),
        models = evaluated => models,
    };
    Ok(NewEvaluation {
        task: Task::clone(&request.task),
        whole_task: request.whole_task,
        population,
        models: models.map_err(|_| SqlError::other("internal error in calibrating models"))?,
        created_by: request.user.clone(),
    })
}

/// Publishes it by the service account; gives it back for the report.
async fn publish(
    context: &LaneContext,
    new: NewEvaluation,
    deadline: Option<Deadline>,
) -> Result<(Published, NewEvaluation), SqlError> {
    let work = move |mut conn, schema| async move {
        let published = store::publish_evaluation(&mut conn, &schema, &new).await?;
        Ok((published, new))
    };
    let until = deadline.map(Deadline::at);
    let published = context.account.run_until(until, work).await;
    // Also after an error: whether it was published before it failed is not known.
    context.account.invalidate();
    Ok(published?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_model_and_too_many_are_refused_with_what_to_do() {
        let message = |models| check_count("t", models).unwrap_err().message;
        assert!(message(0).contains("'t' has no model"));
        assert!(message(MODELS_MAX + 1).contains("EVALUATE MODEL"));
        check_count("t", MODELS_MAX).unwrap();
    }
}
