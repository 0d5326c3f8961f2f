//! Limits the bytes of encoded images read ahead of the decoders, and queues the chunks that wait
//! for space.
//!
//! A chunk with at least one image read goes on to the decoders and returns for the rest; a chunk
//! with none waits here. A waiting chunk holds no space, so chunks cannot deadlock: one whose
//! images keep theirs until a backend has answered is read to its end once it has begun.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::Queue;
use super::turns::{Rank, Turns};
use crate::caller::CallerId;
use crate::reserved::{Reserved, Room};

/// Bytes read ahead over all chunks, and work that waits for space.
#[derive(Debug)]
pub(super) struct ReadAhead<T> {
    state: Mutex<State<T>>,
    bytes_max: u64,
    /// Queue for work once there is space.
    queue: Arc<Queue<T>>,
}

#[derive(Debug)]
struct State<T> {
    bytes: u64,
    /// Work with its queueing parameters.
    waiting: Turns<(CallerId, u64, T)>,
}

impl<T: fmt::Debug + Send + 'static> ReadAhead<T> {
    /// Space for `bytes_max` bytes, which the last image may exceed; work that waits for space
    /// goes to `queue`.
    pub(super) fn new(bytes_max: u64, queue: &Arc<Queue<T>>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                bytes: 0,
                waiting: Turns::default(),
            }),
            bytes_max,
            queue: queue.clone(),
        })
    }

    /// Whether another image may be read ahead.
    pub(super) fn has_room(&self) -> bool {
        self.state().bytes < self.bytes_max
    }

    /// Reserves the bytes of an image that was read.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Reserved {
        self.state().bytes += bytes;
        Reserved::new(bytes, self.clone())
    }

    /// Queues a caller's work, with its estimated cost, until there is space.
    pub(super) fn wait(&self, caller: CallerId, cost_ns: u64, work: T) {
        let mut state = self.state();
        let work = (caller, cost_ns, work);
        state.waiting.push(caller, Rank::Waiting, cost_ns, work);
        self.let_go(state);
    }

    /// Releases the next waiting work if there is space; call this when a chunk has finished
    /// reading.
    pub(super) fn look_again(&self) {
        self.let_go(self.state());
    }

    /// Drops all waiting work.
    pub(super) fn stop(&self) {
        let waiting = self.state().waiting.take_all();
        drop(waiting);
    }

    fn let_go(&self, mut state: MutexGuard<'_, State<T>>) {
        let next = match state.bytes < self.bytes_max {
            true => state.waiting.pop(),
            false => None,
        };
        drop(state);
        if let Some((caller, cost_ns, work)) = next {
            self.queue.push(caller, Rank::Waiting, cost_ns, work);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug + Send + 'static> Room for ReadAhead<T> {
    fn give_back(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
        self.let_go(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_for_room_and_leaves_one_by_one() {
        let queue = Arc::new(Queue::default());
        let ahead = ReadAhead::new(10, &queue);
        let first = ahead.reserve(6);
        assert!(ahead.has_room());
        let second = ahead.reserve(6);
        assert!(!ahead.has_room());
        for number in [1, 2] {
            ahead.wait(CallerId::new(), 1, number);
        }
        drop(first);
        assert_eq!(queue.pop(), Some(1));
        // No image was read whose bytes could be released.
        ahead.look_again();
        assert_eq!(queue.pop(), Some(2));
        drop(second);
        // There is space: it does not wait.
        ahead.wait(CallerId::new(), 1, 3);
        assert_eq!(queue.pop(), Some(3));
    }
}
