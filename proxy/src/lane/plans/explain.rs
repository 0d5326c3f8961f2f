//! EXPLAIN of a statement with predictions: what would run where, and what it would cost.

mod actual;
mod lines;

use bytes::Bytes;
use predictsql_catalog::Task;
use predictsql_optimizer::Fragment;
use predictsql_optimizer::materialise::{HarvestPass, Lookup};
use predictsql_optimizer::planner::{CostModel, Estimate};
use predictsql_optimizer::statement::Explain;
use serde_json::{Value, json};

use crate::lane::Turn;
use crate::lane::plans::materialise::ready::ReadyPlan;
use crate::lane::plans::plan_text;
use crate::lane::plans::select::{Ready, ReadyPrediction};
use crate::lane::statements::views::is_explain_refusal;
use crate::lane::store::link::{LinkError, Protocol};
use crate::lane::store::result::{TextResult, text_column};
use crate::lane::store::rows::Codec;
use crate::live::Statement;
use crate::predict::Predictor;
use actual::Actual;
pub use lines::WIDTH;
use lines::{short, wrap};

/// What executing a statement has come to.
#[derive(Debug, Clone, Copy)]
pub struct Ran<'r> {
    /// What it has done.
    pub running: &'r Statement,
    /// Rows of its answer, if it has any.
    pub rows: Option<u64>,
    /// Rows that it has changed, if it changes any.
    pub affected: Option<u64>,
}

/// A stream plan, and the store's estimate of its rows.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'r, 's, 'a>(pub &'r Ready<'s, 'a>, pub Option<f64>);

/// A materialise plan.
#[derive(Debug, Clone, Copy)]
pub struct Materialised<'r, 'p, 's, 'a> {
    /// The plan.
    pub ready: &'r ReadyPlan<'p, 's, 'a>,
    /// Schema of the catalog.
    pub schema: &'r str,
    /// The store's estimates of the rows that the harvests of each target read.
    pub rows: &'r [Estimate<u64>],
}

impl Stream<'_, '_, '_> {
    /// The plan as rows of one column: a line a row, or one row of JSON; with what came of it.
    pub fn shown(self, how: Explain, ran: Option<Ran<'_>>, costs: &CostModel) -> Vec<String> {
        let Self(ready, rows) = self;
        let estimate = estimate_of(rows);
        let predictors = ready.select.predictions().iter().zip(&ready.predictions);
        let actual = ran.map(|ran| Actual {
            ran,
            rows_expected: estimate,
            predictions: predictors
                .enumerate()
                .map(|(index, (asked, p))| {
                    (
                        &*asked.task.name,
                        &p.predictor,
                        reaching(ready, index, rows),
                    )
                })
                .collect(),
            costs,
        });
        if how.json {
            let mut plan = stream_json(ready, rows, costs);
            actual.iter().for_each(|actual| actual.add_to(&mut plan));
            return vec![plan.to_string()];
        }
        let mut lines = lines(ready, rows, costs);
        actual
            .iter()
            .for_each(|actual| actual.add_lines(&mut lines));
        lines
    }
}

impl Materialised<'_, '_, '_, '_> {
    /// As [`Stream::shown`].
    pub fn shown(self, how: Explain, ran: Option<Ran<'_>>, costs: &CostModel) -> Vec<String> {
        let Self {
            ready,
            schema,
            rows,
        } = self;
        let targets = ready.plan.targets().iter().zip(&ready.predictors).zip(rows);
        let actual = ran.map(|ran| Actual {
            ran,
            rows_expected: Estimate::Absent,
            predictions: targets
                .map(|((target, predictor), rows)| (&*target.task.name, predictor, *rows))
                .collect(),
            costs,
        });
        if how.json {
            let mut plan = materialise_json(ready, rows, costs);
            actual.iter().for_each(|actual| actual.add_to(&mut plan));
            return vec![plan.to_string()];
        }
        let mut lines = materialise_lines(ready, schema, rows, costs);
        actual
            .iter()
            .for_each(|actual| actual.add_lines(&mut lines));
        lines
    }
}

/// A stream plan in a few words: its tasks, and the models of each stage.
pub fn short_stream(ready: &Ready<'_, '_>) -> String {
    let asked = ready.select.predictions().iter().zip(&ready.predictions);
    let predictions = asked.map(|(asked, p)| match p.needed {
        true => plan_text::short(&asked.task, p.predictor.planned()),
        false => format!("{}: not needed", asked.task.name),
    });
    format!("stream {}", predictions.collect::<Vec<_>>().join("; "))
}

/// The same of a materialise plan.
pub fn short_materialise(ready: &ReadyPlan<'_, '_, '_>) -> String {
    let targets = ready.plan.targets().iter().zip(&ready.predictors);
    let predictions = targets.map(|(target, p)| plan_text::short(&target.task, p.planned()));
    format!("materialise {}", predictions.collect::<Vec<_>>().join("; "))
}

/// Writes what is shown as one column.
pub fn write(
    turn: &mut Turn<'_>,
    how: Explain,
    shown: Vec<String>,
    protocol: &Protocol,
    warnings: u16,
) {
    let width = shown.iter().map(String::len).max().unwrap_or(0);
    let width = u32::try_from(width).unwrap_or(u32::MAX).max(WIDTH);
    let result = TextResult {
        columns: vec![text_column(how.column, width)],
        rows: shown.into_iter().map(|l| vec![Bytes::from(l)]).collect(),
    };
    let codec = match protocol {
        Protocol::Text => Codec::Text,
        Protocol::Binary(_) => Codec::Binary,
    };
    let status = turn.end_status(*turn.status);
    result.write(&mut turn.out, turn.capabilities, codec, status, warnings);
}

/// The store's estimate of a stream plan's rows.
pub async fn stream_rows(
    turn: &mut Turn<'_>,
    ready: &Ready<'_, '_>,
) -> Result<Option<f64>, LinkError> {
    estimated_rows(turn, &ready.pushdown.text, &ready.protocol).await
}

fn stream_json(ready: &Ready<'_, '_>, rows: Option<f64>, costs: &CostModel) -> Value {
    let asked = ready.select.predictions().iter().zip(&ready.predictions);
    let predictions: Vec<Value> = asked
        .enumerate()
        .map(|(index, (asked, prediction))| {
            let estimate = reaching(ready, index, rows);
            let mut plan = plan_text::json(&prediction.predictor, &asked.task, estimate, costs);
            plan["input"] = json!(ready.select.input_text(asked.input));
            plan["needed"] = json!(prediction.needed);
            plan["outcomes_told_apart"] = json!(prediction.distinctions.blocks());
            plan
        })
        .collect();
    let filters = ready.ordered_tests();
    let filters: Vec<&str> = filters
        .map(|(_, test)| ready.select.test_text(test))
        .collect();
    json!({
        "plan": "stream",
        "predictions": predictions,
        "filters": filters,
        "pushdown": ready.select.abbreviated(&ready.pushdown.text.sql),
        "rows": rows,
        "limit_in_store": ready.pushdown.limit_pushed,
    })
}

fn materialise_json(
    ready: &ReadyPlan<'_, '_, '_>,
    rows: &[Estimate<u64>],
    costs: &CostModel,
) -> Value {
    let targets = ready.plan.targets().iter().zip(&ready.predictors).zip(rows);
    let predictions: Vec<Value> = targets
        .map(|((target, predictor), rows)| plan_text::json(predictor, &target.task, *rows, costs))
        .collect();
    json!({
        "plan": "materialise",
        "calls": ready.plan.call_count(),
        "harvests": ready.plan.harvests().len(),
        "predictions": predictions,
    })
}

fn estimate_of(rows: Option<f64>) -> Estimate<u64> {
    rows.map_or(Estimate::Absent, |rows| {
        Estimate::Inexact(rows.ceil() as u64)
    })
}

/// Rows that a prediction is expected to be made for.
fn reaching(ready: &Ready<'_, '_>, prediction: usize, rows: Option<f64>) -> Estimate<u64> {
    let share = ready.reached.get(prediction).copied().unwrap_or(1.0);
    estimate_of(rows.map(|rows| rows * share))
}

fn materialise_lines(
    ready: &ReadyPlan<'_, '_, '_>,
    schema: &str,
    rows: &[Estimate<u64>],
    costs: &CostModel,
) -> Vec<String> {
    let plan = ready.plan;
    let calls = match plan.call_count() {
        1 => "1 predict call".to_owned(),
        calls => format!("{calls} predict calls"),
    };
    let mut lines =
        vec!["Materialise plan: distinct inputs are predicted, then looked up".to_owned()];
    lines.push(format!(
        "Calls    {calls}, {} harvests",
        plan.harvests().len()
    ));
    for (index, (target, predictor)) in plan.targets().iter().zip(&ready.predictors).enumerate() {
        wrap(
            &mut lines,
            &format!("Predict {} ", index + 1),
            &format!("task {}", target.task.name),
        );
        let rows = rows.get(index).copied().unwrap_or(Estimate::Absent);
        decision_lines(&mut lines, predictor, &target.task, rows, costs);
    }
    let lookups: Vec<Lookup> = ready
        .harvests
        .iter()
        .map(|h| Lookup {
            form: h.form,
            relation: format!("`{schema}_session`.`r{}`", h.relation),
            columns: h.columns.clone(),
            shape: h.shape.clone(),
            members: None,
        })
        .collect();
    for (number, harvest) in ready.harvests.iter().enumerate() {
        let pass = HarvestPass {
            input_bytes_max: harvest.input_bytes_max,
            ..HarvestPass::default()
        };
        let query = plan.harvest(number, &harvest.shape, &lookups, pass);
        wrap(&mut lines, "Harvest  ", &plan.abbreviated(&query.sql));
    }
    let run = plan.run(&lookups);
    wrap(&mut lines, "Then     ", &plan.abbreviated(&run.sql));
    lines
}

/// The store's own estimate of the rows that the pushed-down statement gives, before LIMIT.
pub async fn estimated_rows(
    turn: &mut Turn<'_>,
    query: &Fragment,
    protocol: &Protocol,
) -> Result<Option<f64>, LinkError> {
    let mut explain = Fragment {
        sql: "EXPLAIN EXTENDED ".to_owned(),
        parameters: query.parameters.clone(),
    };
    explain.sql.push_str(&query.sql);
    let answer = match turn.store.ask(&explain, protocol).await {
        Err(LinkError::Refused(error)) if is_explain_refusal(&error) => return Ok(None),
        answer => answer?,
    };
    let column = |name: &[u8]| {
        answer
            .columns
            .iter()
            .position(|c| c.name.eq_ignore_ascii_case(name))
    };
    let (Some(id), Some(rows), filtered) = (column(b"id"), column(b"rows"), column(b"filtered"))
    else {
        return Ok(None);
    };
    if !matches!(protocol, Protocol::Text) {
        return Ok(None);
    }
    let mut estimate = 1.0;
    for row in 0..answer.rows.len() {
        if answer.text(row, id)?.as_deref() != Some("1") {
            continue;
        }
        let number = |text: Option<String>| text.and_then(|t| t.parse::<f64>().ok());
        if let Some(rows) = number(answer.text(row, rows)?) {
            estimate *= rows;
        }
        if let Some(column) = filtered
            && let Some(percent) = number(answer.text(row, column)?)
        {
            estimate *= percent / 100.0;
        }
    }
    Ok(Some(estimate))
}

fn lines(ready: &Ready<'_, '_>, rows: Option<f64>, costs: &CostModel) -> Vec<String> {
    let mut lines =
        vec!["Stream plan: the store filters, models answer, rows pass through".to_owned()];
    for (index, prediction) in ready.predictions.iter().enumerate() {
        let asked = (index, prediction);
        let reaching = reaching(ready, index, rows);
        prediction_lines(&mut lines, ready, asked, reaching, costs);
    }
    filter_lines(&mut lines, ready);
    let pushdown = ready.select.abbreviated(&ready.pushdown.text.sql);
    wrap(&mut lines, "Pushdown ", &pushdown);
    let counted = match (ready.select.limit(), ready.pushdown.limit_pushed) {
        (None, _) => "",
        (Some(_), true) => "; LIMIT in the store",
        (Some(_), false) => "; LIMIT ends inference early",
    };
    match rows {
        Some(rows) => {
            let predictions = ready.predictions.iter().enumerate();
            let needed = predictions.filter(|(_, p)| p.needed);
            let (mut images, mut seconds) = (0, 0.0);
            for (index, prediction) in needed {
                let reaching = reaching(ready, index, Some(rows));
                let price = prediction.predictor.planned().plan.price(reaching, costs);
                images += reaching.value().unwrap_or_default();
                seconds += price.map_or(0.0, |p| p.seconds.expected);
            }
            let threads = costs.threads;
            let text =
                format!("about {rows:.0} before predictions (the store's estimate){counted}");
            wrap(&mut lines, "Rows     ", &text);
            lines.push(format!("Images   about {images}"));
            lines.push(format!(
                "Seconds  about {} on {threads} CPU threads, images in reach",
                short(seconds)
            ));
        }
        None => lines.push(format!("Rows     not estimated by the store{counted}")),
    }
    lines
}

/// The tests of the condition in the order in which they are made.
fn filter_lines(lines: &mut Vec<String>, ready: &Ready<'_, '_>) {
    for (index, test) in ready.ordered_tests() {
        let text = ready.select.test_text(test);
        let wanted = if test.negated { "not " } else { "" };
        let by = match test.prediction() {
            Some(prediction) => format!("prediction {}", prediction + 1),
            None => "in the store".to_owned(),
        };
        let share = ready.expected.get(index).and_then(|e| e.share.value());
        let share = share.map_or(String::new(), |share| {
            format!("; about {:.1} % of rows", share * 100.0)
        });
        wrap(
            lines,
            "Filter   ",
            &format!("{wanted}{text}  ({by}{share})"),
        );
    }
}

fn prediction_lines(
    lines: &mut Vec<String>,
    ready: &Ready<'_, '_>,
    (index, prediction): (usize, &ReadyPrediction),
    rows: Estimate<u64>,
    costs: &CostModel,
) {
    let Some(asked) = ready.select.predictions().get(index) else {
        return;
    };
    let input = ready.select.input_text(asked.input);
    wrap(
        lines,
        &format!("Predict {} ", index + 1),
        &format!("task {} of {input}", asked.task.name),
    );
    decision_lines(lines, &prediction.predictor, &asked.task, rows, costs);
    let outcomes = asked.task.classes.len() + 1;
    let needs = if !prediction.needed {
        "no inference: the answer does not depend on it".to_owned()
    } else if prediction.distinctions.blocks() > 1 {
        format!(
            "{} of {outcomes} outcomes told apart",
            prediction.distinctions.blocks()
        )
    } else {
        "every row".to_owned()
    };
    wrap(lines, "  Needs   ", &needs);
}

/// Which models answer, why, and at which cost.
fn decision_lines(
    lines: &mut Vec<String>,
    predictor: &Predictor,
    task: &Task,
    rows: Estimate<u64>,
    costs: &CostModel,
) {
    for (label, text) in plan_text::lines(predictor, task, rows, costs) {
        wrap(lines, &label, &text);
    }
}
