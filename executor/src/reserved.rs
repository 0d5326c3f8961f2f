//! Bytes of encoded images that count against a limit until the images have been used.

use std::fmt;
use std::sync::Arc;

/// Bytes reserved by a read image; released when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    bytes: u64,
    from: Arc<dyn Room>,
}

/// Receiver of released bytes.
pub(crate) trait Room: fmt::Debug + Send + Sync {
    fn give_back(&self, bytes: u64);
}

impl Reserved {
    pub(crate) fn new(bytes: u64, from: Arc<dyn Room>) -> Self {
        Self { bytes, from }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.from.give_back(self.bytes);
    }
}
