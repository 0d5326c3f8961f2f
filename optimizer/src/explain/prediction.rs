//! The plan of a prediction in EXPLAIN: labelled lines for users and JSON for programs.

use predictsql_catalog::{Answers, Task, Vote};
use serde_json::{Value, json};

use crate::plan::Prediction;
use crate::planner::{
    Basis, CostModel, Decided, Declared, Estimate, Interval, Plan, Prior, Rejected, Stage,
    StageEstimate, Voter, class_names,
};

/// Maximum number of reasons for rejected models in the text output.
const REASONS_SHOWN: usize = 24;

/// Label of the lines that name rejected models.
const REJECTED: &str = "  Rejected: ";

/// Lines as (label, text): the chosen models, the reason, the cost, and the expected accuracy.
pub fn lines(prediction: &Prediction, outputs: Kept, costs: &CostModel) -> Vec<(String, String)> {
    let (task, planned) = (&*prediction.task, &*prediction.decided);
    let plan = &planned.plan;
    let mut lines = stage_lines(plan);
    let mut line = |label: &str, text: String| lines.push((label.to_owned(), text));
    line("  Answers: ", whose(planned.answers).to_owned());
    line("  Why     ", why(plan, task));
    if plan.decision.floor > 0 {
        let floor = share(plan.decision.floor);
        line(
            "  Other   ",
            format!("where no model is surer than {floor:.3}"),
        );
    }
    line(&format!("  {:<8} ", plan.metric.name()), accuracy(plan));
    if !plan.population.is_empty() {
        line("  Rows of ", plan.population.clone());
    }
    if let Some(prior) = &plan.prior {
        line("  Prior   ", shares(prior, task));
    }
    line("  Price   ", price(plan, prediction.inputs, costs));
    line("  Kept    ", kept(outputs));
    if let Some(text) = planned.unplanned_limits() {
        line("  Limit   ", text);
    }
    if let Some(text) = planned.unshown(task) {
        line("  Limit   ", text);
    }
    let unknown = class_names(task, &plan.uncovered);
    if !unknown.is_empty() {
        line(
            "  Unknown ",
            format!("no model of the plan knows {unknown}"),
        );
    }
    let unmeasured = class_names(task, &plan.unmeasured);
    if matches!(plan.basis, Basis::Measured) && !unmeasured.is_empty() {
        line("  Guessed ", format!("no labelled row shows {unmeasured}"));
    }
    if let Some(gap) = plan.gap {
        line(
            "  Gap     ",
            format!(
                "at most {:.2} points better, or {:.1} % cheaper, of one stage",
                gap.value * 100.0,
                gap.cost * 100.0,
            ),
        );
    }
    line(
        "  Planned ",
        format!(
            "in {}, by {} replays of the labelled rows",
            duration(planned.seconds),
            plan.replays
        ),
    );
    lines.extend(rejected_lines(plan));
    lines
}

/// The stages in short form: models that vote together are joined by `+`; `>` separates the
/// stages.
pub fn short(task: &Task, planned: &Decided) -> String {
    let stage = |stage: &Stage| stage.voters.iter().map(model_name).collect::<Vec<_>>();
    let stages = planned.plan.decision.stages.iter();
    let stages: Vec<String> = stages.map(|s| stage(s).join(" + ")).collect();
    format!("{}: {}", task.name, stages.join(" > "))
}

/// A voter's model as `model@version`.
pub fn model_name(voter: &Voter) -> String {
    format!("{}@{}", voter.model.name, voter.model.version)
}

/// Whose decision answers.
fn whose(answers: Answers) -> &'static str {
    match answers {
        Answers::Stable => "the task's own",
        Answers::PerStatement => "this statement's plan",
    }
}

/// Usage of cached model outputs by a prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kept {
    /// The cache setting by its name; `None`: inputs of this kind are never looked up.
    pub mode: Option<&'static str>,
    /// Whether outputs are looked up.
    pub looks_up: bool,
    /// Cache hit rate so far.
    pub hit_rate_so_far: Option<f64>,
}

/// Text about cached outputs, before any input is read.
fn kept(outputs: Kept) -> String {
    match (outputs.mode, outputs.hit_rate_so_far) {
        (None, _) => "no outputs: inputs of this kind are always run".to_owned(),
        (Some(_), _) if !outputs.looks_up => "outputs are not looked up (@ml_cache)".to_owned(),
        (Some(_), None) => "unknown until inputs are read".to_owned(),
        (Some(_), Some(rate)) => format!(
            "unknown until inputs are read; so far {:.1} % of the outputs looked up",
            rate * 100.0
        ),
    }
}

fn stage_lines(plan: &Plan) -> Vec<(String, String)> {
    let stages = plan.decision.stages.iter().zip(&plan.stages).enumerate();
    let mut lines = Vec::new();
    let mut before = None;
    for (number, (stage, estimate)) in stages {
        let label = match plan.decision.stages.len() {
            1 => "  Model   ".to_owned(),
            _ => format!("  Stage {} ", number + 1),
        };
        lines.push((label, stage_text(stage, estimate, before)));
        before = stage.pass_below;
    }
    lines
}

fn stage_text(stage: &Stage, estimate: &StageEstimate, before: Option<u16>) -> String {
    let names: Vec<String> = stage.voters.iter().map(model_name).collect();
    let mut text = names.join(", ");
    if let Some(before) = before {
        text.push_str(&format!(
            ": {:.1} % of rows, where nothing is surer than {:.3}",
            estimate.share * 100.0,
            share(before)
        ));
        if stage.replaces {
            text.push_str(", and answers them alone");
        }
    }
    if let Some(seconds) = estimate.seconds.value() {
        text.push_str(&format!("; {} an image", duration(seconds)));
    } else {
        text.push_str("; cost not measured");
    }
    text
}

fn why(plan: &Plan, task: &Task) -> String {
    match plan.basis {
        Basis::Named => "named by the statement".to_owned(),
        Basis::Guess(Declared::Best(accuracy)) => format!(
            "a guess, nothing is measured (EVALUATE TASK {}): it covers all {} classes with the best declared accuracy, {accuracy}",
            task.name,
            task.classes.len()
        ),
        Basis::Guess(_) => format!(
            "a guess, nothing is measured (EVALUATE TASK {}): it covers all classes and was created last",
            task.name
        ),
        Basis::Measured => format!("strategy {}, by measured votes", plan.strategy.name()),
    }
}

fn accuracy(plan: &Plan) -> String {
    let mut text = match plan.accuracy {
        Estimate::Exact(value) | Estimate::Inexact(value) => format!("{value:.3} expected"),
        Estimate::Absent => "unknown".to_owned(),
    };
    if let Some(guarantee) = plan.guarantee {
        let asked = match guarantee.is_asked_for {
            true => "promised",
            false => "likely",
        };
        text.push_str(&format!(
            "; at least {:.3} {asked} with {:.0} % confidence, by {} labelled rows that were not searched",
            guarantee.at_least,
            100.0 * (1.0 - guarantee.failure),
            guarantee.rows
        ));
    }
    text
}

/// The classes with the largest shares.
fn shares(prior: &Prior, task: &Task) -> String {
    const SHOWN: usize = 6;
    let mut classes: Vec<(&String, f64)> = (0..)
        .zip(&task.classes)
        .map(|(class, name)| (name, prior.share(class)))
        .filter(|(_, share)| *share > 0.0)
        .collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let one = |(name, share): &(&String, f64)| format!("'{name}' {:.1} %", share * 100.0);
    let mut text = classes
        .iter()
        .take(SHOWN)
        .map(one)
        .collect::<Vec<_>>()
        .join(", ");
    if classes.len() > SHOWN {
        text.push_str(&format!(", {} more classes", classes.len() - SHOWN));
    }
    text
}

fn price(plan: &Plan, rows: Estimate<u64>, costs: &CostModel) -> String {
    let Some((price, rows)) = plan.price(rows, costs).zip(rows.value()) else {
        return "not known before it runs".to_owned();
    };
    let mut text = format!(
        "{} for {rows} images; {} of the device",
        spread(price.seconds),
        spread(price.device_seconds)
    );
    if let Some(cost) = price.cost {
        text.push_str(&format!(
            "; cost {} ({} to {})",
            amount(cost.expected),
            amount(cost.low),
            amount(cost.high)
        ));
    }
    text
}

/// An amount of money in the unit of the device's price.
pub fn amount(cost: f64) -> String {
    match cost {
        c if c <= 0.0 => "0".to_owned(),
        c if c < 1e-3 => format!("{c:.1e}"),
        c if c < 100.0 => format!("{c:.4}"),
        c => format!("{c:.0}"),
    }
}

fn spread(interval: Interval) -> String {
    format!(
        "{} ({} to {})",
        duration(interval.expected),
        duration(interval.low),
        duration(interval.high)
    )
}

/// The models that were not chosen, grouped by reason.
fn rejected_lines(plan: &Plan) -> Vec<(String, String)> {
    let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
    for Rejected { model, reason } in &plan.rejected {
        let (name, reason) = (
            format!("{}@{}", model.name, model.version),
            reason.to_string(),
        );
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((reason, vec![name])),
        }
    }
    let line = |(reason, names): &(String, Vec<String>)| {
        let text = format!("{} ({reason})", names.join(", "));
        (REJECTED.to_owned(), text)
    };
    let mut lines: Vec<_> = by_reason.iter().take(REASONS_SHOWN).map(line).collect();
    let more = by_reason.iter().skip(REASONS_SHOWN);
    let more: usize = more.map(|(_, names)| names.len()).sum();
    if more > 0 {
        let text = format!("{more} more: FORMAT=JSON names them");
        lines.push((REJECTED.to_owned(), text));
    }
    lines
}

/// A score as a fraction of one.
fn share(score: u16) -> f64 {
    f64::from(score) / f64::from(Vote::SCORE_MAX)
}

/// A duration with a suitable unit.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s <= 0.0 => "0 s".to_owned(),
        s if s < 1e-3 => format!("{:.1} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// The same as JSON.
pub fn json(prediction: &Prediction, outputs: Kept, costs: &CostModel) -> Value {
    let (task, planned) = (&*prediction.task, &*prediction.decided);
    let (plan, rows) = (&planned.plan, prediction.inputs);
    let stages = plan.decision.stages.iter().zip(&plan.stages);
    let names = |classes: &[usize]| -> Vec<&String> {
        let found = classes.iter().filter_map(|c| task.classes.get(*c));
        found.collect()
    };
    let interval = |i: Interval| json!({"low": i.low, "expected": i.expected, "high": i.high});
    let price = plan.price(rows, costs);
    json!({
        "task": task.name,
        "answers": planned.answers.name(),
        "basis": match plan.basis {
            Basis::Named => "named",
            Basis::Guess(_) => "guess",
            Basis::Measured => "measured",
        },
        "strategy": plan.strategy.name(),
        "stages": stages.map(|(stage, estimate)| json!({
            "models": stage.voters.iter().map(|v| json!({
                "name": v.model.name, "version": v.model.version,
            })).collect::<Vec<_>>(),
            "pass_below": stage.pass_below.map(share),
            "replaces": stage.replaces,
            "share_of_rows": estimate.share,
            "share_between": [estimate.share_between.0, estimate.share_between.1],
            "seconds_per_image": estimate.seconds.value(),
            "inference_seconds_per_image": estimate.inference_seconds.value(),
        })).collect::<Vec<_>>(),
        "floor": share(plan.decision.floor),
        "metric": plan.metric.name(),
        "expected": plan.accuracy.value(),
        "at_least": plan.guarantee.map(|g| json!({
            "value": g.at_least, "confidence": 1.0 - g.failure, "rows": g.rows, "promised": g.is_asked_for,
        })),
        "population": plan.population,
        "prior": plan.prior.as_ref().map(|prior| (0..).zip(&task.classes)
            .map(|(class, name)| (name.clone(), json!(prior.share(class))))
            .collect::<serde_json::Map<_, _>>()),
        "prior_without_labelled_rows": names(&plan.unshown),
        "rows": rows.value(),
        "seconds": price.map(|p| interval(p.seconds)),
        "device_seconds": price.map(|p| interval(p.device_seconds)),
        "cache": outputs.mode,
        "hit_rate_so_far": outputs.hit_rate_so_far,
        "cost": price.and_then(|p| p.cost).map(interval),
        "limits_not_planned_for": planned.unplanned_limits(),
        "gap": plan.gap.map(|g| json!({"points": g.value * 100.0, "cost_share": g.cost})),
        "replays": plan.replays,
        "planning_seconds": planned.seconds,
        "classes_unknown_to_the_plan": names(&plan.uncovered),
        "classes_without_labelled_rows": names(&plan.unmeasured),
        "not_chosen": plan.rejected.iter().map(|r| json!({
            "name": r.model.name, "version": r.model.version, "reason": r.reason.to_string(),
        })).collect::<Vec<_>>(),
    })
}
