//! A place for one loaded model: the first caller has it filled while the others wait, and when all
//! have gone the load is ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Compiled;
use crate::ModelError;
use crate::interrupt::Interrupt;
use crate::loads::Loads;

/// What a load came to.
pub(crate) type Loaded = Result<Arc<Compiled>, ModelError>;

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
    Loading(Arc<Load>),
    Ready(Arc<Compiled>),
}

/// A load under way.
#[derive(Debug)]
pub(crate) struct Load {
    /// Ends it.
    pub(crate) interrupt: Interrupt,
    waiting: Mutex<usize>,
    loaded: watch::Sender<Option<Loaded>>,
}

/// What a caller finds.
pub(crate) enum Found {
    Ready(Arc<Compiled>),
    /// Somebody has it loaded.
    Loading(Waiter),
    /// The caller is to have it loaded, and wait like the others.
    Empty(Waiter),
}

/// A caller who waits for a load; dropped, it has gone.
#[derive(Debug)]
pub(crate) struct Waiter {
    slot: Arc<Slot>,
    load: Arc<Load>,
    loads: Arc<Loads>,
}

impl Slot {
    /// Looks for the model, or joins those who wait for it.
    pub(crate) fn find(self: &Arc<Self>, loads: &Arc<Loads>) -> Found {
        let mut state = self.state();
        let waiter = |load: &Arc<Load>| {
            *load.waiting() += 1;
            Waiter {
                slot: self.clone(),
                load: load.clone(),
                loads: loads.clone(),
            }
        };
        match &*state {
            State::Ready(compiled) => Found::Ready(compiled.clone()),
            State::Loading(load) => Found::Loading(waiter(load)),
            State::Empty => {
                let load = Arc::new(Load {
                    interrupt: Interrupt::default(),
                    waiting: Mutex::new(0),
                    loaded: watch::Sender::new(None),
                });
                let waiter = waiter(&load);
                *state = State::Loading(load);
                Found::Empty(waiter)
            }
        }
    }

    /// Memory that the model takes, where it is loaded.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        match &*self.state() {
            State::Ready(compiled) => Some(compiled.memory_bytes),
            State::Empty | State::Loading(_) => None,
        }
    }

    /// Whether there is neither a model nor somebody who has it loaded.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(*self.state(), State::Empty)
    }

    /// Ends a load with what it came to, and tells all who wait for it.
    pub(crate) fn fill(&self, load: &Arc<Load>, loaded: Loaded) {
        let mut state = self.state();
        let is_current = matches!(&*state, State::Loading(current) if Arc::ptr_eq(current, load));
        match &loaded {
            // Also where all had gone: the next to come will be glad of it.
            Ok(compiled) if is_current || matches!(*state, State::Empty) => {
                *state = State::Ready(compiled.clone());
            }
            Err(_) if is_current => *state = State::Empty,
            _ => {}
        }
        drop(state);
        load.loaded.send_replace(Some(loaded));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    fn waiting(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    pub(crate) fn load(&self) -> Arc<Load> {
        self.load.clone()
    }

    /// What the load comes to.
    pub(crate) async fn loaded(&self) -> Loaded {
        let mut loaded = self.load.loaded.subscribe();
        let found = match loaded.wait_for(Option::is_some).await {
            Ok(found) => found.clone(),
            Err(_) => None,
        };
        found.unwrap_or_else(|| Err(ModelError::abandoned()))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // The slot's lock keeps others from joining a load that is being given up.
        let mut state = self.slot.state();
        let left = {
            let mut waiting = self.load.waiting();
            *waiting = waiting.saturating_sub(1);
            *waiting
        };
        if left > 0 {
            return;
        }
        if matches!(&*state, State::Loading(current) if Arc::ptr_eq(current, &self.load)) {
            *state = State::Empty;
        }
        drop(state);
        self.load.interrupt.set();
        self.loads.wake();
    }
}
