//! Planning of a two-pass statement: finds tables and conditions for each harvest that the store
//! accepts, and chooses the models.

use std::sync::Arc;

use predictsql_catalog::AnswerShape;

use super::draft::PlanStep;
use super::fit::{Fitted, Fitting};
use super::session::Context;
use super::{classes, estimate};
use crate::distinctions::Distinctions;
use crate::exchange::{Column, Conversation, Failure, Reply, Step};
use crate::materialise::{KeyForm, Materialise, Shape};
use crate::plan::{
    InputKind, Node, Plan, Prediction, Relate, RelationForm, Rerun, bytes_asked, columns_key,
};
use crate::planner::{Blocks, Estimate, Metric, PredictionRequest};
use crate::refusal::Refusal;
use crate::sql::key::ColumnsKey;
use crate::statement::PredictStatement;

/// Maximum length in bytes of a key that is stored unhashed: InnoDB's limit on indexed columns.
const TEXT_KEY_BYTES_MAX: usize = 3072;

/// Length of a hash in bytes.
const HASH_BYTES: usize = 32;

/// The question whose reply is awaited.
#[derive(Debug)]
enum Asked {
    Nothing,
    Probe(Fitting),
    /// Row estimates of a target's harvests, for choosing its models.
    Rows(Counting),
    /// Per-class values of a target.
    Classes {
        rows: Estimate<u64>,
        /// Whether all expressions over its predictions are conditions.
        filters: bool,
    },
    /// Row estimates of a target's harvests, for display.
    Estimate(Counting),
}

/// Sum of the store's row estimates over the harvests of a target.
#[derive(Debug)]
struct Counting {
    target: usize,
    harvest: usize,
    rows: f64,
}

/// The conversation; see [`super`].
pub(super) struct MaterialisePlanning<'s, 'a, 'd> {
    context: Context<'d>,
    statement: &'s PredictStatement<'a>,
    passes: Arc<Materialise<'s, 'a>>,
    asked: Asked,
    relates: Vec<Relate>,
    relations: Vec<RelationForm>,
    predictions: Vec<Prediction>,
    /// Expected number of inputs for each prediction; estimated only for a plan that is shown.
    inputs: Vec<Estimate<u64>>,
}

impl<'s, 'a, 'd> MaterialisePlanning<'s, 'a, 'd> {
    /// Starts planning an analysed statement, whose text over stubs the store has described.
    pub fn new(
        context: Context<'d>,
        statement: &'s PredictStatement<'a>,
        passes: Box<Materialise<'s, 'a>>,
    ) -> Self {
        Self {
            context,
            statement,
            passes: Arc::from(passes),
            asked: Asked::Nothing,
            relates: Vec::new(),
            relations: Vec::new(),
            predictions: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

impl<'s, 'a> Conversation for MaterialisePlanning<'s, 'a, '_> {
    type Outcome = Plan<'s, 'a>;

    fn begin(&mut self) -> PlanStep<'s, 'a> {
        self.ask_harvest()
    }

    fn next(&mut self, reply: Reply) -> PlanStep<'s, 'a> {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => Err(Refusal::internal("a reply without a question").into()),
            Asked::Probe(mut fitting) => {
                let fitted = fitting.next(&self.passes, reply)?;
                self.fit(fitting, fitted)
            }
            Asked::Rows(mut counting) => match self.count(&mut counting, reply)? {
                Some(rows) => self.ask_classes(rows),
                None => Ok(self.ask(Asked::Rows, counting)),
            },
            Asked::Classes { rows, filters } => {
                let values = match reply {
                    // An expression may fail for a class that no row has.
                    Reply::Refused(refusal) if !refusal.is_interruption() => None,
                    reply => Some(classes::signatures(self.outcomes(), reply)?),
                };
                self.decide(rows, values.map(|values| (filters, values)))?;
                self.ask_target()
            }
            Asked::Estimate(mut counting) => {
                if let Some(rows) = self.count(&mut counting, reply)? {
                    self.inputs.push(rows);
                    return self.ask_estimate();
                }
                Ok(self.ask(Asked::Estimate, counting))
            }
        }
    }
}

impl<'s, 'a> MaterialisePlanning<'s, 'a, '_> {
    /// Continues with the first harvest that has no shape yet.
    fn ask_harvest(&mut self) -> PlanStep<'s, 'a> {
        let harvest = self.relates.len();
        if harvest == self.passes.harvests().len() {
            return self.ask_target();
        }
        let mut fitting = Fitting::of_sources(&self.passes, harvest);
        let fitted = fitting.begin(&self.passes);
        self.fit(fitting, fitted)
    }

    fn fit(&mut self, fitting: Fitting, fitted: Fitted) -> PlanStep<'s, 'a> {
        match fitted {
            Fitted::Ask(question) => {
                self.asked = Asked::Probe(fitting);
                Ok(Step::Ask(question))
            }
            Fitted::Done(Some((shape, input))) => {
                self.add(shape, &input)?;
                self.ask_harvest()
            }
            Fitted::Done(None) => {
                let reason = fitting.refused.map(|text| format!(" ({text})"));
                let place = match self.passes.step_factors(self.relates.len()) {
                    Some(_) => "in the step of a recursive WITH",
                    None => "here",
                };
                Err(Refusal::unsupported(format_args!(
                    "a prediction of {} {place}: its values cannot be found before the statement runs{}",
                    self.passes.input_text(self.relates.len()),
                    reason.unwrap_or_default(),
                ))
                .into())
            }
        }
    }

    /// Continues with the first target whose models are not chosen yet.
    fn ask_target(&mut self) -> PlanStep<'s, 'a> {
        let target = self.predictions.len();
        let Some(of) = self.passes.targets().get(target) else {
            return self.ask_estimate();
        };
        if !self.context.counts_rows(&of.task) {
            return self.ask_classes(Estimate::Absent);
        }
        match self.counting(target) {
            Some(counting) => Ok(self.ask(Asked::Rows, counting)),
            None => self.ask_classes(Estimate::Inexact(0)),
        }
    }

    fn ask_classes(&mut self, rows: Estimate<u64>) -> PlanStep<'s, 'a> {
        match self.passes.class_query(self.predictions.len()) {
            Some(query) => {
                let filters = query.filters;
                self.asked = Asked::Classes { rows, filters };
                Ok(Step::Ask(self.context.session.ask(query.text)))
            }
            None => {
                self.decide(rows, None)?;
                self.ask_target()
            }
        }
    }

    /// For a plan that is shown, continues with the first target whose inputs are not estimated
    /// yet.
    fn ask_estimate(&mut self) -> PlanStep<'s, 'a> {
        let target = self.inputs.len();
        if self.statement.explain().is_none() || target == self.predictions.len() {
            return self.finish();
        }
        match self.counting(target) {
            Some(counting) => Ok(self.ask(Asked::Estimate, counting)),
            None => {
                self.inputs.push(Estimate::Inexact(0));
                self.ask_estimate()
            }
        }
    }

    fn finish(&mut self) -> PlanStep<'s, 'a> {
        let mut predictions = std::mem::take(&mut self.predictions);
        for (prediction, inputs) in predictions.iter_mut().zip(&self.inputs) {
            prediction.inputs = *inputs;
        }
        let relates = std::mem::take(&mut self.relates);
        let mut nodes: Vec<Node<'s, 'a>> = relates.into_iter().map(Node::Relate).collect();
        nodes.push(Node::Rerun(Rerun {
            passes: Arc::clone(&self.passes),
            relations: std::mem::take(&mut self.relations),
        }));
        Ok(Step::Ready(Plan {
            statement: self.statement,
            predictions,
            nodes,
        }))
    }
}

impl<'s, 'a> MaterialisePlanning<'s, 'a, '_> {
    fn ask(&mut self, asked: fn(Counting) -> Asked, counting: Counting) -> Step<Plan<'s, 'a>> {
        let shape = self.relates.get(counting.harvest).map(|r| r.shape.clone());
        let query = self
            .passes
            .probe(counting.harvest, &shape.unwrap_or_default());
        self.asked = asked(counting);
        Step::Ask(estimate::question(self.context.session, &query))
    }

    fn harvest_of(&self, target: usize, from: usize) -> Option<usize> {
        let harvests = self.passes.harvests().iter().enumerate().skip(from);
        let mut own = harvests.filter(|(_, harvest)| harvest.target == target);
        own.next().map(|(number, _)| number)
    }

    fn counting(&self, target: usize) -> Option<Counting> {
        Some(Counting {
            target,
            harvest: self.harvest_of(target, 0)?,
            rows: 0.0,
        })
    }

    /// Adds an estimate. `None`: the target has another harvest to ask about.
    fn count(
        &self,
        counting: &mut Counting,
        reply: Reply,
    ) -> Result<Option<Estimate<u64>>, Failure> {
        let Some(rows) = estimate::rows(self.context.session, reply)? else {
            return Ok(Some(Estimate::Absent));
        };
        counting.rows += rows;
        match self.harvest_of(counting.target, counting.harvest + 1) {
            Some(next) => {
                counting.harvest = next;
                Ok(None)
            }
            None => Ok(Some(Estimate::Inexact(counting.rows.ceil() as u64))),
        }
    }

    fn outcomes(&self) -> usize {
        let target = self.passes.targets().get(self.predictions.len());
        target.and_then(|t| t.task.outcomes()).unwrap_or(0)
    }

    /// Chooses the models of the next target, by its per-class values if there are any.
    fn decide(
        &mut self,
        rows: Estimate<u64>,
        by_class: Option<(bool, Vec<Vec<Option<String>>>)>,
    ) -> Result<(), Refusal> {
        let Some(target) = self.passes.targets().get(self.predictions.len()) else {
            return Ok(());
        };
        let classes = target.task.classes.len();
        let (blocks, metric) = match (target.task.answer_shape(), by_class) {
            (AnswerShape::Label, Some((filters, values))) => blocks(filters, values, classes),
            (AnswerShape::Label, None) | (AnswerShape::Value, _) => {
                (Blocks::every_class(classes, false), Metric::Accuracy)
            }
        };
        let decided = self.context.decide.decide(&PredictionRequest {
            task: &target.task,
            model: target.model.as_ref(),
            blocks,
            metric,
            scored: target.scored.clone(),
            rows,
        })?;
        self.predictions.push(Prediction {
            task: target.task.clone(),
            decided,
            scored: target.scored.clone(),
            inputs: Estimate::Absent,
        });
        Ok(())
    }

    /// Adds the next harvest with a shape that the store accepts; `input` is the store's
    /// description of its input.
    fn add(&mut self, shape: Shape, input: &[Column]) -> Result<(), Refusal> {
        let (number, session) = (self.relates.len(), self.context.session);
        let columns = columns_key(self.passes.input_columns(number), input, session.is_strict);
        let (form, key_bytes) = self.form(number, input)?;
        let bytes_max = match input {
            [image] => bytes_asked(image, session.growth(), session.image_bytes_max),
            _ => None,
        };
        let prediction = self.passes.harvests().get(number).map_or(0, |h| h.target);
        let same = |r: &RelationForm| r.prediction == prediction && r.form == form;
        let relation = self.relations.iter().position(same).unwrap_or_else(|| {
            self.relations.push(RelationForm {
                prediction,
                form,
                key_bytes,
            });
            self.relations.len() - 1
        });
        if let Some(known) = self.relations.get_mut(relation) {
            known.key_bytes = known.key_bytes.max(key_bytes);
        }
        self.relates.push(Relate {
            prediction,
            shape,
            form,
            columns,
            relation,
            input_bytes_max: bytes_max.filter(|_| !self.passes.input_is_sent(number)),
        });
        Ok(())
    }

    /// Key form of a harvest and the maximum key length in bytes. A parameter's type is known only
    /// when it is bound.
    fn form(&self, number: usize, described: &[Column]) -> Result<(KeyForm, usize), Refusal> {
        let session = self.context.session;
        // The lengths are in the character set of results.
        let utf8_bytes = |c: &Column| u64::from(c.length).saturating_mul(session.growth());
        let columns = self.passes.input_columns(number);
        if !columns.is_empty() {
            let text_bytes: Vec<u64> = described.iter().map(utf8_bytes).collect();
            let bytes = ColumnsKey::bytes_max(columns, &text_bytes);
            return Ok(match usize::try_from(bytes) {
                Ok(bytes) if bytes <= TEXT_KEY_BYTES_MAX => (KeyForm::Columns, bytes),
                _ => (KeyForm::LongColumns, HASH_BYTES),
            });
        }
        if let Some(parameter) = self.passes.input_parameter(number) {
            let form = match session.holds_nul(parameter) {
                true => KeyForm::Bytes,
                false => KeyForm::LongText,
            };
            return Ok((form, HASH_BYTES));
        }
        let [image] = described else {
            return Err(Refusal::internal("the store did not describe an input"));
        };
        let text = self.passes.input_text(number);
        match InputKind::of_image(image, text, session.literals_binary)? {
            InputKind::Bytes => return Ok((KeyForm::Bytes, HASH_BYTES)),
            InputKind::Location | InputKind::Bound | InputKind::Columns(_) => {}
        }
        Ok(match usize::try_from(utf8_bytes(image)) {
            Ok(bytes) if (1..=TEXT_KEY_BYTES_MAX).contains(&bytes) => (KeyForm::Text, bytes),
            _ => (KeyForm::LongText, HASH_BYTES),
        })
    }
}

/// The blocks of classes that a target's per-class values distinguish, and the metric for its
/// answers.
fn blocks(filters: bool, values: Vec<Vec<Option<String>>>, classes: usize) -> (Blocks, Metric) {
    let is_true = |cell: &Option<String>| cell.as_deref().is_some_and(|c| c != "0");
    let passes: Vec<bool> = values.iter().map(|v| v.iter().all(is_true)).collect();
    let distinctions = Distinctions::from_signatures(values);
    let blocks = Blocks::new(&distinctions, classes, false);
    let passing = |class: usize| passes.get(class + 1).copied().unwrap_or(false);
    match filters {
        true => (blocks.passing(passing), Metric::F1),
        false => (blocks, Metric::Accuracy),
    }
}
