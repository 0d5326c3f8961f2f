//! What the experiments gave: a table in Markdown, plots, and one JSON object.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::chart::{Chart, draw};
use super::error::SelectionError;
use super::real::Real;
use super::strategies::{ABLE, ABLE_NEEDED, COMPARED, Cell, LABELLED, NEEDED, Strategies};
use super::synthetic::{CERTIFYING, Certificates};
use super::tables;

/// Everything that was measured.
#[derive(Debug)]
pub struct Report {
    /// Where the repository is from.
    pub source: String,
    /// Classes that none of its models knows.
    pub uncovered: usize,
    /// E1 and E3, by kind of errors.
    pub strategies: Vec<(&'static str, Strategies)>,
    /// E4, by kind of errors: of queries for any of their classes,
    /// and of those that tell them apart.
    pub certificates: Vec<(&'static str, [Certificates; 2])>,
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
        for (errors, all) in &self.strategies {
            let by_needed = |of: fn(&Cell) -> f64| lines(all, &NEEDED, |n| (n, usize::MAX), of);
            let by_able = |of: fn(&Cell) -> f64| lines(all, &ABLE, |a| (ABLE_NEEDED, a), of);
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
                        format!("Accuracy ({errors} errors)"),
                        "F1 on held-out inputs",
                        false,
                        f1,
                    ),
                    chart(
                        "Total time".to_owned(),
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
                        "models able to answer a class (10 classes)",
                        by_able(Cell::f1),
                        by_able(milliseconds),
                    ),
                ),
            ];
            for (name, charts) in plots {
                // A repository of few classes has nothing to show here.
                if charts.iter().any(Chart::is_empty) {
                    continue;
                }
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
        for (errors, all) in &self.strategies {
            let _ = writeln!(text, "## E1, {errors} errors\n");
            tables::strategies(&mut text, all);
            tables::duels(&mut text, all);
            let _ = writeln!(text, "## E3, {errors} errors\n");
            tables::estimates(&mut text, all);
        }
        let _ = writeln!(
            text,
            "## E4: certificates at 5 %\n\n30 models, 10 classes, 1 to 6 needed, {CERTIFYING} labelled rows that certify; asked for: up to \
             8 points less\nthan the best plan seems to reach.\n"
        );
        for (errors, [any, each]) in &self.certificates {
            certificates_line(&mut text, errors, "any of its classes", any);
            certificates_line(&mut text, errors, "each of its classes", each);
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
        let estimates = self.strategies.iter().flat_map(|(_, all)| &all.estimates);
        let replay: Vec<f64> = estimates
            .filter(|((_, labelled), _)| *labelled == LABELLED)
            .map(|(_, errors)| errors.expected())
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let worst = |of: fn(&Certificates) -> f64| {
            let both = self
                .certificates
                .iter()
                .map(|(_, [any, each])| any.and(*each));
            let rates = both.map(|c| of(&c));
            rates.fold(0.0, f64::max)
        };
        let mut json = json!({
            "e1_won": share(&self.strategies),
            "e3_replay_mae_points": mean(&replay),
            "e4_violation_rate": worst(|c| c.violation_rate().0),
            "e4_refusal_rate": worst(Certificates::refusal_rate),
            "e8_false_positive_rate": self.foreign.iter().map(|f| f.1).fold(0.0, f64::max),
        });
        for (name, value) in self.real.iter().flat_map(Real::figures) {
            json[name] = value;
        }
        json
    }
}

type Lines = Vec<(String, Vec<(f64, f64)>)>;

/// Settings in which `optimal` is at least as good as a rival within its time, of all.
fn share(strategies: &[(&'static str, Strategies)]) -> String {
    let duels = || strategies.iter().flat_map(|(_, all)| all.duels.values());
    format!(
        "{} of {}",
        duels().filter(|d| d.is_won()).count(),
        duels().count()
    )
}

fn certificates_line(text: &mut String, errors: &str, asks: &str, c: &Certificates) {
    let (rate, low, high) = c.violation_rate();
    let _ = writeln!(
        text,
        "* {errors} errors, {asks}: {} queries, {} promised, {} promises did not hold: {:.2} % of the queries ({:.2} to {:.2} %);\n  \
         refused {:.1} %, in {:.1} % although the most accurate plan really reaches it",
        c.queries,
        c.promised,
        c.violated,
        rate * 100.0,
        low * 100.0,
        high * 100.0,
        c.refusal_rate() * 100.0,
        100.0 * c.timid as f64 / c.queries.max(1) as f64,
    );
}

fn lines(
    all: &Strategies,
    axis: &[usize],
    setting: impl Fn(usize) -> (usize, usize),
    of: impl Fn(&Cell) -> f64,
) -> Lines {
    let point = |name: &'static str, at: usize| {
        let (needed, able) = setting(at);
        let cell = all.cells.get(&(needed, able, name))?;
        (cell.queries > 0).then(|| (at as f64, of(cell)))
    };
    let line = |(name, ..): &(&'static str, _, _)| {
        let points = axis.iter().filter_map(|at| point(name, *at)).collect();
        ((*name).to_owned(), points)
    };
    COMPARED.iter().map(line).collect()
}
