//! Says on the terminal how far a long step is.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

/// How often a count is written again.
const REFRESH: Duration = Duration::from_millis(200);

/// One step of the set-up: a line that says what is done, and how far.
pub(super) struct Progress {
    text: String,
    total: usize,
    done: usize,
    began: Instant,
    written: Instant,
    /// Whether the line can be written over.
    terminal: bool,
}

impl Progress {
    /// Begins the step `text` of `total` things; 0 where they are not counted.
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

    /// `count` more are done.
    pub(super) fn add(&mut self, count: usize) {
        self.done += count;
        if self.terminal && self.written.elapsed() >= REFRESH {
            self.written = Instant::now();
            self.write("");
        }
    }

    /// The step is done.
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
        // A terminal that went away is no reason to stop the work.
        let mut out = stdout().lock();
        let _ = write!(out, "{start}  {text}{count}{end}").and_then(|()| out.flush());
    }
}
