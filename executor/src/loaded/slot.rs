//! A slot for one loaded model: the first caller fills it while the others wait, and when all
//! callers are gone the load is ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::backend::Instance;
use crate::error::ModelError;

/// The result of a load.
pub(crate) type Loaded = Result<Arc<dyn Instance>, ModelError>;

/// A load in progress, shared by all waiting callers.
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
    /// The waiting callers own the load; it ends when all of them have dropped it.
    Loading(WeakShared<BoxFuture<'static, Loaded>>),
    Ready(Arc<dyn Instance>),
}

impl Slot {
    /// The model, from the slot, from a load in progress, or from the new load returned by `load`.
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
                    // A load that was not polled yet is not complete.
                    *state = loading.downgrade().map_or(State::Empty, State::Loading);
                    loading
                }
            }
        };
        let loaded = loading.clone().await;
        self.fill(&loading, &loaded);
        loaded
    }

    /// The model, if it is loaded.
    pub(crate) fn instance(&self) -> Option<Arc<dyn Instance>> {
        match &*self.state() {
            State::Ready(instance) => Some(instance.clone()),
            State::Empty | State::Loading(_) => None,
        }
    }

    /// Memory used by the model, if it is loaded.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        match &*self.state() {
            State::Ready(instance) => Some(instance.description().memory_bytes),
            State::Empty | State::Loading(_) => None,
        }
    }

    /// Whether there is neither a model nor a caller that waits for one.
    pub(crate) fn is_empty(&self) -> bool {
        match &*self.state() {
            State::Empty => true,
            State::Loading(loading) => loading.upgrade().is_none(),
            State::Ready(_) => false,
        }
    }

    /// Stores the result of a load.
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
