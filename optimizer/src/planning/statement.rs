//! Planning of a whole statement.

use super::draft::PlanStep;
use super::materialise::MaterialisePlanning;
use super::physical::{Choosing, Physical};
use super::session::Context;
use super::stream::StreamPlanning;
use crate::exchange::{Conversation, Reply, Step};
use crate::plan::Plan;
use crate::statement::PredictStatement;

/// The conversation that builds a statement's plan.
pub struct Planning<'s, 'a, 'd> {
    context: Context<'d>,
    statement: &'s PredictStatement<'a>,
    stage: Stage<'s, 'a, 'd>,
}

enum Stage<'s, 'a, 'd> {
    Choosing(Choosing<'s, 'a>),
    Stream(StreamPlanning<'s, 'a, 'd>),
    Materialise(MaterialisePlanning<'s, 'a, 'd>),
}

impl<'s, 'a, 'd> Planning<'s, 'a, 'd> {
    /// Starts planning a statement.
    pub fn new(statement: &'s PredictStatement<'a>, context: Context<'d>) -> Self {
        Self {
            stage: Stage::Choosing(Choosing::new(statement, context.session.forced)),
            context,
            statement,
        }
    }

    /// Continues with the planning of the chosen physical plan.
    fn chosen(&mut self, physical: Physical<'s, 'a>) -> PlanStep<'s, 'a> {
        let (context, statement) = (self.context, self.statement);
        match physical {
            Physical::Stream(select) => {
                let mut stream = StreamPlanning::new(context, statement, select);
                let step = stream.begin();
                self.stage = Stage::Stream(stream);
                step
            }
            Physical::Materialise(passes) => {
                let mut materialise = MaterialisePlanning::new(context, statement, passes);
                let step = materialise.begin();
                self.stage = Stage::Materialise(materialise);
                step
            }
        }
    }
}

impl<'s, 'a> Conversation for Planning<'s, 'a, '_> {
    type Outcome = Plan<'s, 'a>;

    fn begin(&mut self) -> PlanStep<'s, 'a> {
        let chosen = match &mut self.stage {
            Stage::Choosing(choosing) => choosing.begin()?,
            Stage::Stream(stream) => return stream.begin(),
            Stage::Materialise(materialise) => return materialise.begin(),
        };
        match chosen {
            Step::Ask(question) => Ok(Step::Ask(question)),
            Step::Ready(physical) => self.chosen(physical),
        }
    }

    fn next(&mut self, reply: Reply) -> PlanStep<'s, 'a> {
        let chosen = match &mut self.stage {
            Stage::Choosing(choosing) => choosing.next(reply)?,
            Stage::Stream(stream) => return stream.next(reply),
            Stage::Materialise(materialise) => return materialise.next(reply),
        };
        match chosen {
            Step::Ask(question) => Ok(Step::Ask(question)),
            Step::Ready(physical) => self.chosen(physical),
        }
    }
}
