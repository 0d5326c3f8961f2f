//! Accounts for the memory of all running decodings, so that their sum stays within a limit, and
//! checks that the memory is available before any of it is used.

use std::hint::black_box;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::OUT_OF_MEMORY;

/// Memory to leave available besides the running decodings, in bytes.
const MARGIN_BYTES: u64 = 40 << 20;
/// Smaller decodings are counted, but their memory is not checked: their buffers are no larger
/// than those of any thread.
const TRIED_BYTES_MIN: u64 = 1 << 20;

/// Memory that decodings may use together. A decoding that would exceed it waits; a single one may
/// always run.
#[derive(Debug)]
pub(crate) struct DecodeMemory {
    bytes_max: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of the running decodings.
    held: u64,
    /// Next ticket number, and the number whose turn it is: requests are served in order.
    drawn: u64,
    turn: u64,
}

/// Memory of one decoding, released when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    memory: &'a DecodeMemory,
    bytes: u64,
}

impl DecodeMemory {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Reserves `bytes`. Waits while others hold too much: they hold it for one image's decoding
    /// only and wait for nothing else meanwhile, so that every wait ends. The error is a clause
    /// for a warning.
    pub(crate) fn hold(&self, bytes: u64) -> Result<Held<'_>, String> {
        let mut state = self.lock();
        let number = state.drawn;
        state.drawn += 1;
        loop {
            let together = state.held.saturating_add(bytes);
            let is_alone = state.held == 0;
            if state.turn == number && (is_alone || together <= self.bytes_max) {
                let is_there = bytes < TRIED_BYTES_MIN || is_available(together);
                if is_there {
                    state.held = together;
                }
                if is_there || is_alone {
                    state.turn += 1;
                    self.changed.notify_all();
                    drop(state);
                    let held = is_there.then(|| Held {
                        memory: self,
                        bytes,
                    });
                    return held.ok_or_else(|| OUT_OF_MEMORY.to_string());
                }
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.held = state.held.saturating_sub(self.bytes);
        self.memory.changed.notify_all();
    }
}

/// Whether the system can provide that much and a margin. Decoders allocate without checking, and
/// the process aborts on failure; so all memory that running decodings may still allocate is
/// allocated here and freed untouched. Allocations of this size go directly to the system.
fn is_available(bytes: u64) -> bool {
    let Ok(bytes) = usize::try_from(bytes.saturating_add(MARGIN_BYTES)) else {
        return false;
    };
    let mut asked = Vec::<u8>::new();
    let got = asked.try_reserve_exact(bytes).is_ok();
    black_box(&asked);
    got
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn one_alone_may_take_more_than_the_limit() {
        let memory = DecodeMemory::new(10);
        drop(memory.hold(1000).unwrap());
        assert_eq!(memory.lock().held, 0);
    }

    #[test]
    fn together_they_stay_within_the_limit_and_all_get_their_turn() {
        let memory = DecodeMemory::new(100);
        let now = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (memory, now) = (&memory, &now);
                scope.spawn(move || {
                    for round in 0..200 {
                        // One in ten exceeds the limit, and then runs alone.
                        let bytes = if (thread + round) % 10 == 0 {
                            150
                        } else {
                            30 + thread
                        };
                        let held = memory.hold(bytes).unwrap();
                        let together = now.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        assert!(together <= 100 || together == bytes, "{together}");
                        std::thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(memory.lock().held, 0);
    }

    #[test]
    fn what_the_system_has_not_is_refused() {
        let memory = DecodeMemory::new(10);
        let refused = memory.hold(1 << 60).map(|_| ());
        assert_eq!(refused, Err(OUT_OF_MEMORY.to_string()));
        assert!(memory.hold(1).is_ok());
    }

    /// Set in the process with little memory.
    const LITTLE: &str = "PREDICTSQL_TEST_LITTLE_MEMORY";

    /// The file with another size in its header: decoding it needs 192 MiB for pixels and half of
    /// that for the decoder's own allocations.
    fn large_webp() -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/lossy.webp");
        let mut file = std::fs::read(folder).unwrap();
        let side = 8_000u16.to_le_bytes();
        file[26..28].copy_from_slice(&side);
        file[28..30].copy_from_slice(&side);
        file
    }

    #[test]
    fn without_enough_memory_an_image_is_unreadable_and_the_process_lives() {
        if std::env::var_os(LITTLE).is_some() {
            decode_with_little_memory();
            return;
        }
        let this = "picture::memory::tests::without_enough_memory_an_image_is_unreadable_and_the_process_lives";
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture", "--test-threads=1"])
            .env(LITTLE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{:?} {said}", ended.status);
        assert!(said.contains("1 passed"), "{said}");
    }

    fn decode_with_little_memory() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmSize:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        let most = Some((kib << 10) + (250 << 20));
        let limit = rustix::process::Rlimit {
            current: most,
            maximum: most,
        };
        rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
        let memory = DecodeMemory::new(1 << 30);
        let limits = crate::picture::Limits {
            image_pixels_max: 64 << 20,
            image_side_pixels_max: 65_535,
            image_decode_bytes_max: 512 << 20,
        };
        let decode = |file: &[u8]| {
            let plan = crate::picture::DecodePlan::new(file, [], limits)?;
            let _held = memory.hold(plan.bytes())?;
            plan.decode().map(|_| ())
        };
        assert_eq!(decode(&large_webp()), Err(OUT_OF_MEMORY.to_string()));
        let small = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/rgb.jpg");
        assert_eq!(decode(&std::fs::read(small).unwrap()), Ok(()));
    }
}
