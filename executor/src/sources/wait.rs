//! Runs futures of sources on a thread that may block.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Runs futures to completion on the calling thread, which blocks.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Present until dropped.
    runtime: Option<Runtime>,
}

impl Waiter {
    /// A waiter for one thread.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// The future's result. Must not be called on a thread that runs async tasks.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let runtime = self.runtime.as_ref()?;
        Some(runtime.block_on(future))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The runtime has no other threads. Unlike a plain drop, this is allowed inside a task
            // as well.
            runtime.shutdown_background();
        }
    }
}
