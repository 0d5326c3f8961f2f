//! Ends from another thread what ONNX Runtime is doing, or what is waited for,
//! since nobody waits for it any more.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::session::RunOptions;
use ort::session::builder::LoadCanceler;
use rustix::process::{Signal, pidfd_send_signal};

/// What is being done, by the handle that ends it.
pub(crate) enum Work {
    /// Ends between two nodes of the graph.
    Run(Arc<RunOptions>),
    /// Ends between two steps of making a session.
    Load(LoadCanceler),
    /// Waiting for something; who waits is woken by this, and looks at the interrupt. It may take
    /// locks under which the interrupt is looked at.
    Wait(Arc<dyn Fn() + Send + Sync>),
    /// Ends whatever it does: it is a process of its own.
    Trial(OwnedFd),
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run(_) => "Run",
            Self::Load(_) => "Load",
            Self::Wait(_) => "Wait",
            Self::Trial(_) => "Trial",
        })
    }
}

/// Set once, it ends the work that is under way and lets no more begin.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    work: Option<Work>,
}

impl Interrupt {
    /// Ends what is under way.
    pub(crate) fn set(&self) {
        let mut state = self.state();
        state.set = true;
        // A failure leaves the work to end by itself.
        let wake = match &state.work {
            Some(Work::Run(options)) => {
                drop(options.terminate());
                None
            }
            Some(Work::Load(canceller)) => {
                drop(canceller.cancel());
                None
            }
            Some(Work::Trial(process)) => {
                let _ = pidfd_send_signal(process, Signal::KILL);
                None
            }
            Some(Work::Wait(wake)) => Some(wake.clone()),
            None => None,
        };
        drop(state);
        if let Some(wake) = wake {
            wake();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.state().set
    }

    /// Does what `work` can end. `None`: it was not begun.
    pub(crate) fn during<T>(&self, work: Work, run: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.state();
            if state.set {
                return None;
            }
            state.work = Some(work);
        }
        let done = run();
        let mut state = self.state();
        // The options are used again; under the lock, no later end can hit another run.
        if let Some(Work::Run(options)) = state.work.take()
            && state.set
        {
            drop(options.unterminate());
        }
        Some(done)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
