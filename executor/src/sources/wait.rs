//! Polls futures of sources on a thread that may wait for them.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Runs futures to their end on the calling thread, which blocks.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl Waiter {
    /// For one thread.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// The future's result. Not to be called where tasks of a runtime run.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let runtime = self.runtime.as_ref()?;
        Some(runtime.block_on(future))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It has no other threads. This way it may be dropped where tasks run, too.
            runtime.shutdown_background();
        }
    }
}
