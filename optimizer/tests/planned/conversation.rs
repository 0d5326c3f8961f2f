//! Plans one of the statements with whoever answers its questions.

use std::sync::Arc;

use predictsql_catalog::Snapshot;
use predictsql_optimizer::exchange::{Conversation, Failure, Question, Reply, Step};
use predictsql_optimizer::planner::{
    CostModel, Decide, Decided, Deciding, Demands, PredictionRequest,
};
use predictsql_optimizer::planning::{Context, Planning};
use predictsql_optimizer::statement::PredictStatement;
use predictsql_optimizer::{LexMode, Refusal, plan::Plan};

use super::statements::Statement;

/// Decides without memory, and without a clock.
struct Searched<'c> {
    catalog: &'c Snapshot,
    demands: &'c Demands,
}

impl Decide for Searched<'_> {
    fn decide(&self, request: &PredictionRequest<'_>) -> Result<Arc<Decided>, Refusal> {
        let deciding = Deciding::new(request, self.demands, self.catalog)?;
        let decided = Arc::new(deciding.decide(&costs())?);
        deciding.answered_by(decided, &costs())
    }
}

/// By which plans are priced.
pub fn costs() -> CostModel {
    CostModel {
        threads: 2,
        price_per_device_second: Some(0.01),
        ..CostModel::default()
    }
}

/// What came of planning a statement.
pub enum Planned<'p, 's, 'a> {
    /// A plan.
    Plan(&'p Plan<'s, 'a>),
    /// No plan.
    Failed(Failure),
}

/// Plans a statement; `answer` answers the questions, `show` gets the outcome.
pub fn plan<T>(
    statement: &Statement,
    catalog: &Snapshot,
    answer: &mut dyn FnMut(&Question) -> Reply,
    show: impl FnOnce(Planned<'_, '_, '_>) -> T,
) -> T {
    let read = PredictStatement::read(statement.sql, LexMode::default(), "ml", catalog);
    let read = match read {
        Ok(read) => read.expect("a statement with a predict call"),
        Err(refusal) => return show(Planned::Failed(refusal.into())),
    };
    let (session, mut demands) = (statement.session(), Demands::default());
    for (name, value) in read.hints() {
        assert!(demands.set(&name, &value).is_ok(), "{name} = {value}");
    }
    let searched = Searched {
        catalog,
        demands: &demands,
    };
    let context = Context {
        session: &session,
        demands: &demands,
        catalog,
        decide: &searched,
    };
    let mut planning = Planning::new(&read, context);
    let mut step = planning.begin();
    loop {
        match step {
            Ok(Step::Ask(question)) => step = planning.next(answer(&question)),
            Ok(Step::Ready(plan)) => return show(Planned::Plan(&plan)),
            Err(failure) => return show(Planned::Failed(failure)),
        }
    }
}

/// What the keys of a statement's replies begin with: its parameters and setting.
pub fn session_key(statement: &Statement) -> String {
    let mut key = String::new();
    if let Some(setting) = statement.setting {
        key.push_str(&format!("{setting}; "));
    }
    if statement.is_binary() {
        key.push_str(&format!("{:?} ", statement.parameters));
    }
    key
}
