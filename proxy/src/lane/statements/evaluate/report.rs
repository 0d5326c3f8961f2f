//! What EVALUATE answers: one row a model.

use mysql_common::constants::ColumnType;
use predictsql_catalog::EvaluatedModel;
use predictsql_catalog::store::{NewEvaluation, Published};

use predictsql_executor::evaluation::{Verdict, verdicts};

use crate::error::ErrorKind;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::statements::evaluate::request::Request;
use crate::lane::statements::evaluate::run::Summary;
use crate::lane::store::result::{number_column, text_column, write_head};
use crate::lane::store::rows::{Codec, double_cell, put_row, string_cell};
use crate::lane::turn::Turn;
use crate::wire::{ColumnDefinition, encode_result_end};

/// Most classes that a warning of permuted labels shows.
const MOVED_SHOWN_MAX: usize = 10;

/// The columns of the answer.
pub fn columns() -> Vec<ColumnDefinition> {
    let double = |name| number_column(name, ColumnType::MYSQL_TYPE_DOUBLE);
    vec![
        text_column("Model", 60),
        text_column("Version", 60),
        number_column("Rows", ColumnType::MYSQL_TYPE_LONGLONG),
        double("Accuracy"),
        double("Accuracy_all"),
        double("Seconds_per_image"),
        double("Load_seconds"),
        number_column("Foreign", ColumnType::MYSQL_TYPE_LONGLONG),
        number_column("Left_out", ColumnType::MYSQL_TYPE_LONGLONG),
        text_column("Left_out_why", 255),
        text_column("Parts", 60),
    ]
}

/// Says which models are worse than guessing, and whose labels look permuted.
pub fn warn_of_models(diagnostics: &mut Diagnostics, request: &Request, new: &NewEvaluation) {
    let outcome = |class: &String| {
        let index = request.task.class_index(class)?;
        u16::try_from(index + 1).ok()
    };
    for (model, evaluated) in request.models.iter().zip(&new.models) {
        let covered: Vec<u16> = model.covers.iter().filter_map(outcome).collect();
        for verdict in verdicts(evaluated, &covered) {
            let text = verdict_text(&evaluated.name, &request.task.classes, &verdict);
            diagnostics.warn(ErrorKind::Other, || text);
        }
    }
}

fn verdict_text(model: &str, classes: &[String], verdict: &Verdict) -> String {
    let class = |outcome: u16| {
        let index = usize::from(outcome).checked_sub(1);
        let class = index.and_then(|index| classes.get(index));
        class.map_or("none of its classes", String::as_str)
    };
    match verdict {
        Verdict::WorseThanGuessing {
            rows,
            correct,
            most_frequent: (outcome, most),
        } => format!(
            "Model '{model}' is worse than guessing: it answers {correct} of {rows} rows correctly, and \
             always answering '{}' would have {most} right",
            class(*outcome)
        ),
        Verdict::Permuted(moved) => {
            let shown = moved.iter().take(MOVED_SHOWN_MAX);
            let shown = shown.map(|&(truth, answer)| {
                format!("'{}' is answered '{}'", class(truth), class(answer))
            });
            let more = match moved.len() > MOVED_SHOWN_MAX {
                true => ", and so on",
                false => "",
            };
            format!(
                "The labels of model '{model}' look permuted: {}{more}. The order of its option labels (or of \
                 the task's classes) may not be that of its output",
                shown.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// Says what keeps the statistics from being used.
pub fn warn_of_use(diagnostics: &mut Diagnostics, new: &NewEvaluation, published: Published) {
    if !published.planned_with {
        diagnostics.warn(ErrorKind::Other, || {
            let task = &new.task.name;
            let models = new.models.iter().map(|m| format!("'{}'", m.name));
            format!(
                "Model {} was evaluated on other rows than task '{task}': plans do without it until \
                 EVALUATE TASK {task}, or EVALUATE MODEL on the task's rows",
                models.collect::<Vec<_>>().join(", ")
            )
        });
    }
    let population = &new.population;
    for (part, rows) in [
        ("calibrate by", population.cal_rows as usize),
        ("search plans on", population.plan.len()),
        ("certify by", population.cert.len()),
    ] {
        if rows == 0 {
            diagnostics.warn(ErrorKind::Other, || {
                format!("There are too few labelled rows: none is left to {part}")
            });
        }
    }
}

/// Writes the answer.
pub fn write(
    turn: &mut Turn<'_>,
    (new, summary): (&NewEvaluation, &Summary),
    codec: Codec,
    warnings: u16,
) {
    write_head(
        &mut turn.out,
        turn.capabilities,
        &columns(),
        turn.status.flags(),
    );
    for model in &new.models {
        let mut cells = row(model, codec);
        cells.extend(summary_cells(summary, codec));
        turn.out
            .write_with(|out| put_row(out, codec, cells.iter().map(Option::as_deref)));
    }
    let status = turn.end_status(turn.status.flags());
    turn.out
        .write(&encode_result_end(turn.capabilities, status, warnings));
}

fn row(model: &EvaluatedModel, codec: Codec) -> Vec<Option<Vec<u8>>> {
    let tallies = || model.tallies.iter().map(|(_, tally)| tally);
    let own: u32 = tallies().map(|t| t.own).sum();
    let own_correct: u32 = tallies().map(|t| t.own_correct).sum();
    let all: u32 = tallies().map(|t| t.all).sum();
    let all_correct: u32 = tallies().map(|t| t.all_correct).sum();
    let cost = model.statistics.costs.first();
    let double = |value: Option<f64>| value.map(|value| double_cell(codec, value));
    let share = |part: u32, whole: u32| {
        let share = f64::from(part) / f64::from(whole);
        double(share.is_finite().then_some(share))
    };
    vec![
        Some(string_cell(model.name.as_bytes())),
        Some(string_cell(model.version.as_bytes())),
        Some(count_cell(codec, all.into())),
        share(own_correct, own),
        share(all_correct, all),
        double(cost.and_then(|c| c.seconds_per_input())),
        double(cost.map(|c| c.load_seconds)),
    ]
}

fn count_cell(codec: Codec, count: u64) -> Vec<u8> {
    match codec {
        Codec::Text => string_cell(count.to_string().as_bytes()),
        Codec::Binary => count.to_le_bytes().to_vec(),
    }
}

/// The last columns: what became of the rows.
fn summary_cells(summary: &Summary, codec: Codec) -> [Option<Vec<u8>>; 4] {
    let left_out: u64 = summary.left_out.iter().map(|(_, rows)| rows).sum();
    let why = summary
        .left_out
        .iter()
        .map(|(why, rows)| format!("{rows} {why}"));
    let why = why.collect::<Vec<_>>().join(", ");
    let parts: Vec<String> = summary.parts.iter().map(usize::to_string).collect();
    [
        Some(count_cell(codec, summary.foreign)),
        Some(count_cell(codec, left_out)),
        Some(string_cell(why.as_bytes())),
        Some(string_cell(parts.join(" + ").as_bytes())),
    ]
}
