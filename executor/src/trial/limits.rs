//! What a child may use, set by itself before it reads anything of the model.

use std::ffi::{OsStr, OsString};
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files: three at the start, the reply, and what ONNX Runtime and the loader of libraries
/// open.
const FILES_MAX: u64 = 64;

/// Address space beyond the memory: programs, libraries,
/// and what allocators reserve without using it.
const RESERVED_BYTES: u64 = 4 << 30;

/// Seconds of CPU beyond the limit, at which the kernel ends a child that nobody has ended:
/// several threads use them up faster than the clock goes.
const CPU_SECONDS_SPARE: u64 = 1;

/// Limits of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) seconds_max: u64,
    pub(super) bytes_max: u64,
}

impl Limits {
    /// As arguments of a command line.
    pub(super) fn arguments(self) -> [OsString; 2] {
        [self.seconds_max, self.bytes_max].map(|number| number.to_string().into())
    }

    /// Of arguments of a command line.
    pub(super) fn read(seconds: Option<&OsStr>, bytes: Option<&OsStr>) -> Option<Self> {
        let number = |argument: Option<&OsStr>| argument?.to_str()?.parse().ok();
        Some(Self {
            seconds_max: number(seconds)?,
            bytes_max: number(bytes)?,
        })
    }

    /// Puts this process under the limits, for good.
    pub(super) fn set(self) -> io::Result<()> {
        let cpu = self.seconds_max.saturating_add(CPU_SECONDS_SPARE);
        // A second later it is killed without a word; this one tells why.
        set(Resource::Cpu, cpu, cpu.saturating_add(1))?;
        for (resource, max) in [
            // All memory that is the process's own and can be written to.
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

/// Sets a limit; what the system allows less of stays at that.
fn set(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(current.min(allowed)),
        maximum: Some(maximum.min(allowed)),
    };
    Ok(setrlimit(resource, limit)?)
}
