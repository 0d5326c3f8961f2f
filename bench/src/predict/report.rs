//! What the rounds gave: as a table for people, and as one JSON object.

use serde_json::{Value, json};

use super::job::Order;
use crate::statistics::Summary;

/// How far the bare loop's median may stay behind Python's, as a share, before it is no yardstick.
const BEHIND_PYTHON_MAX: f64 = 0.03;

/// CPU that other processes may take, as a share of the machine,
/// before the result is doubted aloud.
const OTHERS_SHARE_MAX: f64 = 0.10;

/// One round of one contender.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Wall-clock time.
    pub seconds: f64,
    /// CPU time of the contender's processes.
    pub cpu_seconds: f64,
    /// Mean utilisation of the GPU, in percent, if models run on one.
    pub gpu_percent: Option<f64>,
    /// CPU time of everything else on the machine meanwhile.
    pub others_seconds: f64,
}

/// All rounds of one contender.
#[derive(Debug, Clone, Default)]
pub struct Series(pub Vec<Round>);

/// A finished benchmark.
#[derive(Debug)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Images of one round.
    pub images: usize,
    /// CPU threads of each contender.
    pub threads: usize,
    /// Through SQL.
    pub sql: Series,
    /// The bare loop.
    pub bare: Series,
    /// Python's loop, where it can be run.
    pub python: Option<Series>,
    /// How the bare loop was run: the fastest way found.
    pub bare_order: Order,
    /// How many of Python's labels are the bare loop's.
    pub python_agrees: Option<usize>,
}

impl Series {
    fn images_per_s(&self, images: usize) -> Option<Summary> {
        self.summary(|round| images as f64 / round.seconds)
    }

    fn summary(&self, of: impl Fn(&Round) -> f64) -> Option<Summary> {
        let values: Vec<f64> = self.0.iter().map(of).collect();
        Summary::of(&values)
    }
}

impl Report {
    /// Quotient of the medians, and the quotients of neighbouring rounds.
    fn ratio(&self) -> Option<(f64, Summary)> {
        let sql = self.sql.images_per_s(self.images)?;
        let bare = self.bare.images_per_s(self.images)?;
        let pairs = self.bare.0.iter().zip(&self.sql.0);
        let by_round: Vec<f64> = pairs.map(|(b, s)| b.seconds / s.seconds).collect();
        Some((sql.median / bare.median, Summary::of(&by_round)?))
    }

    /// Quotient of the medians.
    fn ratio_to_python(&self) -> Option<f64> {
        let sql = self.sql.images_per_s(self.images)?;
        let python = self.python.as_ref()?.images_per_s(self.images)?;
        Some(sql.median / python.median)
    }

    /// Why the bare loop is no yardstick, if so. Their best rounds are compared, since other work
    /// on the machine can only slow a loop down.
    pub fn doubt(&self) -> Option<String> {
        let best = |series: &Series| {
            let seconds = series.0.iter().map(|round| round.seconds);
            Some(self.images as f64 / seconds.min_by(f64::total_cmp)?)
        };
        let (bare, python) = (best(&self.bare)?, best(self.python.as_ref()?)?);
        (bare < python * (1.0 - BEHIND_PYTHON_MAX)).then(|| {
            format!(
                "the bare loop (at best {bare:.0} images/s) is slower than Python's \
                 ({python:.0}): it is no yardstick"
            )
        })
    }

    /// The share of the machine's CPU that others took, in the median round of sql and bare.
    fn others_share(&self) -> Option<f64> {
        let cores = self.threads as f64;
        let rounds = self.sql.0.iter().chain(&self.bare.0);
        let shares: Vec<f64> = rounds
            .map(|r| r.others_seconds / (r.seconds * cores))
            .collect();
        Some(Summary::of(&shares)?.median)
    }

    /// A word where others took so much of the machine that the ratio may be theirs.
    pub fn warning(&self) -> Option<String> {
        let share = self.others_share()?;
        (share > OTHERS_SHARE_MAX).then(|| {
            format!(
                "other processes took {:.0} % of the CPU: the ratio is not to be trusted; \
                 run again on a quiet machine",
                share * 100.0
            )
        })
    }

    /// The table.
    pub fn table(&self) -> String {
        let Self {
            model,
            images,
            threads,
            bare_order,
            ..
        } = self;
        let mut lines = vec![
            format!(
                "{} rounds of {images} images by {model}, {threads} threads; median [interval]",
                self.sql.0.len()
            ),
            format!(
                "{:<8} {:>28} {:>24} {:>12}",
                "", "images/s", "CPU us an image", "others' CPU"
            ),
        ];
        let rows = [
            ("sql", Some(&self.sql)),
            ("bare", Some(&self.bare)),
            ("python", self.python.as_ref()),
        ];
        for (name, series) in rows {
            lines.extend(series.and_then(|series| self.row(name, series)));
        }
        let Order { way, batch, .. } = bare_order;
        lines.push(format!("bare: batch {batch}, {way}"));
        if let Some(agrees) = self.python_agrees {
            lines.push(format!("python: {agrees} of {images} labels as bare's"));
        }
        if let Some((ratio, by_round)) = self.ratio() {
            lines.push(format!(
                "sql / bare: {ratio:.3} of the medians, {by_round:.3} by round"
            ));
        }
        if let Some(ratio) = self.ratio_to_python() {
            lines.push(format!("sql / python: {ratio:.2} of the medians"));
        }
        lines.join("\n")
    }

    fn row(&self, name: &str, series: &Series) -> Option<String> {
        let rate = series.images_per_s(self.images)?;
        let micros = series.summary(|r| r.cpu_seconds / self.images as f64 * 1e6)?;
        let cores = self.threads as f64;
        let others = series.summary(|r| r.others_seconds / (r.seconds * cores) * 100.0)?;
        Some(format!(
            "{name:<8} {:>28} {:>24} {:>10.0} %",
            format!("{rate:.0}"),
            format!("{micros:.0}"),
            others.median
        ))
    }

    /// The figures of the result.
    pub fn json(&self) -> Value {
        let rate = |series: &Series| Some(rounded(series.images_per_s(self.images)?.median, 1));
        let cpu = |series: &Series| {
            let micros = series.summary(|r| r.cpu_seconds / self.images as f64 * 1e6)?;
            Some(rounded(micros.median, 1))
        };
        let gpu = |series: &Series| {
            let percents: Vec<f64> = series.0.iter().filter_map(|r| r.gpu_percent).collect();
            Some(rounded(Summary::of(&percents)?.median, 1))
        };
        let ratio = self.ratio();
        json!({
            "gpu_percent_sql": gpu(&self.sql),
            "gpu_percent_bare": gpu(&self.bare),
            "model": self.model,
            "images": self.images,
            "threads": self.threads,
            "rounds": self.sql.0.len(),
            "images_per_s_sql": rate(&self.sql),
            "images_per_s_bare": rate(&self.bare),
            "images_per_s_python": self.python.as_ref().and_then(rate),
            "ratio": ratio.map(|(ratio, _)| rounded(ratio, 4)),
            "ratio_by_round": ratio.map(|(_, by_round)| {
                [by_round.low, by_round.median, by_round.high].map(|r| rounded(r, 4))
            }),
            "ratio_to_python": self.ratio_to_python().map(|ratio| rounded(ratio, 3)),
            "cpu_us_per_image_sql": cpu(&self.sql),
            "cpu_us_per_image_bare": cpu(&self.bare),
            "cpu_us_per_image_python": self.python.as_ref().and_then(cpu),
            "others_cpu_share": self.others_share().map(|share| rounded(share, 3)),
            "bare_batch": self.bare_order.batch,
            "bare_way": self.bare_order.way,
        })
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let parts = 10_f64.powi(decimals);
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::predict::job::Way;

    fn series(seconds: &[f64]) -> Series {
        let round = |&seconds: &f64| Round {
            seconds,
            cpu_seconds: 2.0 * seconds,
            gpu_percent: None,
            others_seconds: 0.0,
        };
        Series(seconds.iter().map(round).collect())
    }

    fn report(python: Option<Series>) -> Report {
        Report {
            model: "m".to_owned(),
            images: 1000,
            threads: 2,
            sql: series(&[1.0, 2.0, 1.25]),
            bare: series(&[1.0, 1.0, 1.0]),
            python,
            bare_order: Order {
                way: Way::SessionPerThread,
                batch: 8,
                images: 1000,
                probability_of: None,
            },
            python_agrees: None,
        }
    }

    #[test]
    fn the_result_holds_medians_and_their_quotient() {
        let json = report(None).json();
        assert_eq!(json["images_per_s_sql"], 800.0);
        assert_eq!(json["images_per_s_bare"], 1000.0);
        assert_eq!(json["images_per_s_python"], Value::Null);
        assert_eq!(json["ratio"], 0.8);
        assert_eq!(json["ratio_to_python"], Value::Null);
        let beside_python = report(Some(series(&[2.5]))).json();
        assert_eq!(beside_python["ratio_to_python"], 2.0);
        assert_eq!(json["ratio_by_round"], json!([0.5, 0.8, 1.0]));
        assert_eq!(json["cpu_us_per_image_bare"], 2000.0);
    }

    #[test]
    fn a_yardstick_slower_than_python_is_doubted() {
        assert_eq!(report(None).doubt(), None);
        assert_eq!(report(Some(series(&[0.98]))).doubt(), None);
        let doubt = report(Some(series(&[0.9]))).doubt().unwrap();
        assert!(doubt.contains("no yardstick"), "{doubt}");
    }

    #[test]
    fn a_busy_machine_is_told_and_recorded() {
        let mut busy = report(None);
        assert_eq!(busy.warning(), None);
        for round in busy.sql.0.iter_mut().chain(&mut busy.bare.0) {
            round.others_seconds = round.seconds;
        }
        assert!(busy.warning().unwrap().contains("50 %"));
        assert_eq!(busy.json()["others_cpu_share"], 0.5);
    }

    #[test]
    fn a_disturbed_round_does_not_condemn_the_yardstick() {
        let mut disturbed = report(Some(series(&[1.1, 1.1, 1.1])));
        disturbed.bare = series(&[3.0, 1.0, 3.0]);
        assert_eq!(disturbed.doubt(), None);
    }

    #[test]
    fn the_table_has_a_row_for_each_that_ran() {
        let table = report(Some(series(&[2.0]))).table();
        for start in ["sql ", "bare ", "python "] {
            assert!(table.lines().any(|line| line.starts_with(start)), "{table}");
        }
        assert!(!report(None).table().contains("\npython"));
    }
}
