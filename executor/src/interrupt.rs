//! Ends work of ONNX Runtime, or a wait, from another thread when no caller is left.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::session::RunOptions;
use ort::session::builder::LoadCanceler;
use rustix::process::{Signal, pidfd_send_signal};

/// Work in progress, with the handle that ends it.
pub(crate) enum Work {
    /// A run, which ends between two nodes of the graph.
    Run(Arc<RunOptions>),
    /// Creation of a session, which ends between two steps.
    Load(LoadCanceler),
    /// A wait; this function wakes the waiting thread, which then checks the interrupt. The
    /// function may acquire locks that are held while the interrupt is checked.
    Wait(Arc<dyn Fn() + Send + Sync>),
    /// A process, which is ended whatever it does.
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

/// Once set, it ends the work in progress and prevents further work.
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
    /// Ends the work in progress.
    pub(crate) fn set(&self) {
        let mut state = self.state();
        state.set = true;
        // On a failure the work ends by itself.
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

    /// Runs `run` such that `work` can end it. `None`: it was not started.
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
        // The options are reused; under the lock, a late interrupt cannot hit another run.
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
