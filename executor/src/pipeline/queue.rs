//! Queues between stages. They are bounded by the chunks' permits, not individually.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::turns::{Rank, Turns};
use crate::caller::CallerId;

/// A fair queue of callers' work for any number of threads.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    changed: Condvar,
    /// Signalled at each push while threads wait for certain work.
    pushed: Condvar,
}

#[derive(Debug)]
pub(super) struct QueueState<T> {
    pub(super) turns: Turns<T>,
    /// Number of threads that wait for certain work.
    taking: usize,
    stopped: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = QueueState {
            turns: Turns::default(),
            taking: 0,
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            pushed: Condvar::new(),
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
        let is_awaited = state.taking > 0;
        drop(state);
        if is_awaited {
            self.pushed.notify_all();
        }
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

    /// Waits until `take`, which may remove work, returns true, at most until `until`. It is
    /// called at once and after each push.
    pub(super) fn take_until(&self, until: Instant, mut take: impl FnMut(&mut Turns<T>) -> bool) {
        let mut state = self.state();
        while !state.stopped && !take(&mut state.turns) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // A condition of its own: a push wakes a thread that takes any work, too.
            state.taking += 1;
            let waited = self.pushed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.taking -= 1;
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
        self.pushed.notify_all();
        self.changed.notify_all();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

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
    fn work_is_waited_for_until_there_is_enough_and_work_of_others_is_left_to_them() {
        let queue = Arc::new(Queue::default());
        let push = |item: usize| queue.push(CallerId::new(), Rank::Waiting, 1, item);
        let (taken, odd) = std::thread::scope(|scope| {
            let gatherer = scope.spawn(|| {
                let mut taken = Vec::new();
                let hour = Instant::now() + Duration::from_secs(3600);
                queue.take_until(hour, |turns| {
                    taken.extend(turns.take_along(|item| item % 2 == 0));
                    taken.len() == 3
                });
                taken
            });
            while queue.state().taking == 0 {
                std::thread::yield_now();
            }
            let popper = scope.spawn(|| queue.pop());
            push(1);
            let first = popper.join().unwrap();
            [2, 3, 4, 6].into_iter().for_each(push);
            (gatherer.join().unwrap(), [first, queue.pop()])
        });
        assert_eq!(odd, [Some(1), Some(3)]);
        let mut taken = taken;
        taken.sort_unstable();
        assert_eq!(taken, [2, 4, 6]);
    }

    #[test]
    fn a_wait_for_work_ends_in_time_and_with_the_queue() {
        let queue: Arc<Queue<()>> = Arc::default();
        queue.take_until(Instant::now() + Duration::from_millis(1), |_| false);
        let waiting = std::thread::spawn({
            let queue = queue.clone();
            let hour = Instant::now() + Duration::from_secs(3600);
            move || queue.take_until(hour, |_| false)
        });
        queue.stop();
        assert!(waiting.join().is_ok());
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
