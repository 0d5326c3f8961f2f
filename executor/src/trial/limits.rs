//! Resource limits of a child, which it applies to itself before it reads any part of the model.

use std::ffi::{OsStr, OsString};
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Maximum open files: three at the start, the reply, and files opened by ONNX Runtime and the
/// dynamic loader.
const FILES_MAX: u64 = 64;

/// Address space beyond the memory limit: for programs, libraries, and memory reserved but not
/// used by allocators.
const RESERVED_BYTES: u64 = 4 << 30;

/// CPU seconds beyond the limit, after which the kernel ends a child that was not ended otherwise:
/// several threads use CPU time faster than wall-clock time.
const CPU_SECONDS_SPARE: u64 = 1;

/// Limits of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) seconds_max: u64,
    pub(super) bytes_max: u64,
}

impl Limits {
    /// Limits as command line arguments.
    pub(super) fn arguments(self) -> [OsString; 2] {
        [self.seconds_max, self.bytes_max].map(|number| number.to_string().into())
    }

    /// Parses command line arguments.
    pub(super) fn read(seconds: Option<&OsStr>, bytes: Option<&OsStr>) -> Option<Self> {
        let number = |argument: Option<&OsStr>| argument?.to_str()?.parse().ok();
        Some(Self {
            seconds_max: number(seconds)?,
            bytes_max: number(bytes)?,
        })
    }

    /// Applies the limits to this process permanently.
    pub(super) fn set(self) -> io::Result<()> {
        let cpu = self.seconds_max.saturating_add(CPU_SECONDS_SPARE);
        // This limit sends SIGXCPU, which identifies the cause; a second later the process is
        // killed with SIGKILL.
        set(Resource::Cpu, cpu, cpu.saturating_add(1))?;
        for (resource, max) in [
            // All private writable memory of the process.
            (Resource::Data, self.bytes_max),
            (Resource::As, self.bytes_max.saturating_add(RESERVED_BYTES)),
            (Resource::Core, 0),
            (Resource::Fsize, 0),
            (Resource::Nofile, FILES_MAX),
        ] {
            set(resource, max, max)?;
        }
        Ok(())
    }
}

/// Sets a limit; if the hard limit is lower, uses that.
fn set(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(current.min(allowed)),
        maximum: Some(maximum.min(allowed)),
    };
    Ok(setrlimit(resource, limit)?)
}
