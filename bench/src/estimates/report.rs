//! What the statements gave: as a table for people, and as one JSON object.

use serde_json::{Value, json};

/// Statements that the table shows of each kind, those that are furthest off.
const SHOWN: usize = 8;
/// Characters of a statement that the table shows.
const STATEMENT_CHARS: usize = 90;

/// A statement, expected and run.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The statement.
    pub statement: String,
    /// Seconds that EXPLAIN told; `None`: it told none.
    pub expected: Option<f64>,
    /// Seconds that it took.
    pub taken: f64,
    /// Images that models looked at.
    pub images: u64,
}

impl Measured {
    /// By what factor the expected seconds were off, at least 1; infinite where none were told.
    fn off(&self) -> f64 {
        let ratio = self.expected.map(|expected| expected / self.taken);
        ratio.map_or(f64::INFINITY, |ratio| ratio.max(1.0 / ratio))
    }
}

/// A finished benchmark.
#[derive(Debug, Default)]
pub struct Report {
    /// Without kept outputs.
    pub cold: Vec<Measured>,
    /// With kept outputs, each statement for the second time.
    pub warm: Vec<Measured>,
}

impl Report {
    /// The statements that are furthest off.
    pub fn table(&self) -> String {
        let mut lines = Vec::new();
        for (name, measured) in [("cold", &self.cold), ("warm", &self.warm)] {
            let mut worst: Vec<&Measured> = measured.iter().collect();
            worst.sort_by(|a, b| b.off().total_cmp(&a.off()));
            lines.push(format!(
                "{name}: off by {:.2} in the median; the furthest of {}:",
                median(measured),
                measured.len()
            ));
            for measured in worst.into_iter().take(SHOWN) {
                let expected = measured.expected.map_or("none".to_owned(), milliseconds);
                let statement: String = measured.statement.chars().take(STATEMENT_CHARS).collect();
                lines.push(format!(
                    "  {:>7.2}  told {expected:>10}, took {:>10}, {:>6} images  {statement}",
                    measured.off(),
                    milliseconds(measured.taken),
                    measured.images,
                ));
            }
        }
        lines.join("\n")
    }

    /// The result.
    pub fn json(&self) -> Value {
        let all: Vec<Measured> = [&self.cold[..], &self.warm[..]].concat();
        let figures = |measured: &[Measured]| {
            json!({
                "ratio_median": rounded(median(measured)),
                "share_within_1.5x": rounded(within(measured, 1.5)),
                "share_within_3x": rounded(within(measured, 3.0)),
            })
        };
        json!({
            "ratio_median": rounded(median(&all)),
            "share_within_3x": rounded(within(&all, 3.0)),
            "cold": figures(&self.cold),
            "warm": figures(&self.warm),
            "without_estimate": all.iter().filter(|m| m.expected.is_none()).count(),
            "statements": self.cold.len(),
        })
    }
}

/// The middle factor.
fn median(measured: &[Measured]) -> f64 {
    let mut off: Vec<f64> = measured.iter().map(Measured::off).collect();
    off.sort_by(f64::total_cmp);
    off.get(off.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Share of the statements that are off by at most this factor.
fn within(measured: &[Measured], factor: f64) -> f64 {
    let close = measured.iter().filter(|m| m.off() <= factor).count();
    close as f64 / measured.len().max(1) as f64
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(expected: Option<f64>, taken: f64) -> Measured {
        Measured {
            statement: "SELECT ml.t(x)".to_owned(),
            expected,
            taken,
            images: 1,
        }
    }

    #[test]
    fn too_much_and_too_little_are_off_alike_and_nothing_told_is_furthest() {
        let report = Report {
            cold: vec![measured(Some(2.0), 1.0), measured(Some(1.0), 4.0)],
            warm: vec![measured(Some(1.0), 1.0), measured(None, 1.0)],
        };
        let json = report.json();
        assert_eq!(json["ratio_median"], 4.0);
        assert_eq!(json["share_within_3x"], 0.5);
        assert_eq!(json["without_estimate"], 1);
        assert_eq!(json["cold"]["share_within_3x"], 0.5);
        assert!(report.table().contains("told       none"));
    }
}
