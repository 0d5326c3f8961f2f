//! How many bytes of encoded images are read ahead of the decoders.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read ahead, over all chunks.
#[derive(Debug)]
pub(super) struct ReadAhead {
    bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

/// Bytes that were read ahead; they are given back when the image has been decoded.
#[derive(Debug)]
pub(super) struct Reserved {
    bytes: u64,
    ahead: Arc<AtomicU64>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.ahead.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl ReadAhead {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes: Arc::default(),
            bytes_max,
        }
    }

    /// Whether another image may be read ahead.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < self.bytes_max
    }

    /// Counts an image that was read.
    pub(super) fn reserve(&self, bytes: u64) -> Reserved {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Reserved {
            bytes,
            ahead: self.bytes.clone(),
        }
    }
}
