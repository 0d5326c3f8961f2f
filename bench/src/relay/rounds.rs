//! The rounds: in each, every way takes a slice of every workload, one after the other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use super::contenders::{Contenders, Way};
use super::error::RelayBenchError;
use super::load::{Load, Workload, order};
use crate::cpu;

/// CPU that processes without a part in the benchmark may take of the machine, as a share, before
/// a slice is thought disturbed.
pub const OTHERS_SHARE_MAX: f64 = 0.05;
/// Disturbed slices are repeated up to so often in a run, as a share of all slices: it has to end
/// on a busy machine, too.
const REPEATED_SHARE_MAX: f64 = 0.2;

/// One slice.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Queries a second.
    pub rate: f64,
    /// CPU microseconds of the proxy a query; 0 without one.
    pub proxy_us: f64,
    /// Share of the machine's CPU that processes took which have no part in the benchmark.
    pub others_share: f64,
}

/// All slices of one workload.
#[derive(Debug, Clone)]
pub struct Series {
    /// Which.
    pub workload: Workload,
    /// By round; each in the order of [`Way::ALL`].
    pub rounds: Vec<[Slice; 3]>,
}

/// What the rounds gave.
#[derive(Debug, Clone)]
pub struct Measured {
    /// By workload.
    pub series: Vec<Series>,
    /// Slices that were repeated since others disturbed them.
    pub repeated: usize,
}

/// Measures every workload in `rounds` rounds. What each slice gave goes to stdout.
///
/// # Errors
/// A slice fails, or `interrupted` is set.
pub fn measure(
    contenders: &Contenders,
    load: &Load<'_>,
    workloads: &[Workload],
    rounds: usize,
    interrupted: &AtomicBool,
) -> Result<Measured, RelayBenchError> {
    let mut all: Vec<Series> = workloads
        .iter()
        .map(|workload| Series::new(*workload))
        .collect();
    let slices = rounds * workloads.len() * Way::ALL.len();
    let repeated_max = (slices as f64 * REPEATED_SHARE_MAX) as usize;
    let mut repeated = 0;
    for round in 0..rounds {
        println!("round {} of {rounds}, queries/s (others' CPU)", round + 1);
        for series in &mut all {
            let mut slices = [Slice::NONE; 3];
            for way in order(round) {
                // Ways are numbered in the order of `ALL`.
                let Some(best) = slices.get_mut(way as usize) else {
                    continue;
                };
                while best.is_disturbed() {
                    if interrupted.load(Relaxed) {
                        return Err(RelayBenchError::Interrupted);
                    }
                    let again = best.others_share.is_finite();
                    if again && repeated == repeated_max {
                        break;
                    }
                    repeated += usize::from(again);
                    *best = best.or(slice(contenders, load, series.workload, way)?);
                }
            }
            println!("  {:<16}{}", series.workload.to_string(), line(&slices));
            series.rounds.push(slices);
        }
    }
    Ok(Measured {
        series: all,
        repeated,
    })
}

fn slice(
    contenders: &Contenders,
    load: &Load<'_>,
    workload: Workload,
    way: Way,
) -> Result<Slice, RelayBenchError> {
    let before = Clocks::now(contenders, way)?;
    let done = load.run(workload, contenders.server(way))?;
    let after = Clocks::now(contenders, way)?;
    let queries = done.queries.max(1) as f64;
    let wall = after.at.duration_since(before.at).as_secs_f64();
    let others = (after.machine - before.machine) - (after.ours - before.ours);
    Ok(Slice {
        rate: done.rate,
        proxy_us: (after.proxy - before.proxy) / queries * 1e6,
        others_share: others.max(0.0) / (wall * cpu::cores() as f64),
    })
}

/// CPU seconds until now.
struct Clocks {
    at: Instant,
    machine: f64,
    /// Of the store, the proxy, this program and the ended sysbenches.
    ours: f64,
    proxy: f64,
}

impl Clocks {
    fn now(contenders: &Contenders, way: Way) -> Result<Self, RelayBenchError> {
        let proxy = match contenders.proxy_pid(way) {
            Some(pid) => cpu::process_seconds(pid)?,
            None => 0.0,
        };
        let store = cpu::process_seconds(contenders.direct.pid())?;
        Ok(Self {
            at: Instant::now(),
            machine: cpu::machine_seconds()?,
            ours: proxy + store + cpu::own_and_childrens_seconds()?,
            proxy,
        })
    }
}

fn line(slices: &[Slice; 3]) -> String {
    let parts = Way::ALL.iter().zip(slices).map(|(way, slice)| {
        let percent = slice.others_share * 100.0;
        format!(
            "{way} {:.*} ({percent:.0} %)",
            decimals(slice.rate),
            slice.rate
        )
    });
    parts.collect::<Vec<_>>().join("  ")
}

/// Digits worth showing: scans come by the handful a second and cost milliseconds,
/// point selects the reverse.
pub fn decimals(figure: f64) -> usize {
    if figure < 100.0 { 2 } else { 0 }
}

impl Series {
    fn new(workload: Workload) -> Self {
        Self {
            workload,
            rounds: Vec::new(),
        }
    }
}

impl Slice {
    /// None yet.
    const NONE: Self = Self {
        rate: 0.0,
        proxy_us: 0.0,
        others_share: f64::INFINITY,
    };

    fn is_disturbed(&self) -> bool {
        self.others_share > OTHERS_SHARE_MAX
    }

    /// The less disturbed one of two.
    fn or(self, other: Self) -> Self {
        if self.others_share <= other.others_share {
            self
        } else {
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_disturbed_slice_counts() {
        let with = |others_share| Slice {
            others_share,
            ..Slice::NONE
        };
        assert!(Slice::NONE.is_disturbed() && with(0.06).is_disturbed());
        let best = Slice::NONE.or(with(0.5)).or(with(0.04)).or(with(0.2));
        assert_eq!(best.others_share, 0.04);
        assert!(!best.is_disturbed());
    }
}
