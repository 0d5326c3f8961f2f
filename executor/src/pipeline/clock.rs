//! Wall-clock and CPU time of work.

use std::time::Instant;

/// What measures the cost of work.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    /// CPU time of the calling thread, independent of other load on the machine.
    ThreadCpu,
    /// Time that passes: the work is done by a device.
    Wall,
}

impl Clock {
    /// Its time in nanoseconds, for differences.
    pub(super) fn now_ns(self) -> u64 {
        let clock = match self {
            Self::ThreadCpu => return thread_cpu_ns(),
            Self::Wall => rustix::time::ClockId::Monotonic,
        };
        ns(rustix::time::clock_gettime(clock))
    }
}

pub(super) fn elapsed_ns(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time of the calling thread in nanoseconds, independent of other load on the machine.
pub(super) fn thread_cpu_ns() -> u64 {
    ns(rustix::time::clock_gettime(
        rustix::time::ClockId::ThreadCPUTime,
    ))
}

fn ns(time: rustix::time::Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
