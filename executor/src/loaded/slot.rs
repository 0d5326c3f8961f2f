//! A place for one loaded model: the first caller has it filled while the others wait, and when
//! all have gone the load is ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::backend::Instance;
use crate::error::ModelError;

/// The result of a load.
pub(crate) type Loaded = Result<Arc<dyn Instance>, ModelError>;

/// A load under way, for all who wait for it.
type Loading = Shared<BoxFuture<'static, Loaded>>;

/// ```text
/// Empty --first caller--> Loading --done--> Ready
///   ^________failed, or all gone__/
/// ```
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Empty,
    /// Those who wait hold the load; dropped by all of them, it ends.
    Loading(WeakShared<BoxFuture<'static, Loaded>>),
    Ready(Arc<dyn Instance>),
}

impl Slot {
    /// The model, from here, or from a load that somebody has begun, or that `load` begins.
    pub(crate) async fn loaded(&self, load: impl FnOnce() -> BoxFuture<'static, Loaded>) -> Loaded {
        let loading = {
            let mut state = self.state();
            let known = match &*state {
                State::Ready(instance) => return Ok(instance.clone()),
                State::Loading(loading) => loading.upgrade(),
                State::Empty => None,
            };
            match known {
                Some(loading) => loading,
                None => {
                    let loading = load().shared();
                    // One that nobody has polled is not done.
                    *state = loading.downgrade().map_or(State::Empty, State::Loading);
                    loading
                }
            }
        };
        let loaded = loading.clone().await;
        self.fill(&loading, &loaded);
        loaded
    }

    /// The model, where it is loaded.
    pub(crate) fn instance(&self) -> Option<Arc<dyn Instance>> {
        match &*self.state() {
            State::Ready(instance) => Some(instance.clone()),
            State::Empty | State::Loading(_) => None,
        }
    }

    /// Memory that the model takes, where it is loaded.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        match &*self.state() {
            State::Ready(instance) => Some(instance.description().memory_bytes),
            State::Empty | State::Loading(_) => None,
        }
    }

    /// Whether there is neither a model nor somebody who waits for one.
    pub(crate) fn is_empty(&self) -> bool {
        match &*self.state() {
            State::Empty => true,
            State::Loading(loading) => loading.upgrade().is_none(),
            State::Ready(_) => false,
        }
    }

    /// Ends a load with its result.
    fn fill(&self, loading: &Loading, loaded: &Loaded) {
        let mut state = self.state();
        let is_current = match &*state {
            State::Loading(current) => current.upgrade().is_some_and(|c| c.ptr_eq(loading)),
            State::Empty | State::Ready(_) => false,
        };
        if is_current {
            *state = match loaded {
                Ok(instance) => State::Ready(instance.clone()),
                Err(_) => State::Empty,
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
