//! What the rounds and the labels gave: as a table for people, and as one JSON object.

use serde_json::{Value, json};

use super::agreement::Agreement;
use crate::statistics::Summary;

/// Milliseconds of CPU for a photo, of both ways one right after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    /// Decoded to a part of its size.
    pub scaled_ms: f64,
    /// Decoded at its own size.
    pub exact_ms: f64,
}

/// All rounds over one kind of JPEG.
#[derive(Debug)]
pub struct Costs {
    /// `baseline` or `progressive`.
    pub kind: &'static str,
    /// Photos of a round.
    pub images: usize,
    /// The rounds.
    pub turns: Vec<Turn>,
}

/// A finished benchmark.
#[derive(Debug)]
pub struct Report {
    /// Of each kind.
    pub costs: Vec<Costs>,
    /// Of the labels.
    pub agreement: Agreement,
}

impl Costs {
    fn of(&self, figure: impl Fn(&Turn) -> f64) -> Summary {
        let figures: Vec<f64> = self.turns.iter().map(figure).collect();
        Summary::of(&figures).unwrap_or(Summary {
            median: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        })
    }

    fn ratio(&self) -> Summary {
        self.of(|turn| turn.scaled_ms / turn.exact_ms)
    }
}

impl Report {
    /// The table.
    pub fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<12} {:>26} {:>26} {:>22}",
            "12 megapixels", "ms of CPU, scaled", "ms of CPU, exact", "ratio"
        )];
        for costs in &self.costs {
            lines.push(format!(
                "{:<13} {:>26} {:>26} {:>22}",
                costs.kind,
                format!("{:.1}", costs.of(|turn| turn.scaled_ms)),
                format!("{:.1}", costs.of(|turn| turn.exact_ms)),
                format!("{:.3}", costs.ratio()),
            ));
        }
        let Agreement {
            images,
            same_photo,
            same_crop,
            right,
        } = self.agreement;
        lines.push(format!(
            "of {images} photos {same_photo} have the same label, {same_crop} the same nearest \
             crop; exact decoding finds {right}"
        ));
        lines.join("\n")
    }

    /// The result line. Its ratio is that of the kind that gains less.
    pub fn json(&self) -> Value {
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        let share = |part: usize| rounded(part as f64 / self.agreement.images as f64);
        let by_kind = |figure: &dyn Fn(&Costs) -> Value| {
            let figures = self.costs.iter().map(|c| (c.kind.to_owned(), figure(c)));
            Value::Object(figures.collect())
        };
        let ratios = self.costs.iter().map(|costs| costs.ratio().median);
        let worst = ratios.max_by(f64::total_cmp);
        json!({
            "benchmark": "decode",
            "cpu_ratio": worst.map(rounded),
            "cpu_ratio_by_kind": by_kind(&|costs| json!(rounded(costs.ratio().median))),
            "cpu_ratio_by_round": by_kind(&|costs| {
                let Summary { median, low, high } = costs.ratio();
                json!([low, median, high].map(rounded))
            }),
            "cpu_ms_scaled": by_kind(&|costs| json!(rounded(costs.of(|t| t.scaled_ms).median))),
            "cpu_ms_exact": by_kind(&|costs| json!(rounded(costs.of(|t| t.exact_ms).median))),
            "label_agreement": share(self.agreement.same_photo),
            "nearest_crop_agreement": share(self.agreement.same_crop),
            "label_accuracy_exact": share(self.agreement.right),
            "images": self.agreement.images,
            "images_12mp": self.costs.first().map(|costs| costs.images),
            "rounds": self.costs.first().map(|costs| costs.turns.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_that_of_the_kind_that_gains_less() {
        let costs = |kind, scaled_ms| Costs {
            kind,
            images: 20,
            turns: vec![Turn {
                scaled_ms,
                exact_ms: 100.0,
            }],
        };
        let report = Report {
            costs: vec![costs("baseline", 30.0), costs("progressive", 50.0)],
            agreement: Agreement {
                images: 200,
                same_photo: 199,
                same_crop: 190,
                right: 200,
            },
        };
        let json = report.json();
        assert_eq!(json["cpu_ratio"], 0.5);
        assert_eq!(json["cpu_ratio_by_kind"]["baseline"], 0.3);
        assert_eq!(json["label_agreement"], 0.995);
        assert_eq!(json["nearest_crop_agreement"], 0.95);
        assert!(report.table().contains("progressive"));
    }
}
