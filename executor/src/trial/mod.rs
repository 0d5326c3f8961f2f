//! Tries a new model in a separate process, which can be ended whatever it does.
//!
//! ONNX Runtime cannot be interrupted everywhere: a file of some kilobytes can make it expand
//! functions for hours, allocate any amount of memory, or overflow its stack. So the program runs
//! itself again:
//!
//! ```text
//! executor                                          child (`child.rs`)
//!   request, sealed in memory --- standard input --->  limits on itself, load, contract, warm-up
//!   reply                     <-- standard output ---  one reply, end
//!   SIGKILL at the limit, or when no caller waits any more
//! ```
//!
//! The child inherits none of the program's files and sockets, and almost none of its environment.

mod child;
mod limits;
mod process;
mod reply;
mod request;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::interrupt::Interrupt;
use crate::loads::{Loads, OVERDUE_AFTER};
use crate::{ModelError, TrialConfig, library};
use limits::Limits;
use process::Ended;
use reply::Reply;
pub(crate) use reply::Tried;
use request::ARGUMENT;
pub(crate) use request::Request;

/// The only inherited environment variable: the search path of shared libraries.
const HANDED_ON: &str = "LD_LIBRARY_PATH";

/// Further environment variables of the child: builds of ONNX Runtime with telemetry would
/// otherwise write a database below the user's folders, which the limits forbid, and start
/// threads.
const TOLD: [(&str, &str); 3] = [
    ("ORT_DISABLE_TELEMETRY", "1"),
    ("HOME", "/dev/null"),
    ("XDG_CACHE_HOME", "/dev/null"),
];

/// Substrings of error messages that indicate a lack of memory: from C++, ONNX Runtime's arena,
/// and Rust.
const LACKS_MEMORY: [&str; 4] = [
    "bad_alloc",
    "bad allocation",
    "Failed to allocate memory",
    "memory allocation of",
];

/// Tries a model if the command line requests it; `None` if it does not. Must be called first in
/// `main`, before any thread exists.
#[must_use]
pub fn try_model_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    Some(child::run(arguments))
}

/// Tries models, with limited concurrency.
#[derive(Debug)]
pub(crate) struct Trials {
    config: TrialConfig,
    turns: Arc<Loads>,
}

impl Trials {
    pub(crate) fn new(config: TrialConfig) -> Self {
        // A trial ends at its limit; only reading its file may hang longer.
        let limit = Duration::from_secs(config.trial_seconds_max);
        let overdue_after = limit.saturating_add(OVERDUE_AFTER);
        Self {
            turns: Arc::new(Loads::new(config.trials_max, overdue_after)),
            config,
        }
    }

    /// Serializes the trials.
    pub(crate) fn turns(&self) -> &Arc<Loads> {
        &self.turns
    }

    /// Tries a file. Blocks until the trial has ended, by itself, at a limit or by `interrupt`.
    pub(crate) fn run(
        &self,
        request: &Request,
        file: Bytes,
        sha256: &str,
        ort_library: Option<&Path>,
        interrupt: &Interrupt,
    ) -> Result<Tried, ModelError> {
        let failed = |error: std::io::Error| ModelError::NoTrial {
            reason: error.to_string(),
        };
        let request = request.seal(&file).map_err(failed)?;
        drop(file);
        let library = library::named(ort_library)?;
        let mut command = self.command(library);
        command.stdin(Stdio::from(request));
        let seconds_max = self.config.trial_seconds_max;
        let limit = Duration::from_secs(seconds_max);
        let ended = process::run(command, limit, interrupt).map_err(failed)?;
        let result = match ended {
            Ended::Interrupted => Err(ModelError::abandoned()),
            Ended::Late => Err(ModelError::TrialSeconds { seconds_max }),
            Ended::Itself(child) => self.judge(&child),
        };
        if let Err(error) = &result {
            self.tell(sha256, error);
        }
        result
    }

    fn command(&self, library: Option<PathBuf>) -> Command {
        let limits = Limits {
            seconds_max: self.config.trial_seconds_max,
            bytes_max: self.config.trial_bytes_max,
        };
        let mut command = Command::new(&self.config.program);
        command
            .arg(ARGUMENT)
            .arg(std::process::id().to_string())
            .args(limits.arguments())
            .args(library.map(OsString::from));
        command.env_clear().envs(TOLD);
        if let Some(value) = std::env::var_os(HANDED_ON) {
            command.env(HANDED_ON, value);
        }
        command
    }

    /// Result of a trial that ended by itself.
    fn judge(&self, child: &process::Child) -> Result<Tried, ModelError> {
        let (seconds_max, bytes_max) = (self.config.trial_seconds_max, self.config.trial_bytes_max);
        match serde_json::from_slice::<Reply>(&child.reply) {
            Ok(Err(ModelError::Runtime { reason })) if lacks_memory(&reason) => {
                Err(ModelError::TrialMemory { bytes_max })
            }
            Ok(reply) => reply,
            Err(_) if child.used_up_its_seconds() => Err(ModelError::TrialSeconds { seconds_max }),
            Err(_) if lacks_memory(&child.said) => Err(ModelError::TrialMemory { bytes_max }),
            Err(_) => Err(ModelError::TrialDied { how: child.how() }),
        }
    }

    /// Logs a trial that was ended or crashed. The file is identified by its hash, since its name
    /// is a literal of the statement.
    fn tell(&self, sha256: &str, error: &ModelError) {
        let why = match error {
            ModelError::TrialSeconds { .. } => "it took longer than trial_seconds_max",
            ModelError::TrialMemory { .. } => "it needed more memory than trial_bytes_max",
            ModelError::TrialDied { how } => how,
            ModelError::Interrupted { .. } => "its statement has ended",
            _ => return,
        };
        tracing::warn!(sha256, "the trial of a model came to nothing: {why}");
    }
}

fn lacks_memory(text: &str) -> bool {
    LACKS_MEMORY.iter().any(|said| text.contains(said))
}

#[cfg(test)]
mod tests;
