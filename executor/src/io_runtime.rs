//! A thread that owns connections: to remote storage, or to workers.
//!
//! A connection is served by the runtime that made it. Threads that fetch block while they wait
//! for others, so connections have a runtime of their own.

use std::sync::Mutex;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::config::StartError;

/// A runtime on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct IoRuntime {
    handle: Handle,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl IoRuntime {
    /// Starts the thread, at the priority of the executor's.
    pub(crate) fn start(thread: &str) -> Result<Self, StartError> {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_io().enable_time().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name(thread.to_string())
            .spawn(move || {
                crate::priority::lower_priority();
                let _ = runtime.block_on(stopped);
            });
        let thread = thread.map_err(StartError::Thread)?;
        Ok(Self {
            handle,
            running: Mutex::new(Some((stop, thread))),
        })
    }

    /// The runtime, for work that is made or waits elsewhere.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs a task on the thread.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.handle.spawn(task)
    }

    /// Ends all tasks, and the thread.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().map(|mut running| running.take());
        if let Ok(Some((stop, thread))) = running {
            drop(stop);
            // A task may be what drops the runtime.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for IoRuntime {
    fn drop(&mut self) {
        self.stop();
    }
}
