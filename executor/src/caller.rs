//! Whose work a piece is: callers take turns.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who has work done: a statement, or who calls once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallerId(u64);

impl CallerId {
    /// Nobody seen before.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for CallerId {
    fn default() -> Self {
        Self::new()
    }
}
