//! EXPLAIN of a statement with predictions: what would run where, and what it would cost.

use bytes::Bytes;
use predictsql_catalog::Task;
use predictsql_optimizer::Fragment;
use predictsql_optimizer::materialise::{HarvestPass, Lookup};
use predictsql_optimizer::planner::{CostModel, Estimate};
use predictsql_optimizer::statement::Explain;
use serde_json::{Value, json};

use super::diagnostics::Diagnostics;
use super::materialise::ready::ReadyPlan;
use super::plan_text;
use super::result::{TextResult, text_column};
use super::rows::Codec;
use super::select::{Ready, ReadyPrediction};
use super::store_link::{LinkError, Protocol};
use super::views::is_explain_refusal;
use super::{LaneContext, Turn};
use crate::predict::Planned;

/// Widest line, in characters.
const WIDTH: usize = 80;

/// Writes the plan as one column: a line a row, or one row of JSON.
pub async fn answer(
    turn: &mut Turn<'_>,
    context: &LaneContext,
    ready: &Ready<'_, '_>,
    how: Explain,
) -> Result<Diagnostics, LinkError> {
    let rows = estimated_rows(turn, &ready.pushdown.text, &ready.protocol).await?;
    let costs = context.planner.costs();
    let shown = match how {
        Explain::Lines => lines(ready, rows, costs),
        Explain::Json => vec![stream_json(ready, rows, costs)],
    };
    write(turn, shown, &ready.protocol);
    Ok(Diagnostics::default())
}

/// Writes a materialise plan likewise.
pub async fn answer_materialise(
    turn: &mut Turn<'_>,
    context: &LaneContext,
    ready: &ReadyPlan<'_, '_, '_>,
    how: Explain,
) -> Result<Diagnostics, LinkError> {
    let costs = context.planner.costs();
    let mut rows = Vec::new();
    for target in 0..ready.predictors.len() {
        rows.push(ready.estimated_inputs(turn, target).await?);
    }
    let shown = match how {
        Explain::Lines => materialise_lines(ready, context.schema.as_str(), &rows, costs),
        Explain::Json => vec![materialise_json(ready, &rows, costs)],
    };
    write(turn, shown, &Protocol::Text);
    Ok(Diagnostics::default())
}

fn write(turn: &mut Turn<'_>, shown: Vec<String>, protocol: &Protocol) {
    let width = shown.iter().map(String::len).max().unwrap_or(0).max(WIDTH);
    let result = TextResult {
        columns: vec![text_column(
            "EXPLAIN",
            u32::try_from(width).unwrap_or(u32::MAX),
        )],
        rows: shown.into_iter().map(|l| vec![Bytes::from(l)]).collect(),
    };
    let codec = match protocol {
        Protocol::Text => Codec::Text,
        Protocol::Binary(_) => Codec::Binary,
    };
    let status = turn.end_status(*turn.status);
    result.write(&mut turn.out, turn.capabilities, codec, status, 0);
}

fn stream_json(ready: &Ready<'_, '_>, rows: Option<f64>, costs: &CostModel) -> String {
    let estimate = estimate_of(rows);
    let asked = ready.select.predictions().iter().zip(&ready.predictions);
    let predictions: Vec<Value> = asked
        .map(|(asked, prediction)| {
            let mut plan =
                plan_text::json(prediction.predictor.planned(), &asked.task, estimate, costs);
            plan["input"] = json!(ready.select.input_text(asked.input));
            plan["needed"] = json!(prediction.needed);
            plan["outcomes_told_apart"] = json!(prediction.distinctions.blocks());
            plan
        })
        .collect();
    let filters: Vec<&str> = (0..ready.select.conjuncts().len())
        .map(|index| ready.select.conjunct_text(index))
        .collect();
    json!({
        "plan": "stream",
        "predictions": predictions,
        "filters": filters,
        "pushdown": ready.select.abbreviated(&ready.pushdown.text.sql),
        "rows": rows,
        "limit_in_store": ready.pushdown.limit_pushed,
    })
    .to_string()
}

fn materialise_json(
    ready: &ReadyPlan<'_, '_, '_>,
    rows: &[Estimate<u64>],
    costs: &CostModel,
) -> String {
    let targets = ready.plan.targets().iter().zip(&ready.predictors).zip(rows);
    let predictions: Vec<Value> = targets
        .map(|((target, predictor), rows)| {
            plan_text::json(predictor.planned(), &target.task, *rows, costs)
        })
        .collect();
    json!({
        "plan": "materialise",
        "calls": ready.plan.call_count(),
        "harvests": ready.plan.harvests().len(),
        "predictions": predictions,
    })
    .to_string()
}

fn estimate_of(rows: Option<f64>) -> Estimate<u64> {
    rows.map_or(Estimate::Absent, |rows| {
        Estimate::Inexact(rows.ceil() as u64)
    })
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
        let planned = predictor.planned();
        let rows = rows.get(index).copied().unwrap_or(Estimate::Absent);
        decision_lines(&mut lines, planned, &target.task, rows, costs);
    }
    let lookups: Vec<Lookup> = ready
        .harvests
        .iter()
        .map(|h| Lookup {
            form: h.form,
            relation: format!("`{schema}_session`.`r{}`", h.relation),
            columns: h.columns.clone(),
            shape: h.shape.clone(),
        })
        .collect();
    for (number, harvest) in ready.harvests.iter().enumerate() {
        let query = plan.harvest(number, &harvest.shape, &lookups, HarvestPass::default());
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
    let estimate = estimate_of(rows);
    let mut lines =
        vec!["Stream plan: the store filters, models answer, rows pass through".to_owned()];
    for (index, prediction) in ready.predictions.iter().enumerate() {
        let asked = (index, prediction);
        prediction_lines(&mut lines, ready, asked, estimate, costs);
    }
    for (index, conjunct) in ready.select.conjuncts().enumerate() {
        let text = ready.select.conjunct_text(index);
        wrap(
            &mut lines,
            "Filter   ",
            &format!("{text}  (prediction {})", conjunct.prediction() + 1),
        );
    }
    let pushdown = ready.select.abbreviated(&ready.pushdown.text.sql);
    wrap(&mut lines, "Pushdown ", &pushdown);
    let counted = match (ready.select.limit(), ready.pushdown.limit_pushed) {
        (None, _) => "",
        (Some(_), true) => "; LIMIT in the store",
        (Some(_), false) => "; LIMIT ends inference early",
    };
    match rows {
        Some(rows) => {
            let needed = || ready.predictions.iter().filter(|p| p.needed);
            let inferring = needed().count();
            let price = |p: &ReadyPrediction| p.predictor.planned().plan.price(estimate, costs);
            let seconds: f64 = needed().filter_map(price).map(|p| p.seconds.expected).sum();
            let threads = costs.threads;
            let text =
                format!("about {rows:.0} before predictions (the store's estimate){counted}");
            wrap(&mut lines, "Rows     ", &text);
            lines.push(format!("Images   about {:.0}", rows * inferring as f64));
            lines.push(format!(
                "Seconds  about {} on {threads} CPU threads, images in reach",
                short(seconds)
            ));
        }
        None => lines.push(format!("Rows     not estimated by the store{counted}")),
    }
    lines
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
    let planned = prediction.predictor.planned();
    decision_lines(lines, planned, &asked.task, rows, costs);
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
    planned: &Planned,
    task: &Task,
    rows: Estimate<u64>,
    costs: &CostModel,
) {
    for (label, text) in plan_text::lines(planned, task, rows, costs) {
        wrap(lines, &label, &text);
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    match value {
        v if v <= 0.0 || !v.is_finite() => "0".to_owned(),
        v => {
            let digits = (2 - v.log10().floor() as i32).clamp(0, 12);
            format!("{v:.*}", digits as usize)
        }
    }
}

/// Adds `text` after `label`, broken at spaces so that no line is wider than [`WIDTH`].
fn wrap(lines: &mut Vec<String>, label: &str, text: &str) {
    let indent = label.chars().count();
    let room = WIDTH.saturating_sub(indent).max(1);
    let mut line = String::new();
    let mut first = true;
    let mut push = |line: &mut String| {
        let start = if std::mem::take(&mut first) {
            label.to_owned()
        } else {
            " ".repeat(indent)
        };
        lines.push(format!("{start}{}", std::mem::take(line)));
    };
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > room {
            push(&mut line);
        }
        while word.len() > room {
            let rest = word.split_off(room);
            line.extend(word);
            push(&mut line);
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    push(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut lines = Vec::new();
        wrap(
            &mut lines,
            "Pushdown ",
            &format!("{} {} tail", "word ".repeat(40), "x".repeat(200)),
        );
        assert!(
            lines.iter().all(|l| l.chars().count() <= WIDTH),
            "{lines:?}"
        );
        let joined: String = lines
            .iter()
            .map(|l| l.get(9..).unwrap_or_default().trim())
            .collect();
        assert_eq!(joined.matches('x').count(), 200);
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(short(0.001_234_5), "0.00123");
        assert_eq!(short(12.345), "12.3");
        assert_eq!(short(1234.5), "1234");
        assert_eq!(short(0.0), "0");
    }
}
