//! Queues between stages. They are bounded by the chunks' permits, not individually.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::turns::{Rank, Turns};
use crate::caller::CallerId;

/// A fair queue of callers' work for any number of threads.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct QueueState<T> {
    pub(super) turns: Turns<T>,
    stopped: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = QueueState {
            turns: Turns::default(),
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Adds a caller's work with its estimated cost. A stopped queue drops it, which notifies the
    /// caller.
    pub(super) fn push(&self, caller: CallerId, rank: Rank, cost_ns: u64, work: T) {
        let mut state = self.state();
        if state.stopped {
            drop(state);
            return;
        }
        state.turns.push(caller, rank, cost_ns, work);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for work. `None`: the queue was stopped.
    pub(super) fn pop(&self) -> Option<T> {
        self.pop_with(|_, work| work)
    }

    /// Like [`Queue::pop`]; `take` may remove further work.
    pub(super) fn pop_with<R>(&self, take: impl Fn(&mut Turns<T>, T) -> R) -> Option<R> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(work) = state.turns.pop() {
                return Some(take(&mut state.turns, work));
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops all queued work and wakes all threads.
    pub(super) fn stop(&self) {
        let work = {
            let mut state = self.state();
            state.stopped = true;
            state.turns.take_all()
        };
        drop(work);
        self.changed.notify_all();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_stopped_queue_lets_waiting_threads_go_and_drops_items() {
        let queue = Arc::new(Queue::default());
        let item = Arc::new(());
        let push = |item| queue.push(CallerId::new(), Rank::Waiting, 1, item);
        push(item.clone());
        assert!(queue.pop().is_some());
        push(item.clone());
        queue.stop();
        assert_eq!(Arc::strong_count(&item), 1);
        let waiting = std::thread::spawn({
            let queue = queue.clone();
            move || queue.pop()
        });
        assert!(waiting.join().is_ok_and(|popped| popped.is_none()));
        push(item.clone());
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[test]
    fn a_thread_that_waits_is_let_go() {
        let queue: Arc<Queue<()>> = Arc::default();
        let waiting = std::thread::spawn({
            let queue = queue.clone();
            move || queue.pop()
        });
        queue.stop();
        assert!(waiting.join().is_ok_and(|popped| popped.is_none()));
    }
}
