//! Limits the chunks in flight, and decides which caller may submit the next.
//!
//! The caller with the fewest permits comes first, and among equals the one that waits longest.
//! Small chunks have separate permits, the same number again: they use very little memory, and a
//! statement with a few inputs does not wait for chunks of scans.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::caller::CallerId;

/// A chunk is small if it has at most this fraction (one in `SMALL_PART`) of the maximum inputs of
/// a chunk.
const SMALL_PART: usize = 8;

#[derive(Debug)]
pub(crate) struct Permits {
    state: Mutex<State>,
    permits_max: usize,
}

/// Kind of permit that a chunk needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Size {
    Small,
    Full,
}

#[derive(Debug)]
struct State {
    small_free: usize,
    full_free: usize,
    held: HashMap<(CallerId, Size), usize>,
    /// In order of arrival.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    wanted: Wanted,
    grant: oneshot::Sender<Permit>,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    caller: CallerId,
    size: Size,
    permits: usize,
}

/// Permission to have chunks in flight, until dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    held: Wanted,
}

impl Size {
    /// For a chunk of `inputs` inputs, where `inputs_max` is the maximum.
    pub(crate) fn of(inputs: usize, inputs_max: usize) -> Self {
        match inputs.saturating_mul(SMALL_PART) <= inputs_max {
            true => Self::Small,
            false => Self::Full,
        }
    }
}

impl Permits {
    pub(crate) fn new(permits_max: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                small_free: permits_max,
                full_free: permits_max,
                held: HashMap::new(),
                waiting: Vec::new(),
            }),
            permits_max,
        })
    }

    /// Acquires this many permits at once, or all that exist if there are fewer, when it is the
    /// caller's turn. Dropping the future gives up the turn.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        caller: CallerId,
        size: Size,
        permits: usize,
    ) -> impl Future<Output = Permit> + use<> {
        let (grant, granted) = oneshot::channel();
        let wanted = Wanted {
            caller,
            size,
            permits: permits.clamp(1, self.permits_max.max(1)),
        };
        let mut state = self.state();
        state.waiting.push(Waiting { wanted, grant });
        self.grant(state);
        async move {
            match granted.await {
                Ok(permit) => permit,
                // Senders are dropped only with their receivers.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Number of permits in use.
    pub(crate) fn held(&self) -> usize {
        self.state().held.values().sum()
    }

    /// Grants permits to waiting callers while enough are free.
    fn grant(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let granted: Vec<_> = std::iter::from_fn(|| state.next()).collect();
        drop(state);
        for Waiting { wanted, grant } in granted {
            let permit = Permit {
                permits: self.clone(),
                held: wanted,
            };
            // If the receiver is gone, the permit is dropped here and goes to the next caller.
            drop(grant.send(permit));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next caller to be granted its permits.
    fn next(&mut self) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.grant.is_closed());
        let next = |size: Size| {
            let of_size = self.waiting.iter().enumerate();
            let of_size = of_size.filter(|(_, waiting)| waiting.wanted.size == size);
            let held = |caller| self.held.get(&(caller, size)).copied().unwrap_or(0);
            let first = of_size.min_by_key(|(_, waiting)| held(waiting.wanted.caller))?;
            let free = match size {
                Size::Small => self.small_free,
                Size::Full => self.full_free,
            };
            // A caller that needs many permits is not overtaken.
            (first.1.wanted.permits <= free).then_some(first.0)
        };
        let index = next(Size::Small).or_else(|| next(Size::Full))?;
        let waiting = self.waiting.remove(index);
        let Wanted {
            caller,
            size,
            permits,
        } = waiting.wanted;
        *self.held.entry((caller, size)).or_default() += permits;
        *self.free(size) -= permits;
        Some(waiting)
    }

    fn free(&mut self, size: Size) -> &mut usize {
        match size {
            Size::Small => &mut self.small_free,
            Size::Full => &mut self.full_free,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Wanted {
            caller,
            size,
            permits,
        } = self.held;
        let mut state = self.permits.state();
        *state.free(size) += permits;
        if let Some(held) = state.held.get_mut(&(caller, size)) {
            *held = held.saturating_sub(permits);
            if *held == 0 {
                state.held.remove(&(caller, size));
            }
        }
        self.permits.grant(state);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ready) => Some(ready),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_holds_fewest_comes_first() {
        let permits = Permits::new(4);
        let callers: Vec<_> = (0..16).map(|_| CallerId::new()).collect();
        let scan = callers[0];
        let mut held: Vec<_> = (0..4)
            .map(|_| now(pin!(permits.acquire(scan, Size::Full, 1))).unwrap())
            .collect();
        // The scan requests more before all others.
        let mut again = Box::pin(permits.acquire(scan, Size::Full, 1));
        let mut others: Vec<_> = callers[1..]
            .iter()
            .map(|caller| Box::pin(permits.acquire(*caller, Size::Full, 1)))
            .collect();
        assert!(others.iter_mut().all(|other| now(other.as_mut()).is_none()));
        held.pop();
        assert!(now(again.as_mut()).is_none());
        let mut first = now(others[0].as_mut());
        assert!(first.is_some());
        // The second caller is gone meanwhile.
        drop(others.remove(1));
        first.take();
        assert!(now(others[1].as_mut()).is_some());
        assert!(now(others[2].as_mut()).is_some());
        assert_eq!(
            permits.held(),
            4,
            "three of the scan, and one that was granted"
        );
        drop((held, others, again));
        assert_eq!(permits.held(), 0);
    }

    #[test]
    fn small_chunks_do_not_wait_for_full_ones() {
        let permits = Permits::new(2);
        let scans: Vec<_> = (0..16)
            .map(|_| Box::pin(permits.acquire(CallerId::new(), Size::Full, 1)))
            .collect();
        assert_eq!(permits.held(), 2);
        assert_eq!(Size::of(1, 32), Size::Small);
        assert_eq!(Size::of(5, 32), Size::Full);
        assert_eq!(Size::of(1, 1), Size::Full);
        let small = now(pin!(permits.acquire(CallerId::new(), Size::Small, 1)));
        assert!(small.is_some());
        drop(scans);
        assert_eq!(permits.held(), 1);
    }

    #[test]
    fn who_wants_many_is_not_passed_for_ever() {
        let permits = Permits::new(3);
        let one = now(pin!(permits.acquire(CallerId::new(), Size::Full, 1)));
        let mut many = Box::pin(permits.acquire(CallerId::new(), Size::Full, 100));
        let mut later = Box::pin(permits.acquire(CallerId::new(), Size::Full, 1));
        assert!(now(many.as_mut()).is_none() && now(later.as_mut()).is_none());
        drop(one);
        let all = now(many.as_mut());
        assert_eq!(permits.held(), 3);
        assert!(now(later.as_mut()).is_none());
        drop(all);
        assert!(now(later.as_mut()).is_some());
    }
}
