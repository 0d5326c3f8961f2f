//! CPU time of processes, and of the whole machine, from `/proc`.

use std::fs;
use std::io;

/// Fields of `/proc/PID/stat` between the command's closing parenthesis and `utime`.
const FIELDS_BEFORE_UTIME: usize = 11;
/// Fields of the first line of `/proc/stat` that are work: user, nice, system, idle, iowait, irq,
/// softirq, steal; what follows is counted in them already.
const MACHINE_FIELDS: usize = 8;
const IDLE_FIELDS: [usize; 2] = [3, 4];

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds of CPU that a process has used in user and system mode, over all its threads, to a
/// clock tick (10 ms).
///
/// # Errors
/// The process is gone.
pub fn process_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    of_process(&stat).map(seconds).ok_or_else(unreadable)
}

/// Seconds of CPU of this process and of its children that have ended and been waited for, to a
/// clock tick.
///
/// # Errors
/// There is no `/proc`.
pub fn own_and_childrens_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let ticks = times(&stat).map(|times| times.iter().sum());
    ticks.map(seconds).ok_or_else(unreadable)
}

/// Seconds of CPU that the machine has spent on anything since it started, over all cores, to a
/// clock tick.
///
/// # Errors
/// There is no `/proc`.
pub fn machine_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    of_machine(&stat).map(seconds).ok_or_else(unreadable)
}

/// Seconds of CPU that this thread has used, to a microsecond or better.
pub fn thread_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn unreadable() -> io::Error {
    io::Error::other("/proc has another format than expected")
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn of_process(stat: &str) -> Option<u64> {
    let [user, system, ..] = times(stat)?;
    user.checked_add(system)
}

/// User and system time of a process, and those of its children that were waited for.
fn times(stat: &str) -> Option<[u64; 4]> {
    // The command may hold spaces and parentheses itself.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(FIELDS_BEFORE_UTIME);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some([next()?, next()?, next()?, next()?])
}

fn of_machine(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields = line.split_whitespace().take(MACHINE_FIELDS).enumerate();
    fields
        .filter(|(index, _)| !IDLE_FIELDS.contains(index))
        .map(|(_, field)| field.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_command() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 3 0 250 50 9 9 20 0 1 0 88 1 2";
        assert_eq!(of_process(stat), Some(300));
        assert_eq!(times(stat), Some([250, 50, 9, 9]));
        assert_eq!(of_process("7 (a) S 1"), None);
        assert!(process_seconds(std::process::id()).unwrap() >= 0.0);
    }

    #[test]
    fn idle_time_is_no_work() {
        let stat = "cpu  1 2 4 1000 1000 8 16 32 500 500\ncpu0 1 1 1 1\n";
        assert_eq!(of_machine(stat), Some(63));
        assert!(machine_seconds().unwrap() > 0.0);
    }
}
