//! How busy a GPU is, from `nvidia-smi`, which comes with the driver.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::error::BenchError;

/// Milliseconds between two looks.
const EVERY_MS: &str = "100";

/// Looks at a GPU until it is dropped.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    seen: Arc<Mutex<Vec<(Instant, f64)>>>,
}

impl Watch {
    /// Begins to look at the GPU of this number.
    ///
    /// # Errors
    /// `nvidia-smi` cannot be run.
    pub fn begin(gpu: u16) -> Result<Self, BenchError> {
        let mut child = Command::new("nvidia-smi")
            .args([
                "--query-gpu=utilization.gpu",
                "--format=csv,noheader,nounits",
            ])
            .args(["-i", &gpu.to_string(), "-lms", EVERY_MS])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let seen: Arc<Mutex<Vec<(Instant, f64)>>> = Arc::default();
        let (output, into) = (child.stdout.take(), seen.clone());
        let read = move || {
            let lines = output.map(BufReader::new).into_iter();
            for line in lines.flat_map(BufRead::lines).map_while(Result::ok) {
                if let Ok(percent) = line.trim().parse() {
                    let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push((Instant::now(), percent));
                }
            }
        };
        std::thread::Builder::new()
            .name("nvidia-smi".to_owned())
            .spawn(read)?;
        Ok(Self { child, seen })
    }

    /// Mean utilisation since `begin`, in percent; `None`: nothing was seen.
    pub fn percent_since(&self, begin: Instant) -> Option<f64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = seen.iter().filter(|(at, _)| *at >= begin);
        let percents: Vec<f64> = since.map(|(_, percent)| *percent).collect();
        (!percents.is_empty()).then(|| percents.iter().sum::<f64>() / percents.len() as f64)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
