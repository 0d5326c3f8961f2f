//! How much memory this process has, as the system counts it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Resident memory in bytes; 0 where the system does not say. It costs about a microsecond.
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
    pages.unwrap_or(0_u64).saturating_mul(page_bytes())
}

/// Size of a page, as the kernel told the process at its start.
fn page_bytes() -> u64 {
    /// Type of the entry of the auxiliary vector that holds it.
    const AT_PAGESZ: u64 = 6;
    static PAGE_BYTES: OnceLock<u64> = OnceLock::new();
    *PAGE_BYTES.get_or_init(|| {
        let vector = std::fs::read("/proc/self/auxv").unwrap_or_default();
        let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or(0) as u64;
        let mut entries = vector.chunks_exact(2 * size_of::<usize>());
        let size = entries.find_map(|entry| {
            let (kind, value) = entry.split_at(size_of::<usize>());
            (word(kind) == AT_PAGESZ).then(|| word(value))
        });
        size.unwrap_or(4096)
    })
}

/// Memory that the system has for this process, in bytes: the machine's, or what the control group allows.
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
        let before = resident_bytes();
        let much = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_bytes();
        assert!(
            before > 0 && after > before + (48 << 20),
            "{before} {after}"
        );
        drop(much);
        assert!(available_bytes().is_some_and(|bytes| bytes > after));
    }
}
