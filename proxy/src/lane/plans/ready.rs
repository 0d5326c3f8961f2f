//! Makes a plan of a statement, ready to be explained and to run.

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
    /// What answers its predictions.
    pub predictors: Vec<Predictor>,
    /// What it has had predicted.
    pub work: Arc<Work>,
    /// With which protocol and parameters it runs.
    pub protocol: Protocol,
    /// The visible columns as described, where rows pass through; predicted ones are named.
    pub described: Vec<ColumnDefinition>,
    /// Unreadable images are errors.
    pub fail_on_error: bool,
    /// The kind of relation that the session forces, if any.
    pub forced: Option<Forced>,
}

impl Ready<'_, '_> {
    /// The warnings before any input is seen.
    pub fn forewarned(&self, mut diagnostics: Diagnostics) -> Diagnostics {
        for (kind, message) in self.predictors.iter().flat_map(warnings) {
            diagnostics.warn(kind, || message);
        }
        diagnostics
    }

    /// Whether there is a limit on what models may look at.
    pub fn is_limited(&self) -> bool {
        self.work.inferences_max().is_some()
    }
}

/// The nodes of a plan whose rows pass through.
#[derive(Debug)]
pub struct Pipeline<'r, 's, 'a> {
    /// The plan.
    pub ready: &'r Ready<'s, 'a>,
    /// What the store runs.
    pub scan: &'r Scan,
    /// The predictions that are made of rows, by their numbers.
    pub predicts: Vec<&'r Predict>,
    /// What drops rows.
    pub filter: &'r Filter,
    /// What the client gets.
    pub project: &'r Project,
}

impl Pipeline<'_, '_, '_> {
    /// Number of visible columns: hidden ones follow.
    pub fn visible(&self) -> usize {
        self.ready.described.len()
    }

    /// Number of outcomes of a prediction, NULL among them; 0 where there is no end to them.
    pub fn outcomes(&self, prediction: usize) -> usize {
        let prediction = self.ready.plan.predictions.get(prediction);
        prediction.and_then(|p| p.task.outcomes()).unwrap_or(0)
    }
}

/// The nodes of a plan that runs its statement again while keys are missing.
#[derive(Debug)]
pub struct Materialisation<'r, 's, 'a> {
    /// The plan.
    pub ready: &'r Ready<'s, 'a>,
    /// The harvests and their relations, by the harvests' numbers.
    pub relates: Vec<&'r Relate>,
    /// What runs the statement.
    pub rerun: &'r Rerun<'s, 'a>,
}

impl<'s, 'a> Materialisation<'_, 's, 'a> {
    /// The statements of both passes.
    pub fn passes(&self) -> &Materialise<'s, 'a> {
        &self.rerun.passes
    }
}

/// Chooses the physical plan; the statement's errors in the eyes of the store come first.
pub async fn choose<'s, 'a>(
    turn: &mut Turn<'_>,
    statement: &'s PredictStatement<'a>,
    forced: Option<Forced>,
) -> Result<Physical<'s, 'a>, LinkError> {
    let mut choosing = Choosing::new(statement, forced);
    let mut questions = Questions::new(&mut turn.store, &Protocol::Text);
    questions.converse(&mut choosing).await
}

/// Plans a statement, and makes what answers its predictions.
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

/// A session as plans depend on it.
fn plan_session(
    planner: &PredictionPlanner<'_>,
    settings: &SessionSettings,
    protocol: &Protocol,
) -> PlanSession {
    PlanSession {
        results_utf8: settings.results_utf8,
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
