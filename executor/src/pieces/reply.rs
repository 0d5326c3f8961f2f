//! Replies to waiting callers; work is abandoned when its callers are gone.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::PredictError;
use crate::caller::CallerId;
use crate::interrupt::Interrupt;
use crate::spent::{Spent, Stage};

/// Destination of an answer. Every stage checks whether the caller still waits for it.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<Result<T, PredictError>>,
    cancel: CancellationToken,
    caller: Arc<Caller>,
    of: CallerId,
    account: Option<Arc<Spent>>,
}

/// The receiving end for the caller. Dropping it ends a model run that no other caller waits for.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    receiver: oneshot::Receiver<Result<T, PredictError>>,
    caller: Arc<Caller>,
}

#[derive(Debug, Default)]
struct Caller(Mutex<CallerState>);

#[derive(Debug, Default)]
struct CallerState {
    gone: bool,
    /// The run that produces the answer.
    run: Option<Arc<SharedRun>>,
}

/// A model run for several callers, which ends early when all of them are gone.
#[derive(Debug)]
pub(crate) struct SharedRun {
    waiting: AtomicUsize,
    pub(crate) interrupt: Interrupt,
}

impl<T> Reply<T> {
    /// A reply for work of the caller `of`.
    pub(crate) fn new(of: CallerId, cancel: &CancellationToken) -> (Self, Answer<T>) {
        let (sender, receiver) = oneshot::channel();
        let caller = Arc::new(Caller::default());
        let reply = Self {
            sender,
            cancel: cancel.clone(),
            caller: caller.clone(),
            of,
            account: None,
        };
        (reply, Answer { receiver, caller })
    }

    /// Adds a counter for the time that the work takes.
    pub(crate) fn on_account(self, account: Option<&Arc<Spent>>) -> Self {
        Self {
            account: account.cloned(),
            ..self
        }
    }

    /// The caller of the work.
    pub(crate) fn caller(&self) -> CallerId {
        self.of
    }

    /// Adds the time spent by a stage.
    pub(crate) fn spent(&self, stage: Stage, ns: u64) {
        if let Some(account) = &self.account {
            account.add(stage, ns);
        }
    }

    /// Whether the caller cancelled or is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.sender.is_closed() || self.cancel.is_cancelled()
    }

    /// Waits until the caller has cancelled or is gone.
    pub(crate) async fn abandoned(&mut self) {
        tokio::select! {
            () = self.sender.closed() => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// Sends the answer; it is dropped if the caller is gone.
    pub(crate) fn send(self, answer: Result<T, PredictError>) {
        let _ = self.sender.send(answer);
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, PredictError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver)
            .poll(context)
            // Dropped unsent: the stages have stopped.
            .map(|answer| answer.unwrap_or(Err(PredictError::Stopped)))
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut caller = self.caller.state();
        caller.gone = true;
        if let Some(run) = caller.run.take() {
            run.leave();
        }
    }
}

impl Caller {
    fn state(&self) -> MutexGuard<'_, CallerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedRun {
    /// A run that all these callers wait for.
    pub(crate) fn of<'r, T: 'r>(replies: impl Iterator<Item = &'r Reply<T>>) -> Arc<Self> {
        let run = Arc::new(Self {
            // One for this function, so that the run does not end before all callers have joined.
            waiting: AtomicUsize::new(1),
            interrupt: Interrupt::default(),
        });
        for reply in replies {
            let mut caller = reply.caller.state();
            if !caller.gone {
                run.waiting.fetch_add(1, Ordering::Relaxed);
                caller.run = Some(run.clone());
            }
        }
        run.leave();
        run
    }

    fn leave(&self) {
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.interrupt.set();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_until_its_last_caller_has_gone() {
        let cancel = CancellationToken::new();
        let (replies, mut answers): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| Reply::<()>::new(CallerId::new(), &cancel))
            .unzip();
        answers.remove(1);
        let run = SharedRun::of(replies.iter());
        assert!(!run.interrupt.is_set());
        answers.remove(0);
        assert!(!run.interrupt.is_set());
        answers.clear();
        assert!(run.interrupt.is_set());
        assert!(SharedRun::of(replies.iter()).interrupt.is_set());
    }
}
