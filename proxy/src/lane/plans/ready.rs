//! Plans a statement and prepares the plan for EXPLAIN and execution.

use std::sync::Arc;

use predictsql_optimizer::materialise::Materialise;
use predictsql_optimizer::plan::{Filter, Plan, Predict, Project, Relate, Rerun, Scan};
use predictsql_optimizer::planning::{
    Bound, Choosing, Context, Forced, Physical, PlanSession, Planning,
};
use predictsql_optimizer::statement::PredictStatement;

use crate::lane::plans::deciding::PredictionPlanner;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::Protocol;
use crate::lane::store::questions::Questions;
use crate::lane::store::result::name_cells;
use crate::lane::turn::Turn;
use crate::predict::{Predictor, Work, warnings};
use crate::wire::ColumnDefinition;

/// A plan that is ready to run.
#[derive(Debug)]
pub struct Ready<'s, 'a> {
    /// The plan.
    pub plan: Plan<'s, 'a>,
    /// The predictors, one per prediction of the plan.
    pub predictors: Vec<Predictor>,
    /// Counters and limits of the statement's inference work.
    pub work: Arc<Work>,
    /// The protocol and parameters of the execution.
    pub protocol: Protocol,
    /// The visible columns as described by the store, if rows are streamed; predicted columns have
    /// their final names.
    pub described: Vec<ColumnDefinition>,
    /// Whether unreadable images are errors.
    pub fail_on_error: bool,
    /// The kind of relation that the session forces, if any.
    pub forced: Option<Forced>,
}

impl Ready<'_, '_> {
    /// `diagnostics` with the warnings that do not depend on inputs.
    pub fn forewarned(&self, mut diagnostics: Diagnostics) -> Diagnostics {
        for (kind, message) in self.predictors.iter().flat_map(warnings) {
            diagnostics.warn(kind, || message);
        }
        diagnostics
    }

    /// Whether the number of inferences is limited.
    pub fn is_limited(&self) -> bool {
        self.work.inferences_max().is_some()
    }
}

/// The nodes of a plan that streams rows to the client.
#[derive(Debug)]
pub struct Pipeline<'r, 's, 'a> {
    /// The plan.
    pub ready: &'r Ready<'s, 'a>,
    /// The statement that the store runs.
    pub scan: &'r Scan,
    /// The predictions over rows, indexed by prediction number.
    pub predicts: Vec<&'r Predict>,
    /// The filter that drops rows.
    pub filter: &'r Filter,
    /// The projection to the client's columns.
    pub project: &'r Project,
}

impl Pipeline<'_, '_, '_> {
    /// Number of visible columns; hidden columns follow them in a row.
    pub fn visible(&self) -> usize {
        self.ready.described.len()
    }

    /// Number of possible outcomes of a prediction, including NULL; 0 if unbounded.
    pub fn outcomes(&self, prediction: usize) -> usize {
        let prediction = self.ready.plan.predictions.get(prediction);
        prediction.and_then(|p| p.task.outcomes()).unwrap_or(0)
    }
}

/// The nodes of a plan that reruns its statement while keys are missing.
#[derive(Debug)]
pub struct Materialisation<'r, 's, 'a> {
    /// The plan.
    pub ready: &'r Ready<'s, 'a>,
    /// The harvests and their relations, indexed by harvest number.
    pub relates: Vec<&'r Relate>,
    /// The node that runs the statement.
    pub rerun: &'r Rerun<'s, 'a>,
}

impl<'s, 'a> Materialisation<'_, 's, 'a> {
    /// The statements of both passes.
    pub fn passes(&self) -> &Materialise<'s, 'a> {
        &self.rerun.passes
    }
}

/// Chooses the physical plan; errors that the store finds in the statement take precedence.
pub async fn choose<'s, 'a>(
    turn: &mut Turn<'_>,
    statement: &'s PredictStatement<'a>,
    forced: Option<Forced>,
) -> Result<Physical<'s, 'a>, LinkError> {
    let mut choosing = Choosing::new(statement, forced);
    let mut questions = Questions::new(&mut turn.store, &Protocol::Text);
    questions.converse(&mut choosing).await
}

/// Plans a statement and creates its predictors.
pub async fn make_ready<'s, 'a>(
    turn: &mut Turn<'_>,
    planner: &PredictionPlanner<'_>,
    settings: &SessionSettings,
    statement: &'s PredictStatement<'a>,
    protocol: Protocol,
) -> Result<Ready<'s, 'a>, LinkError> {
    let session = plan_session(planner, settings, &protocol);
    let context = Context {
        session: &session,
        demands: &planner.demands,
        catalog: planner.catalog,
        decide: planner,
    };
    let mut planning = Planning::new(statement, context);
    let mut questions = Questions::new(&mut turn.store, &protocol);
    let plan = questions.converse(&mut planning).await?;
    let mut described = questions.described;
    if let Some(project) = plan.project() {
        described.truncate(project.cell_of_column.len());
        let names: Vec<&str> = project.names.iter().map(String::as_str).collect();
        name_cells(&mut described, &names, turn.store.encoding());
    }
    let predictors = plan.predictions.iter();
    Ok(Ready {
        predictors: predictors.map(|p| planner.predictor(p)).collect(),
        work: Arc::clone(&planner.work),
        plan,
        protocol,
        described,
        fail_on_error: settings.fail_on_error,
        forced: settings.forced_plan,
    })
}

/// The properties of the session that plans depend on.
fn plan_session(
    planner: &PredictionPlanner<'_>,
    settings: &SessionSettings,
    protocol: &Protocol,
) -> PlanSession {
    PlanSession {
        results_utf8: settings.results_utf8,
        literals_binary: settings.literals_binary,
        is_strict: settings.is_strict(),
        select_limit: settings.select_limit,
        forced: settings.forced_plan,
        image_bytes_max: planner.context.executor.image_bytes_max(),
        parameters: match protocol {
            Protocol::Text => None,
            Protocol::Binary(parameters) => {
                let bound = |number| Bound {
                    integer: parameters.integer(number),
                    holds_nul: parameters.holds_nul(number),
                };
                Some((0..parameters.count()).map(bound).collect())
            }
        },
    }
}
