//! Ends the server when the proxy ends: the hidden first argument [`SHIM`] of the binary.
//!
//! The kernel can send a process a signal when its parent dies in any way (`PR_SET_PDEATHSIG`).
//! The child itself must request this, after the fork and before the server runs, and doing that
//! inside `std::process::Command` needs unsafe code. So the proxy starts itself again with
//! [`SHIM`]; that process makes the request and becomes the server by `exec`, which preserves it.
//! The "parent" is the *thread* that started the child: it must outlive the child, as the
//! supervisor's thread does.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// First argument of a process that becomes the server.
pub const SHIM: &str = "__mariadbd-shim";

/// Arguments that make the `predictsql` binary run `program` with `arguments`.
pub(super) fn arguments(program: &Path, arguments: &[OsString]) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![SHIM.into(), std::process::id().to_string().into()];
    all.push(program.into());
    all.extend_from_slice(arguments);
    all
}

/// Becomes the server if the command line requests it; `None` if it does not. Must be called first
/// in `main`, before any thread exists. Returns an exit code only on failure.
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
    // If the parent died before the request, no signal is sent: compare the parent's process id.
    let still_there =
        getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent.trim());
    if !still_there {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("cannot run {}: {error}", Path::new(&program).display());
    ExitCode::FAILURE
}
