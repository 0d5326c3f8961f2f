//! Choice of the physical plan: stream if the statement allows it, else materialise.

use std::sync::Arc;

use predictsql_catalog::{Model, Task};

use crate::exchange::{Conversation, Failure, Question, Reply, Step};
use crate::materialise::Materialise;
use crate::refusal::Refusal;
use crate::sql::fragment::Fragment;
use crate::statement::PredictStatement;
use crate::stream::StreamSelect;

/// A forced physical plan: a debugging option for comparing plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// Stream plan.
    Stream,
    /// Materialise plan, relations in temporary tables.
    Temporary,
    /// Materialise plan, relations in the statement's text.
    Inline,
}

/// A statement analysed for its physical plan.
#[derive(Debug)]
pub enum Physical<'s, 'a> {
    /// Stream plan.
    Stream(Box<StreamSelect<'s, 'a>>),
    /// Materialise plan.
    Materialise(Box<Materialise<'s, 'a>>),
}

impl Physical<'_, '_> {
    /// The predicted tasks, and the models where the statement names them.
    pub fn asked(&self) -> Vec<(&Task, Option<&Arc<Model>>)> {
        match self {
            Self::Stream(select) => {
                let asked = select.predictions().iter();
                asked.map(|p| (&*p.task, p.model.as_ref())).collect()
            }
            Self::Materialise(plan) => {
                let asked = plan.targets().iter();
                asked.map(|t| (&*t.task, t.model.as_ref())).collect()
            }
        }
    }

    /// The statement over typed stubs.
    pub fn describe(&self) -> Fragment {
        match self {
            Self::Stream(select) => select.describe(false),
            Self::Materialise(plan) => plan.describe(),
        }
    }

    /// Column names that are marked in the described statement.
    pub fn marked_names(&self) -> Vec<&str> {
        match self {
            Self::Stream(select) => select.cell_names().collect(),
            Self::Materialise(plan) => plan.marked_names(),
        }
    }
}

/// Chooses the physical plan. A statement without a stream plan is described by the store first,
/// so that the store's own errors (syntax, unknown columns, rights) take precedence over "not
/// supported".
#[derive(Debug)]
pub struct Choosing<'s, 'a> {
    statement: &'s PredictStatement<'a>,
    forced: Option<Forced>,
    chosen: Option<Result<Physical<'s, 'a>, Refusal>>,
}

impl<'s, 'a> Choosing<'s, 'a> {
    /// For a statement; the session may force a plan.
    pub fn new(statement: &'s PredictStatement<'a>, forced: Option<Forced>) -> Self {
        Self {
            statement,
            forced,
            chosen: None,
        }
    }

    fn choose(&self) -> Result<Physical<'s, 'a>, Refusal> {
        let statement = self.statement;
        let stream = || statement.stream().map(|s| Physical::Stream(Box::new(s)));
        let materialise = || {
            let plan = statement.materialise();
            plan.map(|p| Physical::Materialise(Box::new(p)))
        };
        match self.forced {
            None => stream().or_else(|_| materialise()),
            Some(Forced::Stream) => stream(),
            Some(Forced::Temporary | Forced::Inline) => materialise(),
        }
    }
}

impl<'s, 'a> Conversation for Choosing<'s, 'a> {
    type Outcome = Physical<'s, 'a>;

    fn begin(&mut self) -> Result<Step<Self::Outcome>, Failure> {
        let chosen = self.choose();
        let text = match &chosen {
            Ok(Physical::Stream(_)) => return Ok(Step::Ready(chosen?)),
            Err(_) if self.statement.is_several() => return Ok(Step::Ready(chosen?)),
            Ok(Physical::Materialise(plan)) => plan.describe(),
            Err(_) => self.statement.as_described(),
        };
        self.chosen = Some(chosen);
        Ok(Step::Ask(Question::describe(text)))
    }

    fn next(&mut self, reply: Reply) -> Result<Step<Self::Outcome>, Failure> {
        match reply {
            Reply::Refused(refusal) if refusal.is_unpreparable() => {}
            reply => drop(reply.described()?),
        }
        let chosen = self.chosen.take().unwrap_or_else(|| self.choose());
        Ok(Step::Ready(chosen?))
    }
}
