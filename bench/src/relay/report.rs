//! What the rounds gave: as a table for people, and as one JSON object.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::contenders::Way;
use super::rounds::{OTHERS_SHARE_MAX, Series, Slice, decimals};
use crate::statistics::Summary;

const HEADER: &str = "                         queries/s                                    of direct     CPU us a query
                 direct haproxy predictsql  predictsql / haproxy    haproxy / predictsql (both)
";

/// What an idle connection costs a proxy, KiB.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// PredictSQL.
    pub predictsql_kib: f64,
    /// HAProxy.
    pub haproxy_kib: f64,
}

/// A finished benchmark.
#[derive(Debug)]
pub struct Report {
    /// Programs as they call themselves.
    pub versions: Vec<String>,
    /// Cores of the machine.
    pub cores: usize,
    /// Length of a slice.
    pub slice_seconds: u64,
    /// What was measured.
    pub series: Vec<Series>,
    /// Slices that were repeated since others disturbed them.
    pub repeated: usize,
    /// Of connections that do nothing.
    pub idle: Idle,
    /// From the start of the process to the first login, by start.
    pub start_ms: Vec<f64>,
}

impl Series {
    fn summary(&self, of: impl Fn(&[Slice; 3]) -> f64) -> Option<Summary> {
        let values: Vec<f64> = self.rounds.iter().map(of).collect();
        Summary::of(&values)
    }

    fn rate(&self, way: Way) -> Option<Summary> {
        self.summary(|slices| at(slices, way).rate)
    }

    /// Of the two slices of each round.
    fn ratio(&self, way: Way, to: Way) -> Option<Summary> {
        self.summary(|slices| at(slices, way).rate / at(slices, to).rate)
    }

    fn proxy_us(&self, way: Way) -> Option<Summary> {
        self.summary(|slices| at(slices, way).proxy_us)
    }
}

fn at(slices: &[Slice; 3], way: Way) -> Slice {
    // Ways are numbered in the order of the slices.
    let [direct, haproxy, predictsql] = *slices;
    match way {
        Way::Direct => direct,
        Way::Haproxy => haproxy,
        Way::Predictsql => predictsql,
    }
}

impl Report {
    /// The geometric mean of the medians of all workloads.
    fn geomean(&self) -> Option<f64> {
        let ratio = |series: &Series| series.ratio(Way::Predictsql, Way::Haproxy);
        let ratios: Option<Vec<Summary>> = self.series.iter().map(ratio).collect();
        let ratios = ratios.filter(|ratios| !ratios.is_empty())?;
        let logarithms: f64 = ratios.iter().map(|ratio| ratio.median.ln()).sum();
        Some((logarithms / ratios.len() as f64).exp())
    }

    fn others_share(&self) -> Option<f64> {
        let slices = self.series.iter().flat_map(|series| &series.rounds);
        let shares: Vec<f64> = slices.flatten().map(|slice| slice.others_share).collect();
        Some(Summary::of(&shares)?.median)
    }

    /// A word where others took so much of the machine that the ratios may be theirs.
    pub fn warning(&self) -> Option<String> {
        let share = self.others_share()?;
        (share > OTHERS_SHARE_MAX).then(|| {
            format!(
                "other processes took {:.0} % of the CPU in the median slice: the ratios are not to be trusted; \
                 run again on a quiet machine",
                share * 100.0
            )
        })
    }

    /// The table.
    pub fn table(&self) -> String {
        let rounds = self.series.first().map_or(0, |series| series.rounds.len());
        let mut text = format!(
            "{}\n{rounds} rounds, {} s a slice, {} cores for store, client and proxy; medians [interval]\n\n{HEADER}",
            self.versions.join("\n"),
            self.slice_seconds,
            self.cores,
        );
        for line in self.series.iter().filter_map(Self::line) {
            text.push_str(&line);
            text.push('\n');
        }
        let Idle {
            predictsql_kib,
            haproxy_kib,
        } = self.idle;
        if let Some(geomean) = self.geomean() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "geometric mean of predictsql/haproxy: {geomean:.3}");
        }
        let _ = write!(
            text,
            "an idle connection: {predictsql_kib:.1} KiB (haproxy {haproxy_kib:.1})"
        );
        if let Some(start) = Summary::of(&self.start_ms) {
            let _ = write!(text, "; start to first login: {start:.0} ms");
        }
        text
    }

    fn line(series: &Series) -> Option<String> {
        let rate = |way| {
            let rate = series.rate(way)?.median;
            Some(format!("{rate:.*}", decimals(rate)))
        };
        let of_direct = |way| Some(series.ratio(way, Way::Direct)?.median);
        let cpu = |way| {
            let micros = series.proxy_us(way)?.median;
            Some(format!("{micros:.*}", decimals(micros)))
        };
        let (haproxy, predictsql) = (Way::Haproxy, Way::Predictsql);
        Some(format!(
            "{:<16}{:>7}{:>8}{:>11}  {:<22}   {:.3} / {:.3}  {:>6} / {}",
            series.workload.to_string(),
            rate(Way::Direct)?,
            rate(haproxy)?,
            rate(predictsql)?,
            format!("{:.3}", series.ratio(predictsql, haproxy)?),
            of_direct(haproxy)?,
            of_direct(predictsql)?,
            cpu(haproxy)?,
            cpu(predictsql)?,
        ))
    }

    /// The result line.
    pub fn json(&self) -> Value {
        let each = |of: &dyn Fn(&Series) -> Option<Value>| -> Value {
            let value = |series: &Series| Some((series.workload.to_string(), of(series)?));
            Value::Object(self.series.iter().filter_map(value).collect::<Map<_, _>>())
        };
        let ratio = |series: &Series| series.ratio(Way::Predictsql, Way::Haproxy);
        let of_direct =
            |way| each(&|series| Some(rounded(series.ratio(way, Way::Direct)?.median, 4)));
        let rate = |way| each(&|series| Some(rounded(series.rate(way)?.median, 2)));
        let cpu = |way| each(&|series| Some(rounded(series.proxy_us(way)?.median, 2)));
        json!({
            "bench": "relay",
            "ratio_to_haproxy": each(&|series| Some(rounded(ratio(series)?.median, 4))),
            "interval": each(&|series| {
                let Summary { low, high, .. } = ratio(series)?;
                Some(json!([rounded(low, 4), rounded(high, 4)]))
            }),
            "geomean_ratio_to_haproxy": self.geomean().map(|mean| rounded(mean, 4)),
            "ratio_to_direct": {
                "predictsql": of_direct(Way::Predictsql),
                "haproxy": of_direct(Way::Haproxy),
            },
            "cpu_us_per_query": { "predictsql": cpu(Way::Predictsql), "haproxy": cpu(Way::Haproxy) },
            "queries_per_s": {
                "direct": rate(Way::Direct),
                "predictsql": rate(Way::Predictsql),
                "haproxy": rate(Way::Haproxy),
            },
            "pss_kib_per_idle_connection": rounded(self.idle.predictsql_kib, 2),
            "pss_kib_per_idle_connection_haproxy": rounded(self.idle.haproxy_kib, 2),
            "start_to_ready_ms": Summary::of(&self.start_ms).map(|start| rounded(start.median, 1)),
            "rounds": self.series.first().map(|series| series.rounds.len()),
            "slice_seconds": self.slice_seconds,
            "cores": self.cores,
            "repeated_slices": self.repeated,
            "others_cpu_share": self.others_share().map(|share| rounded(share, 3)),
        })
    }
}

fn rounded(value: f64, decimals: i32) -> Value {
    let parts = 10_f64.powi(decimals);
    json!((value * parts).round() / parts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::relay::load::Workload;

    fn slice(rate: f64, proxy_us: f64) -> Slice {
        Slice {
            rate,
            proxy_us,
            others_share: 0.0,
        }
    }

    fn report() -> Report {
        let series = |workload, predictsql: [f64; 3]| Series {
            workload,
            rounds: predictsql
                .map(|rate| [slice(200.0, 0.0), slice(100.0, 9.0), slice(rate, 8.0)])
                .to_vec(),
        };
        Report {
            versions: vec!["store 1".to_owned()],
            cores: 2,
            slice_seconds: 2,
            series: vec![
                series(Workload::PointSelect { threads: 8 }, [110.0, 90.0, 100.0]),
                series(Workload::Scan, [121.0, 121.0, 130.0]),
            ],
            repeated: 0,
            idle: Idle {
                predictsql_kib: 10.0,
                haproxy_kib: 5.0,
            },
            start_ms: vec![30.0, 20.0, 90.0],
        }
    }

    #[test]
    fn the_result_holds_medians_of_paired_slices() {
        let json = report().json();
        assert_eq!(
            json["ratio_to_haproxy"],
            json!({ "point_select_8": 1.0, "scan_200k": 1.21 })
        );
        assert_eq!(json["interval"]["point_select_8"], json!([0.9, 1.1]));
        assert_eq!(json["geomean_ratio_to_haproxy"], 1.1);
        assert_eq!(json["ratio_to_direct"]["haproxy"]["scan_200k"], 0.5);
        assert_eq!(
            json["cpu_us_per_query"]["predictsql"]["point_select_8"],
            8.0
        );
        assert_eq!(json["pss_kib_per_idle_connection"], 10.0);
        assert_eq!(json["start_to_ready_ms"], 30.0);
    }

    #[test]
    fn the_table_has_a_line_a_workload_and_fits_a_screen() {
        let table = report().table();
        for start in ["store 1", "point_select_8 ", "scan_200k "] {
            assert!(table.lines().any(|line| line.starts_with(start)), "{table}");
        }
        let widest = table.lines().map(str::len).max();
        assert!(widest <= Some(100), "{table}");
    }

    #[test]
    fn a_busy_machine_is_told() {
        let mut busy = report();
        assert_eq!(busy.warning(), None);
        for slices in busy.series.iter_mut().flat_map(|series| &mut series.rounds) {
            for slice in slices {
                slice.others_share = 0.2;
            }
        }
        assert!(busy.warning().unwrap().contains("20 %"));
    }
}
