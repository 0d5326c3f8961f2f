//! Constraints that cannot be kept: errors that say what could be, and what is missing.

use std::fmt::Write as _;

use predictsql_catalog::TaskStatistics;

use super::certificate::{Counts, FAILURE_PROBABILITY};
use super::decide::Measured;
use super::pick::Choice;
use super::query::Query;
use crate::Refusal;

/// Classes named in a message.
const NAMES_MAX: usize = 5;

/// Nothing was measured that would tell of the query.
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

/// No plan that can be promised to keep `least`. `first` is the plan likeliest to, with how it answers the rows
/// that certify.
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
    // More rows help as far as what was seen, here or where plans are searched, is enough.
    match counts.rows_needed(metric, least, FAILURE_PROBABILITY) {
        Some(rows) if rows > counts.rows => {
            let more = rows - counts.rows;
            let mix = if is_weighted {
                ", in the prior's shares,"
            } else {
                ""
            };
            let _ = write!(
                text,
                "; about {more} more labelled rows for certification{mix} could do"
            );
        }
        _ if counts.rows == 0 => text.push_str("; more labelled rows are needed"),
        _ => {
            text.push_str("; better models are needed");
            let weak = measured.weakest(&choice);
            if !weak.is_empty() {
                let _ = write!(text, ", most of all for {}", weak.join(", "));
            }
        }
    }
    Refusal::constraint(text)
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
