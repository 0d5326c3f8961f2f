//! Memory use of this process as reported by the system.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Resident memory in bytes; 0 if unknown. A call takes about a microsecond.
pub(crate) fn resident_bytes() -> u64 {
    static STATM: OnceLock<Option<File>> = OnceLock::new();
    let mut text = [0; 128];
    let statm = STATM.get_or_init(|| File::open("/proc/self/statm").ok());
    let len = statm
        .as_ref()
        .and_then(|file| file.read_at(&mut text, 0).ok());
    let text = text.get(..len.unwrap_or(0)).unwrap_or_default();
    let mut fields = text.split(|byte| *byte == b' ').skip(1);
    let pages = fields
        .next()
        .and_then(|pages| std::str::from_utf8(pages).ok()?.parse().ok());
    pages
        .unwrap_or(0_u64)
        .saturating_mul(rustix::param::page_size() as u64)
}

/// Makes the C library return free heap memory to the system. glibc keeps freed blocks below a
/// size that it raises up to 32 MiB by itself. It takes some milliseconds, during which other
/// threads may wait for memory.
#[cfg(target_env = "gnu")]
#[allow(
    unsafe_code,
    reason = "malloc_trim(3) has no precondition and is safe in any thread; no safe binding of it exists"
)]
pub(crate) fn give_free_memory_back() {
    // SAFETY: it takes no pointer, and only modifies free memory of the C library's heaps, under
    // their locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Limits the heaps of glibc to one per CPU, at least two. By default glibc creates eight per CPU,
/// short-lived threads use all of them, and each keeps partly used pages. Must be called before
/// threads are started.
#[cfg(target_env = "gnu")]
#[allow(
    unsafe_code,
    reason = "mallopt(3) takes two numbers; no safe binding of it exists"
)]
pub fn limit_heaps() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let heaps = libc::c_int::try_from(cpus.max(2)).unwrap_or(libc::c_int::MAX);
    // SAFETY: it takes no pointer, and sets a number that is only read when a heap is created.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, heaps);
    }
}

/// Other C libraries use one heap.
#[cfg(not(target_env = "gnu"))]
pub fn limit_heaps() {}

/// Other C libraries return free memory by themselves, or have no such call.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_free_memory_back() {}

/// Returns free memory to the system when dropped, on a separate thread. Use as the last field of
/// types that use much memory.
#[derive(Debug)]
pub(crate) struct GivesMemoryBack;

impl Drop for GivesMemoryBack {
    fn drop(&mut self) {
        let thread = std::thread::Builder::new().name("predict-free".to_string());
        // If no thread can be started, the memory stays until the next time.
        let _ = thread.spawn(give_free_memory_back);
    }
}

/// Memory available to this process in bytes: that of the machine, or the limit of the control
/// group.
pub(crate) fn available_bytes() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|meminfo| {
            let total = meminfo
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kibibytes: u64 = total.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            Some(kibibytes << 10)
        });
    // Version 2, as seen from inside a container, and version 1.
    let group = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let group = group.iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse::<u64>().ok()
    });
    machine.into_iter().chain(group).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_shows() {
        // Other tests return memory meanwhile: one successful measurement of several is enough.
        let shows = || {
            let before = resident_bytes();
            let much = std::hint::black_box(vec![1_u8; 64 << 20]);
            let after = resident_bytes();
            drop(much);
            before > 0 && after > before + (48 << 20)
        };
        assert!((0..20).any(|_| shows()));
        assert!(available_bytes().is_some_and(|bytes| bytes > resident_bytes()));
    }
}
