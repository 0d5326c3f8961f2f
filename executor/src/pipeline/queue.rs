//! Queues between stages. They are bounded by the chunks' permits, not each for itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::chunk::{Fetched, Prepared};

/// First in, first out, for any number of threads.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState<T> {
    items: VecDeque<T>,
    stopped: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = QueueState {
            items: VecDeque::new(),
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Adds an item; a stopped queue drops it.
    pub(super) fn push(&self, item: T) {
        let mut state = self.state();
        if state.stopped {
            drop(state);
            return;
        }
        state.items.push_back(item);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for an item. `None`: the queue was stopped.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops what waits and lets every thread go.
    pub(super) fn stop(&self) {
        let items = {
            let mut state = self.state();
            state.stopped = true;
            std::mem::take(&mut state.items)
        };
        drop(items);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread of the CPU pool does next.
#[derive(Debug)]
pub(super) enum CpuWork {
    /// Decode and preprocess.
    Prepare(Fetched),
    /// Infer: chunks for the same sessions, together at most one batch unless it is a single chunk.
    Infer(Vec<Prepared>),
}

/// The queue before decoding and the one before inference, behind one lock since one pool serves both.
#[derive(Debug, Default)]
pub(super) struct CpuQueue {
    state: Mutex<CpuState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CpuState {
    fetched: VecDeque<Fetched>,
    prepared: VecDeque<Prepared>,
    stopped: bool,
}

impl CpuQueue {
    pub(super) fn push_fetched(&self, chunk: Fetched) {
        self.push(|state| state.fetched.push_back(chunk));
    }

    pub(super) fn push_prepared(&self, chunk: Prepared) {
        self.push(|state| state.prepared.push_back(chunk));
    }

    /// A stopped queue drops the chunk, which tells its caller.
    fn push(&self, add: impl FnOnce(&mut CpuState)) {
        let mut state = self.state();
        if state.stopped {
            return;
        }
        add(&mut state);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for work. `None`: the queue was stopped.
    pub(super) fn pop(&self) -> Option<CpuWork> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(first) = state.prepared.pop_front() {
                return Some(CpuWork::Infer(gather(first, &mut state.prepared)));
            }
            if let Some(chunk) = state.fetched.pop_front() {
                return Some(CpuWork::Prepare(chunk));
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn stop(&self) {
        let dropped = {
            let mut state = self.state();
            state.stopped = true;
            (
                std::mem::take(&mut state.fetched),
                std::mem::take(&mut state.prepared),
            )
        };
        drop(dropped);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, CpuState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes along the waiting chunks that fit into the same batch. Nothing waits for a batch to fill.
fn gather(first: Prepared, waiting: &mut VecDeque<Prepared>) -> Vec<Prepared> {
    let batch = first.model.batch_images();
    let mut images = first.rows.len();
    let mut chunks = vec![first];
    let mut index = 0;
    while images < batch
        && let Some(chunk) = waiting.get(index)
    {
        let same = chunks
            .first()
            .is_some_and(|f| Arc::ptr_eq(f.model.compiled(), chunk.model.compiled()));
        if same && images + chunk.rows.len() <= batch {
            images += chunk.rows.len();
            chunks.extend(waiting.remove(index));
        } else {
            index += 1;
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_queue_lets_waiting_threads_go_and_drops_items() {
        let queue = Arc::new(Queue::default());
        let item = Arc::new(());
        queue.push(item.clone());
        assert!(queue.pop().is_some());
        let waiting = std::thread::spawn({
            let queue = queue.clone();
            move || queue.pop()
        });
        queue.stop();
        assert!(waiting.join().is_ok_and(|popped| popped.is_none()));
        queue.push(item.clone());
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
