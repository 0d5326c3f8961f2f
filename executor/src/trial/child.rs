//! The child process: limits itself, tries the model, and replies with the result.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::limits::Limits;
use super::reply::{Reply, Tried};
use super::request::{ARGUMENT, Request};
use crate::interrupt::Interrupt;
use crate::model::compile;
use crate::{ModelError, library};

/// Stack size of the thread that tries the model: smaller than that of the threads that load and
/// run it later, so that too deeply nested models already fail here.
const STACK_BYTES: usize = 3 << 19;

pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let argument = |place: usize| arguments.get(place).map(OsString::as_os_str);
    let parent = argument(0).and_then(|pid| pid.to_str());
    let (Some(parent), Some(limits)) = (parent, Limits::read(argument(1), argument(2))) else {
        eprintln!("usage: predictsql {ARGUMENT} PARENT_PID SECONDS BYTES [LIBRARY]");
        return ExitCode::from(2);
    };
    match set_up(parent, limits).and_then(|mut reply| {
        let tried = tried(argument(3).map(Path::new));
        reply.write_all(&serde_json::to_vec(&tried)?)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot try a model: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ties this process to its parent and applies the limits. Returns the file for the reply; from
/// here on no other output goes to it.
fn set_up(parent: &str, limits: Limits) -> std::io::Result<File> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the parent died before the request, no signal is sent: compare the parent's process id.
    let still_there = getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent);
    if !still_there {
        return Err(std::io::Error::other("its parent has gone"));
    }
    let reply = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    std::env::set_current_dir("/")?;
    // If memory runs out, the system should end this process instead of its parent.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    limits.set()?;
    Ok(reply)
}

fn tried(library: Option<&Path>) -> Reply {
    let library = library.map(Path::to_path_buf);
    let work = move || {
        let (request, file) = Request::read(std::io::stdin().lock()).map_err(|error| {
            let reason = format!("its file was not handed over ({error})");
            ModelError::NoTrial { reason }
        })?;
        let environment = library::environment(library.as_deref())?;
        let Request { options, settings } = request;
        let interrupt = Interrupt::default();
        let compiled = compile(&environment, file, &options, &settings, &interrupt)?;
        Ok(Tried {
            seconds_per_image: compiled.seconds_per_image,
            warnings: compiled.warnings,
        })
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let failed = |reason: String| ModelError::NoTrial { reason };
    match thread.spawn(work).map(|thread| thread.join()) {
        Ok(Ok(tried)) => tried,
        Ok(Err(_panic)) => Err(failed("internal error in loading".to_string())),
        Err(error) => Err(failed(format!("no thread to load it on ({error})"))),
    }
}
