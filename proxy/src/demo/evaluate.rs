//! Evaluation of the demo's models, done once by EVALUATE on the table `labelled`.

use std::io::{self, Write, stdout};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::error::DemoError;
use super::progress::Progress;

/// None of these photos was used to train a model, or is in `truth`.
const EVALUATE: &str = "EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)";

/// Number of models without statistics usable for planning.
const UNKNOWN: &str = "SELECT COUNT(*) FROM ml.models m LEFT JOIN ml.votes v ON v.model_id = m.id \
     LEFT JOIN ml.evaluations e ON e.id = v.evaluation AND e.published \
     WHERE m.task = 'apparel' AND e.id IS NULL";

/// One row of the answer.
type Measured = (String, u32, f64, f64, f64);

/// Evaluates the models, unless an earlier start has done so.
///
/// # Errors
/// A statement failed.
pub(super) async fn run(conn: &mut Conn) -> Result<(), DemoError> {
    let step = || DemoError::sql("evaluating the models");
    let unknown: Option<u64> = conn.query_first(UNKNOWN).await.map_err(step())?;
    if unknown == Some(0) {
        return Ok(());
    }
    let progress = Progress::begin(EVALUATE, 0);
    let rows: Vec<mysql_async::Row> = conn.query(EVALUATE).await.map_err(step())?;
    progress.finish();
    let measured = rows.iter().filter_map(measured).collect();
    // A closed terminal must not stop the work.
    let _ = print(&mut stdout().lock(), measured);
    Ok(())
}

fn measured(row: &mysql_async::Row) -> Option<Measured> {
    Some((
        row.get("Model")?,
        row.get("Rows")?,
        row.get("Accuracy")?,
        row.get("Accuracy_all")?,
        row.get("Seconds_per_image")?,
    ))
}

/// Prints the results, highest accuracy over all rows first.
fn print(out: &mut impl Write, mut measured: Vec<Measured>) -> io::Result<()> {
    measured.sort_by(|a, b| b.3.total_cmp(&a.3));
    writeln!(
        out,
        "    {:<22}{:>8}{:>14}{:>12}{:>12}",
        "model", "photos", "own classes", "all", "us/photo"
    )?;
    for (model, rows, own, all, seconds) in measured {
        let (own, all, micros) = (own * 100.0, all * 100.0, seconds * 1e6);
        writeln!(
            out,
            "    {model:<22}{rows:>8}{own:>12.1} %{all:>10.1} %{micros:>12.1}"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_most_accurate_model_comes_first() {
        let mut out = Vec::new();
        let measured = vec![
            ("specialist".to_owned(), 9, 0.99, 0.2, 1e-6),
            ("generalist".to_owned(), 9, 0.9, 0.9, 5e-4),
        ];
        print(&mut out, measured).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].contains("generalist") && lines[1].ends_with("500.0"),
            "{text}"
        );
        assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
        predictsql_optimizer::ddl::parse(EVALUATE).unwrap();
    }
}
