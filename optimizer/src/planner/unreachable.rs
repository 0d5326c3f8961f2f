//! Refusals of constraints that cannot be kept: they state what is possible and what is missing.

use std::fmt::Write as _;

use predictsql_catalog::TaskStatistics;

use super::answered::Rows;
use super::certificate::{Counts, FAILURE_PROBABILITY};
use super::choice::Choice;
use super::measured::Measured;
use super::query::Query;
use crate::Refusal;

/// Maximum number of classes named in a message.
const NAMES_MAX: usize = 5;

/// The refusal where no measurements apply to the query.
pub(super) fn not_measured(
    query: &Query<'_>,
    least: f64,
    statistics: Option<&TaskStatistics>,
) -> Refusal {
    let task = &query.task.name;
    let why = match statistics {
        None => format!("no labelled rows of task '{task}' were evaluated"),
        Some(s) if s.models.is_empty() => format!("no model of task '{task}' was evaluated"),
        Some(_) => format!(
            "no evaluated model or labelled row of task '{task}' is of {}",
            names(query, query.blocks.needed())
        ),
    };
    Refusal::constraint(format_args!(
        "min_accuracy = {least} cannot be promised: {why}; EVALUATE TASK {task} ON (SELECT input, label FROM ...) measures"
    ))
}

/// The refusal where no plan is certified to keep `least`. `first` is the plan most likely to keep
/// it, with its counts on the certification rows.
pub(super) fn not_certified(
    measured: &Measured<'_>,
    least: f64,
    first: Option<(Counts, Choice)>,
) -> Refusal {
    let (query, metric) = (measured.query, measured.query.metric);
    let mut text = format!(
        "min_accuracy = {least} ({}) cannot be promised: ",
        metric.name()
    );
    let Some((counts, choice)) = first else {
        text.push_str("no model answers");
        return Refusal::constraint(text);
    };
    let bound = (counts.lower_bound(metric, FAILURE_PROBABILITY) * 1_000.0).floor() / 1_000.0;
    let sure = 100.0 * (1.0 - FAILURE_PROBABILITY);
    let is_weighted = query.prior.is_some();
    let weighted = if is_weighted {
        " (of the declared prior)"
    } else {
        ""
    };
    let _ = match counts.observed(metric) {
        Some(seen) => write!(
            text,
            "the plan likeliest to keep it reaches {seen:.3} on {} labelled rows{weighted}, at least {bound:.3} with {sure:.0} % confidence, which can be had",
            counts.rows
        ),
        None => write!(
            text,
            "no row for certification is of {}",
            names(query, query.blocks.needed())
        ),
    };
    let missing: Vec<usize> = query
        .blocks
        .needed()
        .filter(|c| !knows(measured, *c))
        .collect();
    if !missing.is_empty() {
        let _ = write!(
            text,
            "; no evaluated model knows {}",
            names(query, missing.iter().copied())
        );
    }
    text.push_str(&what_could_do(measured, least, counts, &choice));
    Refusal::constraint(text)
}

/// Suggests what would help: more rows if the observed metric is sufficient, otherwise better
/// models.
fn what_could_do(measured: &Measured<'_>, least: f64, counts: Counts, choice: &Choice) -> String {
    let query = measured.query;
    match counts.rows_needed(query.metric, least, FAILURE_PROBABILITY) {
        Some(rows) if rows > counts.rows => {
            let more = rows - counts.rows;
            let mix = match query.prior {
                Some(_) => ", in the prior's shares,",
                None => "",
            };
            format!("; about {more} more labelled rows for certification{mix} could do")
        }
        _ if counts.rows == 0 => "; more labelled rows are needed".to_owned(),
        _ => {
            let weak = weakest(measured, choice);
            match weak.is_empty() {
                true => "; better models are needed".to_owned(),
                false => format!(
                    "; better models are needed, most of all for {}",
                    weak.join(", ")
                ),
            }
        }
    }
}

/// Names of the needed classes with the lowest recall of a choice, on the rows that plans are
/// searched on.
fn weakest(measured: &Measured<'_>, choice: &Choice) -> Vec<String> {
    const SHOWN: usize = 3;
    let answers = Rows::plan(measured).answers(choice);
    let mut recalls = measured.sample.recalls(&answers);
    let recall = |right: u64, all: u64| right as f64 / all.max(1) as f64;
    recalls.sort_by(|a, b| recall(a.1, a.2).total_cmp(&recall(b.1, b.2)));
    let name = |(block, right, all): &(u32, u64, u64)| {
        let mut classes = measured.query.blocks.needed();
        let class = classes.find(|c| measured.query.blocks.is_in(*c, *block))?;
        let name = measured.query.task.classes.get(class)?;
        Some(format!("'{name}' (recall {:.2})", recall(*right, *all)))
    };
    recalls
        .iter()
        .filter(|(_, right, all)| right < all)
        .take(SHOWN)
        .filter_map(name)
        .collect()
}

fn knows(measured: &Measured<'_>, class: usize) -> bool {
    let candidates = u16::try_from(measured.candidates.len()).unwrap_or(u16::MAX);
    (0..candidates).any(|m| measured.known(m).any(|known| known == class))
}

fn names(query: &Query<'_>, classes: impl Iterator<Item = usize>) -> String {
    let mut classes: Vec<String> = classes
        .filter_map(|c| Some(format!("'{}'", query.task.classes.get(c)?)))
        .collect();
    if classes.len() > NAMES_MAX {
        let more = classes.len() - NAMES_MAX;
        classes.truncate(NAMES_MAX);
        return format!("{} and {more} more", classes.join(", "));
    }
    classes.join(", ")
}
