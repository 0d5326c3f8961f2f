//! A loop that runs in a process of its own and follows orders.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::error::BenchError;
use super::job::{Done, Order, READY};

/// A loop that has its model loaded. Dropping it ends the process.
pub struct LoopProcess {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl LoopProcess {
    /// Starts `command` and waits until it is ready.
    ///
    /// # Errors
    /// It does not start, or ends before it is ready; its reason is on standard error.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self, BenchError> {
        let failed = |error: std::io::Error| BenchError::Loop {
            name,
            reason: error.to_string(),
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or_else(|| failed(std::io::Error::other("no output")))?;
        let mut process = Self {
            name,
            child,
            orders,
            answers: BufReader::new(answers),
        };
        match process.line()?.trim_end() {
            READY => Ok(process),
            other => Err(process.failed(format!("said '{other}' for '{READY}'"))),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order and waits for the answer.
    ///
    /// # Errors
    /// The process ended, or answered something else.
    pub fn follow(&mut self, order: &Order) -> Result<Done, BenchError> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        let sent = match &mut self.orders {
            Some(orders) => orders.write_all(&line).and_then(|()| orders.flush()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        sent.map_err(|error| self.failed(error.to_string()))?;
        let done: Done = serde_json::from_str(&self.line()?)?;
        if done.labels.len() != order.images {
            let (found, wanted) = (done.labels.len(), order.images);
            return Err(self.failed(format!("gave {found} labels for {wanted} images")));
        }
        Ok(done)
    }

    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(self.failed("ended early; see its message above".to_owned())),
            Ok(_) => Ok(line),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    fn failed(&self, reason: String) -> BenchError {
        let name = self.name;
        BenchError::Loop { name, reason }
    }
}

impl Drop for LoopProcess {
    fn drop(&mut self) {
        // It ends with its input. Killed where it does not: it has nothing to lose.
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
