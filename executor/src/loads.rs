//! Limits concurrent loads and trials of models, without waiting for ever for one that hangs.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ModelError;
use crate::interrupt::Interrupt;

/// A load that takes longer than this no longer blocks others.
pub(crate) const OVERDUE_AFTER: Duration = Duration::from_secs(30);

/// Maximum number of hanging loads; beyond it no load is started.
const OVERDUE_MAX: usize = 4;

/// Serializes loads, since they measure the model and need twice its memory.
#[derive(Debug)]
pub(crate) struct Loads {
    state: Mutex<State>,
    changed: Condvar,
    at_once: usize,
    overdue_after: Duration,
}

#[derive(Debug, Default)]
struct State {
    running: Vec<Running>,
    /// Number of the next load.
    next: u64,
}

#[derive(Debug)]
struct Running {
    number: u64,
    model: String,
    begin: Instant,
}

/// Permission to load, until dropped.
#[derive(Debug)]
pub(crate) struct Turn<'l> {
    loads: &'l Loads,
    number: u64,
}

impl Loads {
    /// Permits `at_once` concurrent loads, not counting overdue ones.
    pub(crate) fn new(at_once: usize, overdue_after: Duration) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            at_once,
            overdue_after,
        }
    }

    /// Blocks until `model` may be loaded.
    ///
    /// # Errors
    /// [`ModelError::Interrupted`] once `interrupt` is set and [`Loads::wake`] was called, and
    /// [`ModelError::LoadsHang`] if too many loads hang.
    pub(crate) fn turn(&self, model: &str, interrupt: &Interrupt) -> Result<Turn<'_>, ModelError> {
        let mut state = self.state();
        loop {
            if interrupt.is_set() {
                return Err(ModelError::abandoned());
            }
            let ages = state.running.iter().map(|load| load.begin.elapsed());
            let (overdue, timely): (Vec<_>, Vec<_>) =
                ages.partition(|age| *age >= self.overdue_after);
            if overdue.len() >= OVERDUE_MAX {
                let hanging = state.running.iter().map(|load| load.model.as_str());
                let models = hanging.collect::<Vec<_>>().join(", ");
                return Err(ModelError::LoadsHang { models });
            }
            if timely.len() < self.at_once {
                let number = state.next;
                state.next += 1;
                state.running.push(Running {
                    number,
                    model: model.to_string(),
                    begin: Instant::now(),
                });
                return Ok(Turn {
                    loads: self,
                    number,
                });
            }
            let age = timely.into_iter().max().unwrap_or_default();
            let patience = self.overdue_after.saturating_sub(age);
            let waited = self.changed.wait_timeout(state, patience);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes all waiting threads to check their conditions again.
    pub(crate) fn wake(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.loads.state();
        state.running.retain(|load| load.number != self.number);
        drop(state);
        self.loads.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn loads_take_turns() {
        let loads = Arc::new(Loads::new(1, LONG));
        let first = loads.turn("a", &Interrupt::default()).unwrap();
        let (sender, receiver) = mpsc::channel();
        let second = std::thread::spawn({
            let loads = loads.clone();
            move || {
                let turn = loads.turn("b", &Interrupt::default());
                sender.send(()).unwrap();
                turn.is_ok()
            }
        });
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
        drop(first);
        assert!(second.join().unwrap());
    }

    #[test]
    fn as_many_as_may_go_on_at_once() {
        let loads = Arc::new(Loads::new(2, LONG));
        let first = loads.turn("a", &Interrupt::default()).unwrap();
        let _second = loads.turn("b", &Interrupt::default()).unwrap();
        let (sender, receiver) = mpsc::channel();
        let third = std::thread::spawn({
            let loads = loads.clone();
            move || {
                let turn = loads.turn("c", &Interrupt::default());
                sender.send(()).unwrap();
                turn.is_ok()
            }
        });
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
        drop(first);
        assert!(third.join().unwrap());
    }

    #[test]
    fn who_is_interrupted_waits_no_longer() {
        let loads = Arc::new(Loads::new(1, LONG));
        let _first = loads.turn("a", &Interrupt::default()).unwrap();
        let interrupt = Arc::new(Interrupt::default());
        let waiting = std::thread::spawn({
            let (loads, interrupt) = (loads.clone(), interrupt.clone());
            move || loads.turn("b", &interrupt).map(drop)
        });
        interrupt.set();
        loads.wake();
        assert_eq!(waiting.join().unwrap(), Err(ModelError::abandoned()));
    }

    #[test]
    fn an_overdue_load_keeps_nobody_waiting_until_there_are_too_many() {
        let loads = Loads::new(1, Duration::ZERO);
        let load = |model: &str| loads.turn(model, &Interrupt::default());
        let mut hanging: Vec<_> = ["a", "b", "c", "d"].map(|m| load(m).unwrap()).into();
        let models = "a, b, c, d".to_string();
        assert_eq!(load("e").map(drop), Err(ModelError::LoadsHang { models }));
        hanging.pop();
        assert!(load("e").is_ok());
    }
}
