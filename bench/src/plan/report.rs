//! What planning took and how good plans are: as a table for people, and as one JSON object.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::repository::Errors;

/// How far a plan is from the best known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gap {
    /// Points of the metric, of plans within a budget.
    Points(f64),
    /// Ratio of costs, of plans that must reach something.
    Cost(f64),
}

/// Of queries of one shape.
#[derive(Debug)]
pub struct ShapeReport {
    models: usize,
    classes: usize,
    needed: usize,
    /// Of planning, a query each.
    pub seconds: Vec<f64>,
    /// The same by the CPU time of the thread: what other work on the machine takes is not in it.
    pub cpu_seconds: Vec<f64>,
    /// To a long search, for some of them.
    pub gaps: Vec<Gap>,
    /// By how many points the metric on rows that nothing was measured on stays behind what was
    /// expected.
    pub optimism_points: Vec<f64>,
    /// Queries whose constraint could not be kept.
    pub refused: usize,
}

/// A finished benchmark.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    errors: Errors,
    /// Where the repositories are from.
    pub source: String,
    /// Classes that no model knows.
    pub uncovered: usize,
    /// A line each.
    pub shapes: Vec<ShapeReport>,
}

impl ShapeReport {
    /// Of no queries yet.
    pub fn new(models: usize, classes: usize, needed: usize) -> Self {
        Self {
            models,
            classes,
            needed,
            seconds: Vec::new(),
            cpu_seconds: Vec::new(),
            gaps: Vec::new(),
            optimism_points: Vec::new(),
            refused: 0,
        }
    }

    fn points(&self) -> Vec<f64> {
        let points = |gap: &Gap| match gap {
            Gap::Points(points) => Some(*points),
            Gap::Cost(_) => None,
        };
        self.gaps.iter().filter_map(points).collect()
    }

    fn costs(&self) -> Vec<f64> {
        let ratio = |gap: &Gap| match gap {
            Gap::Points(_) => None,
            Gap::Cost(ratio) => Some(*ratio),
        };
        self.gaps.iter().filter_map(ratio).collect()
    }

    fn json(&self) -> Value {
        let (points, costs) = (self.points(), self.costs());
        json!({
            "models": self.models,
            "classes": self.classes,
            "needed": self.needed,
            "queries": self.seconds.len(),
            "refused": self.refused,
            "p50_us": microseconds(&self.seconds, 0.5),
            "p99_us": microseconds(&self.seconds, 0.99),
            "cpu_p99_us": microseconds(&self.cpu_seconds, 0.99),
            "optimism_points_median": quantile(&self.optimism_points, 0.5),
            "gap_points_median": quantile(&points, 0.5),
            "gap_points_max": quantile(&points, 1.0),
            "gap_cost_ratio_median": quantile(&costs, 0.5),
            "gap_cost_ratio_max": quantile(&costs, 1.0),
        })
    }
}

impl Report {
    /// Without shapes yet.
    pub fn new(seed: u64, errors: Errors) -> Self {
        let source = "published shape".to_owned();
        Self {
            seed,
            errors,
            source,
            uncovered: 0,
            shapes: Vec::new(),
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}; {} classes that no model knows\n{:>6} {:>7} {:>6} {:>9} {:>9} {:>10} {:>11} {:>10}\n",
            self.source,
            self.uncovered,
            "models",
            "classes",
            "needed",
            "p50 us",
            "p99 us",
            "cpu p99 us",
            "gap points",
            "gap cost"
        );
        for shape in &self.shapes {
            let of = |values: &[f64]| quantile(values, 0.5).unwrap_or(f64::NAN);
            let time = |seconds: &[f64], share| microseconds(seconds, share).unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "{:>6} {:>7} {:>6} {:>9.0} {:>9.0} {:>10.0} {:>11.2} {:>10.3}",
                shape.models,
                shape.classes,
                shape.needed,
                time(&shape.seconds, 0.5),
                time(&shape.seconds, 0.99),
                time(&shape.cpu_seconds, 0.99),
                of(&shape.points()),
                of(&shape.costs())
            );
        }
        text
    }

    /// The last line.
    pub fn json(&self) -> Value {
        let points: Vec<f64> = self.shapes.iter().flat_map(ShapeReport::points).collect();
        let errors = match self.errors {
            Errors::Independent => "independent",
            Errors::Correlated => "correlated",
        };
        json!({
            "benchmark": "plan",
            "source": self.source,
            "errors": errors,
            "seed": self.seed,
            "uncovered_classes": self.uncovered,
            "gap_points_median": quantile(&points, 0.5),
            "shapes": self.shapes.iter().map(ShapeReport::json).collect::<Vec<_>>(),
        })
    }
}

fn microseconds(seconds: &[f64], share: f64) -> Option<f64> {
    quantile(seconds, share).map(|s| (s * 1e7).round() / 10.0)
}

/// The least value that at least that share of the values does not exceed.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(100.0));
        assert_eq!(quantile(&values, 0.99), Some(198.0));
        assert_eq!(quantile(&values, 1.0), Some(200.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn the_last_line_has_every_shape() {
        let mut shape = ShapeReport::new(50, 100, 10);
        shape.seconds = vec![0.000_5, 0.000_25];
        shape.gaps = vec![Gap::Points(0.25), Gap::Cost(1.5)];
        let mut report = Report::new(7, Errors::Independent);
        report.shapes.push(shape);
        let json = report.json();
        assert_eq!(json["shapes"][0]["p99_us"], 500.0);
        assert_eq!(json["shapes"][0]["gap_cost_ratio_median"], 1.5);
        assert_eq!(
            (&json["gap_points_median"], &json["errors"]),
            (&json!(0.25), &json!("independent"))
        );
        assert!(report.table().contains("50"), "{}", report.table());
    }
}
