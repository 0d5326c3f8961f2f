//! What the experiments gave: a table in Markdown, plots, and one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::SelectionError;
use super::chart::{Chart, draw};
use super::real::Real;
use super::synthetic::{ABLE, COMPARED, Cell, Certificates, Key, NEEDED};

/// Everything that was measured.
#[derive(Debug)]
pub struct Report {
    /// Where the repository is from.
    pub source: String,
    /// Classes that none of its models knows.
    pub uncovered: usize,
    /// E1 and E3, by kind of errors.
    pub strategies: Vec<(&'static str, BTreeMap<Key, Cell>)>,
    /// E4, by kind of errors.
    pub certificates: Vec<(&'static str, Certificates)>,
    /// E8, by kind of errors: false positives with and without a floor.
    pub foreign: Vec<(&'static str, f64, f64)>,
    /// E2; `None` where the zoo or its images are missing.
    pub real: Option<Real>,
}

impl Report {
    /// Writes `report.md` and the plots into a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), SelectionError> {
        std::fs::create_dir_all(folder)?;
        for (errors, cells) in &self.strategies {
            let by_needed = |of: fn(&Cell) -> f64| lines(cells, &NEEDED, |n| (n, usize::MAX), of);
            let by_able = |of: fn(&Cell) -> f64| lines(cells, &ABLE, |a| (10, a), of);
            let charts = |x: &str, f1: Lines, seconds: Lines| {
                let chart = |title: String, y: &str, logarithmic, lines| Chart {
                    title,
                    x: x.to_owned(),
                    y: y.to_owned(),
                    logarithmic,
                    lines,
                };
                [
                    chart(
                        format!("F1, {errors} errors"),
                        "F1 on held-out rows",
                        false,
                        f1,
                    ),
                    chart(
                        "Time".to_owned(),
                        "ms an input, planning included",
                        true,
                        seconds,
                    ),
                ]
            };
            let milliseconds = |cell: &Cell| cell.seconds() * 1e3;
            let plots = [
                (
                    "classes",
                    charts(
                        "classes in the query",
                        by_needed(Cell::f1),
                        by_needed(milliseconds),
                    ),
                ),
                (
                    "able",
                    charts(
                        "models able per class (10 classes)",
                        by_able(Cell::f1),
                        by_able(milliseconds),
                    ),
                ),
            ];
            for (name, charts) in plots {
                let file = folder.join(format!("{name}-{errors}.svg"));
                draw(&file, &charts).map_err(SelectionError::Plot)?;
            }
        }
        std::fs::write(folder.join("report.md"), self.markdown())?;
        Ok(())
    }

    /// The tables.
    pub fn markdown(&self) -> String {
        let mut text = format!("# Choosing among models\n\nRepository: {}", self.source);
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "; {} of its classes are known to no model.\n",
            self.uncovered
        );
        for (errors, cells) in &self.strategies {
            let _ = writeln!(text, "## E1, {errors} errors\n");
            strategy_table(&mut text, cells);
            estimate_table(&mut text, errors, cells);
        }
        let _ = writeln!(text, "## E4: certificates at 5 %\n");
        for (errors, c) in &self.certificates {
            let (rate, low, high) = c.violation_rate();
            let _ = writeln!(
                text,
                "* {errors} errors: {} queries, {} promised, {} promises did not hold: {:.2} % ({:.2} to {:.2} %); refused {:.1} %",
                c.queries,
                c.promised,
                c.violated,
                rate * 100.0,
                low * 100.0,
                high * 100.0,
                c.refusal_rate() * 100.0
            );
        }
        let _ = writeln!(text, "\n## E8: inputs of classes that are not asked for\n");
        for (errors, with, without) in &self.foreign {
            let _ = writeln!(
                text,
                "* {errors} errors: {:.2} % taken for a needed class; without a floor under calibrated scores {:.2} %",
                with * 100.0,
                without * 100.0
            );
        }
        if let Some(real) = &self.real {
            text.push_str(&real.markdown());
        }
        text
    }

    /// The figures that are followed over time.
    pub fn json(&self) -> Value {
        let replay: Vec<f64> = self
            .strategies
            .iter()
            .flat_map(|(_, cells)| cells)
            .filter(|((_, able, name), _)| *able == usize::MAX && *name == "optimal")
            .map(|(_, cell)| cell.estimate_error())
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let worst = |of: fn(&Certificates) -> f64| {
            let rates = self.certificates.iter().map(|(_, c)| of(c));
            rates.fold(0.0, f64::max)
        };
        let ratio = |of: fn(&Real) -> Option<f64>| self.real.as_ref().and_then(of);
        json!({
            "e2_time_ratio_at_equal_f1": ratio(Real::time_ratio_to_single),
            "e2_time_ratio_to_most_accurate": ratio(Real::time_ratio_to_most_accurate),
            "e2_f1_loss_points": ratio(Real::f1_loss_points),
            "e3_replay_mae_points": mean(&replay),
            "e4_violation_rate": worst(|c| c.violation_rate().0),
            "e4_refusal_rate": worst(Certificates::refusal_rate),
            "e8_false_positive_rate": self.foreign.iter().map(|f| f.1).fold(0.0, f64::max),
        })
    }
}

type Lines = Vec<(String, Vec<(f64, f64)>)>;

fn lines(
    cells: &BTreeMap<Key, Cell>,
    axis: &[usize],
    setting: impl Fn(usize) -> (usize, usize),
    of: impl Fn(&Cell) -> f64,
) -> Lines {
    let point = |name: &'static str, at: usize| {
        let (needed, able) = setting(at);
        let cell = cells.get(&(needed, able, name))?;
        (cell.queries > 0).then(|| (at as f64, of(cell)))
    };
    let line = |(name, ..): &(&'static str, _, _)| {
        let points = axis.iter().filter_map(|at| point(name, *at)).collect();
        ((*name).to_owned(), points)
    };
    COMPARED.iter().map(line).collect()
}

fn strategy_table(text: &mut String, cells: &BTreeMap<Key, Cell>) {
    let names: Vec<&str> = COMPARED.iter().map(|(name, ..)| *name).collect();
    let _ = writeln!(
        text,
        "F1 on held-out rows / milliseconds an input, planning included (mean over queries). `optimal` and\n\
         `greedy` may take as long as `best_per_class`.\n\n| classes | able | {} |\n| --: | --: |{}",
        names.join(" | "),
        " --: |".repeat(names.len())
    );
    let needed = NEEDED.iter().map(|n| (*n, usize::MAX));
    let able = ABLE.iter().map(|a| (10, *a));
    for (needed, able) in needed.chain(able) {
        let cell = |name: &&'static str| match cells.get(&(needed, able, *name)) {
            Some(c) if c.queries > 0 => format!("{:.3} / {:.1}", c.f1(), c.seconds() * 1e3),
            _ => "none".to_owned(),
        };
        let row: Vec<String> = COMPARED.iter().map(|(name, ..)| cell(name)).collect();
        let able = match able {
            usize::MAX => "all".to_owned(),
            able => able.to_string(),
        };
        let _ = writeln!(text, "| {needed} | {able} | {} |", row.join(" | "));
    }
    text.push('\n');
}

fn estimate_table(text: &mut String, errors: &str, cells: &BTreeMap<Key, Cell>) {
    let _ = writeln!(
        text,
        "### E3, {errors} errors\n\nMean absolute error of the estimated F1 of `optimal`, in points, and milliseconds to plan.\n\n\
         | classes | by replay | by independence | planning ms |\n| --: | --: | --: | --: |"
    );
    for needed in NEEDED {
        if let Some(cell) = cells.get(&(needed, usize::MAX, "optimal")) {
            let _ = writeln!(
                text,
                "| {needed} | {:.2} | {:.2} | {:.2} |",
                cell.estimate_error(),
                cell.independence_error(),
                cell.planning() * 1e3
            );
        }
    }
    text.push('\n');
}
