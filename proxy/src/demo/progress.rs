//! Shows the progress of a long step on the terminal.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

/// Interval between two updates of a count.
const REFRESH: Duration = Duration::from_millis(200);

/// One step of the set-up: a line with its description and progress.
pub(super) struct Progress {
    text: String,
    total: usize,
    done: usize,
    began: Instant,
    written: Instant,
    /// Whether the line can be overwritten.
    terminal: bool,
}

impl Progress {
    /// Begins the step `text` with `total` items; 0 if they are not counted.
    pub(super) fn begin(text: impl Into<String>, total: usize) -> Self {
        let now = Instant::now();
        let progress = Self {
            text: text.into(),
            total,
            done: 0,
            began: now,
            written: now,
            terminal: stdout().is_terminal(),
        };
        if progress.terminal {
            progress.write("");
        }
        progress
    }

    /// Adds `count` completed items.
    pub(super) fn add(&mut self, count: usize) {
        self.done += count;
        if self.terminal && self.written.elapsed() >= REFRESH {
            self.written = Instant::now();
            self.write("");
        }
    }

    /// Ends the step.
    pub(super) fn finish(mut self) {
        self.done = self.total;
        let seconds = self.began.elapsed().as_secs_f64();
        self.write(&format!(" ({seconds:.1} s)\n"));
    }

    fn write(&self, end: &str) {
        let Self {
            text, total, done, ..
        } = self;
        let start = if self.terminal { "\r" } else { "" };
        let count = match total {
            0 => String::new(),
            _ if done == total => format!(": {total}"),
            _ => format!(": {done} of {total}"),
        };
        // A closed terminal must not stop the work.
        let mut out = stdout().lock();
        let _ = write!(out, "{start}  {text}{count}{end}").and_then(|()| out.flush());
    }
}
