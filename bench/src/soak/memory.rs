//! The resident memory of a process over time, and whether it grows.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::statistics::Summary;

/// Of the whole time what counts as warming up.
const WARM_SHARE: f64 = 1.0 / 6.0;
/// Of the whole time what a window is: its median stands for it. Five minutes of half an hour:
/// within one, large images and answers come and go.
const WINDOW_SHARE: f64 = 1.0 / 6.0;

/// Samples of a process.
#[derive(Debug)]
pub struct Memory {
    pid: u32,
    began: Instant,
    whole: Duration,
    samples: Vec<(Duration, f64)>,
}

/// What samples tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Median of the first window after warming up, MiB.
    pub warm_mib: f64,
    /// The largest median of a later window, MiB.
    pub largest_mib: f64,
    /// Median of the last window, MiB.
    pub last_mib: f64,
}

impl Growth {
    /// The largest beside the first.
    pub fn ratio(&self) -> f64 {
        self.largest_mib / self.warm_mib
    }
}

impl Memory {
    /// Of a process that is watched for `whole`.
    pub fn new(pid: u32, whole: Duration) -> Self {
        Self {
            pid,
            began: Instant::now(),
            whole,
            samples: Vec::new(),
        }
    }

    /// Takes a sample.
    ///
    /// # Errors
    /// The process is gone.
    pub fn sample(&mut self) -> io::Result<()> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let mib = resident_mib(&status).ok_or_else(|| io::Error::other("no VmRSS"))?;
        self.samples.push((self.began.elapsed(), mib));
        Ok(())
    }

    /// The last sample, for people.
    pub fn last(&self) -> String {
        let last = self.samples.last();
        last.map_or_else(String::new, |(_, mib)| format!("{mib:.0} MiB resident"))
    }

    /// What they tell, once there are enough.
    pub fn growth(&self) -> Option<Growth> {
        growth(&self.samples, self.whole)
    }
}

fn growth(samples: &[(Duration, f64)], whole: Duration) -> Option<Growth> {
    let (warm, window) = (whole.mul_f64(WARM_SHARE), whole.mul_f64(WINDOW_SHARE));
    let mut windows: Vec<Vec<f64>> = Vec::new();
    for (at, mib) in samples {
        let Some(after) = at.checked_sub(warm) else {
            continue;
        };
        let number = (after.as_secs_f64() / window.as_secs_f64()) as usize;
        if windows.len() <= number {
            windows.resize(number + 1, Vec::new());
        }
        windows.get_mut(number)?.push(*mib);
    }
    let medians = windows.iter().filter_map(|window| Summary::of(window));
    let medians: Vec<f64> = medians.map(|summary| summary.median).collect();
    let (&warm_mib, later) = medians.split_first()?;
    Some(Growth {
        warm_mib,
        largest_mib: later.iter().copied().fold(warm_mib, f64::max),
        last_mib: later.last().copied().unwrap_or(warm_mib),
    })
}

fn resident_mib(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_comes_after_warming_up_is_compared_with_its_start() {
        let whole = Duration::from_secs(60);
        let samples: Vec<_> = (0..60)
            .map(|s| (Duration::from_secs(s), s as f64))
            .collect();
        let growth = growth(&samples, whole).unwrap();
        // Windows of ten seconds from the tenth on.
        assert_eq!((growth.warm_mib, growth.last_mib), (14.5, 54.5));
        assert_eq!(growth.ratio(), 54.5 / 14.5);
        assert_eq!(super::growth(&samples[..9], whole), None);
        assert!(resident_mib("VmHWM:\t9 kB\nVmRSS:\t  2048 kB\n") == Some(2.0));
    }
}
