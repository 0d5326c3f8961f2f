//! What the rounds gave: as a table for people, and as one JSON object.

use serde_json::{Value, json};

use crate::statistics::Summary;

/// One run of the statement and of its yardstick.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Over predictions.
    pub predicted_seconds: f64,
    /// Over the stored column.
    pub stored_seconds: f64,
}

/// A finished benchmark.
#[derive(Debug)]
pub struct Report {
    /// Rows of the table of photos.
    pub rows: usize,
    /// Distinct photos.
    pub images: usize,
    /// Rows of the table of numbers.
    pub flowers: usize,
    /// Images that the first run inferred.
    pub images_first: u64,
    /// Images that all runs after it inferred.
    pub images_second: u64,
    /// Of the first run.
    pub first_seconds: f64,
    /// The runs after it.
    pub rounds: Vec<Round>,
    /// Of the statement over the table of numbers.
    pub flowers_seconds: f64,
    /// The proxy's peak during that statement.
    pub peak_rss_mib: f64,
}

impl Report {
    fn summary(&self, of: impl Fn(&Round) -> f64) -> Summary {
        let values: Vec<f64> = self.rounds.iter().map(of).collect();
        Summary::of(&values).unwrap_or(Summary {
            median: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        })
    }

    fn ratio(&self) -> Summary {
        self.summary(|round| round.predicted_seconds / round.stored_seconds)
    }

    /// The table.
    pub fn table(&self) -> String {
        let Self {
            rows,
            images,
            flowers,
            images_first,
            images_second,
            first_seconds,
            flowers_seconds,
            peak_rss_mib,
            ..
        } = self;
        let predicted = self.summary(|round| round.predicted_seconds);
        let stored = self.summary(|round| round.stored_seconds);
        [
            format!(
                "{rows} rows over {images} images, {} rounds; median [interval]",
                self.rounds.len()
            ),
            format!("first run            {first_seconds:.2} s, {images_first} images inferred"),
            format!("later runs           {predicted:.2} s, {images_second} images inferred in all"),
            format!("stored label column  {stored:.2} s"),
            format!("later / stored       {:.2}", self.ratio()),
            format!(
                "{flowers} different rows of numbers: {flowers_seconds:.1} s, the proxy's peak {peak_rss_mib:.0} MiB"
            ),
        ]
        .join("\n")
    }

    /// The result.
    pub fn json(&self) -> Value {
        let rounded = |value: f64, parts: f64| (value * parts).round() / parts;
        let ratio = self.ratio();
        let by_round = [ratio.low, ratio.median, ratio.high].map(|value| rounded(value, 100.0));
        json!({
            "images_first": self.images_first,
            "images_second": self.images_second,
            "second_over_stored_column": rounded(ratio.median, 100.0),
            "peak_rss_mib": rounded(self.peak_rss_mib, 10.0),
            "second_over_stored_by_round": by_round,
            "first_seconds": rounded(self.first_seconds, 1000.0),
            "second_seconds": rounded(self.summary(|r| r.predicted_seconds).median, 1000.0),
            "stored_seconds": rounded(self.summary(|r| r.stored_seconds).median, 1000.0),
            "tabular_seconds": rounded(self.flowers_seconds, 100.0),
            "rows": self.rows,
            "images": self.images,
            "tabular_rows": self.flowers,
            "rounds": self.rounds.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_holds_the_median_of_the_rounds_quotients() {
        let round = |predicted_seconds, stored_seconds| Round {
            predicted_seconds,
            stored_seconds,
        };
        let report = Report {
            rows: 1000,
            images: 10,
            flowers: 20,
            images_first: 10,
            images_second: 0,
            first_seconds: 1.0,
            rounds: vec![round(2.0, 1.0), round(9.0, 3.0), round(8.0, 2.0)],
            flowers_seconds: 3.0,
            peak_rss_mib: 99.96,
        };
        let json = report.json();
        assert_eq!(json["second_over_stored_column"], 3.0);
        assert_eq!(json["peak_rss_mib"], 100.0);
        assert_eq!(json["images_second"], 0);
        assert!(
            report
                .table()
                .contains("later / stored       3.00 [2.00 .. 4.00]")
        );
    }
}
