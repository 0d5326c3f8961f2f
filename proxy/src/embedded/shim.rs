//! Ties the server's life to the proxy's: the hidden first argument [`SHIM`] of the binary.
//!
//! The kernel can send a process a signal when its parent dies (`PR_SET_PDEATHSIG`), however the
//! parent dies. The wish must be made by the child itself, after the fork and before the server
//! runs, and doing that inside `std::process::Command` needs unsafe code. So the proxy starts
//! itself again with [`SHIM`]; that process makes the wish and becomes the server by `exec`,
//! which keeps it. The "parent" is the *thread* that started the child: it must outlive it,
//! which the supervisor's own thread does.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// First argument of a process that is to become the server.
pub const SHIM: &str = "__mariadbd-shim";

/// Arguments for the `predictsql` binary that make it run `program` with `arguments`.
pub(super) fn arguments(program: &Path, arguments: &[OsString]) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![SHIM.into(), std::process::id().to_string().into()];
    all.push(program.into());
    all.extend_from_slice(arguments);
    all
}

/// Becomes the server where the command line asks for it; `None` where it does not.
/// To be called first in `main`, before any thread exists. Returns only when that failed.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SHIM {
        return None;
    }
    Some(become_server(arguments))
}

fn become_server(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = arguments.next().and_then(|pid| pid.into_string().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        eprintln!("usage: predictsql {SHIM} PARENT_PID PROGRAM [ARGUMENT...]");
        return ExitCode::from(2);
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("cannot tie the server to its proxy: {error}");
        return ExitCode::FAILURE;
    }
    // A parent that died before the wish was made sends nothing: it shows as another parent.
    let still_there =
        getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent.trim());
    if !still_there {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("cannot run {}: {error}", Path::new(&program).display());
    ExitCode::FAILURE
}
