//! What EVALUATE answers: one row a model.

use mysql_common::constants::ColumnType;
use predictsql_catalog::EvaluatedModel;
use predictsql_catalog::store::{NewEvaluation, Published};

use crate::error::ErrorKind;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::store::result::{number_column, text_column, write_head};
use crate::lane::store::rows::{Codec, double_cell, put_row, string_cell};
use crate::lane::turn::Turn;
use crate::wire::{ColumnDefinition, encode_result_end};

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
    ]
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
pub fn write(turn: &mut Turn<'_>, new: &NewEvaluation, codec: Codec, warnings: u16) {
    write_head(
        &mut turn.out,
        turn.capabilities,
        &columns(),
        turn.status.flags(),
    );
    for model in &new.models {
        let cells = row(model, codec);
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
    let rows = match codec {
        Codec::Text => string_cell(all.to_string().as_bytes()),
        Codec::Binary => u64::from(all).to_le_bytes().to_vec(),
    };
    vec![
        Some(string_cell(model.name.as_bytes())),
        Some(string_cell(model.version.as_bytes())),
        Some(rows),
        share(own_correct, own),
        share(all_correct, all),
        double(cost.and_then(|c| c.seconds_per_input())),
        double(cost.map(|c| c.load_seconds)),
    ]
}
