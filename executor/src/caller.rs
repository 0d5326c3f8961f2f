//! Identity of callers, which take turns.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of work: a statement, or a single call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallerId(u64);

impl CallerId {
    /// A new caller.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Its number, unique in this process.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl Default for CallerId {
    fn default() -> Self {
        Self::new()
    }
}
