//! Queues between stages. They are bounded by the chunks' permits, not each for itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::chunk::{Fetched, Run};

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
    /// Infer: runs of the same sessions, together at most one batch unless it is a single run.
    Infer(Vec<Run>),
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
    runs: VecDeque<Run>,
    stopped: bool,
}

impl CpuQueue {
    pub(super) fn push_fetched(&self, chunk: Fetched) {
        self.push(|state| state.fetched.push_back(chunk));
    }

    pub(super) fn push_run(&self, run: Run) {
        self.push(|state| state.runs.push_back(run));
    }

    /// A stopped queue drops the work, which tells its caller.
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
            if let Some(first) = state.runs.pop_front() {
                let batch = first.model.batch_images();
                let images = |run: &Run| run.rows.len();
                let runs = gather(first, &mut state.runs, batch, images, same_sessions);
                return Some(CpuWork::Infer(runs));
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
                std::mem::take(&mut state.runs),
            )
        };
        drop(dropped);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, CpuState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_sessions(a: &Run, b: &Run) -> bool {
    Arc::ptr_eq(a.model.compiled(), b.model.compiled())
}

/// Takes along those waiting runs of the same kind that fit into one batch with the first. Nothing
/// waits for a batch to fill.
fn gather<T>(
    first: T,
    waiting: &mut VecDeque<T>,
    batch: usize,
    images: impl Fn(&T) -> usize,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<T> {
    let mut gathered = images(&first);
    let mut runs = vec![first];
    let mut index = 0;
    while gathered < batch
        && let Some(run) = waiting.get(index)
    {
        let fits = gathered + images(run) <= batch;
        if fits && runs.first().is_some_and(|first| same(first, run)) {
            gathered += images(run);
            runs.extend(waiting.remove(index));
        } else {
            index += 1;
        }
    }
    runs
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

    /// Chunks of (model, images).
    fn gathered(batch: usize, first: (char, usize), rest: &[(char, usize)]) -> (String, String) {
        let mut waiting: VecDeque<_> = rest.iter().copied().collect();
        let chunks = gather(first, &mut waiting, batch, |c| c.1, |a, b| a.0 == b.0);
        let text = |chunks: Vec<(char, usize)>| {
            chunks
                .iter()
                .map(|(model, images)| format!("{model}{images}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        (text(chunks), text(waiting.into()))
    }

    #[test]
    fn batches_fill_with_chunks_of_the_same_model_only() {
        let waiting = [('b', 1), ('a', 5), ('a', 30), ('a', 3), ('b', 2), ('a', 1)];
        let taken = gathered(10, ('a', 2), &waiting);
        assert_eq!(taken, ("a2 a5 a3".to_string(), "b1 a30 b2 a1".to_string()));
        // A chunk that fills the batch, or overfills it, goes alone.
        assert_eq!(gathered(10, ('a', 10), &waiting).0, "a10");
        assert_eq!(gathered(1, ('a', 20), &waiting).0, "a20");
        assert_eq!(gathered(10, ('c', 1), &waiting).0, "c1");
    }
}
