//! Blocking work with models, on separate threads and serialized; dropping its future ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::error::ModelError;
use crate::interrupt::Interrupt;
use crate::loads::Loads;
use crate::priority::lower_priority;

/// Ends a load when its last caller is gone.
struct GoneCaller {
    interrupt: Arc<Interrupt>,
    loads: Arc<Loads>,
}

impl Drop for GoneCaller {
    fn drop(&mut self) {
        self.interrupt.set();
        self.loads.wake();
    }
}

/// Runs blocking work of `model` on a separate thread, which starts at once and waits for its
/// turn.
pub(super) fn take_turn<T: Send + 'static>(
    turns: &Arc<Loads>,
    model: &str,
    work: impl FnOnce(&Interrupt) -> Result<T, ModelError> + Send + 'static,
) -> BoxFuture<'static, Result<T, ModelError>> {
    let interrupt = Arc::new(Interrupt::default());
    let caller = GoneCaller {
        interrupt: interrupt.clone(),
        loads: turns.clone(),
    };
    let (reply, answer) = oneshot::channel();
    let (turns, model) = (turns.clone(), model.to_string());
    let spawned = std::thread::Builder::new()
        .name("predict-load".to_string())
        .spawn(move || {
            lower_priority();
            let done = in_turn(&turns, &model, &interrupt, work);
            drop((turns, interrupt));
            let _ = reply.send(done);
        });
    Box::pin(async move {
        let _caller = caller;
        spawned.map_err(|error| ModelError::Interrupted {
            reason: format!("no thread to load it on ({error})"),
        })?;
        answer
            .await
            .unwrap_or_else(|_| Err(ModelError::abandoned()))
    })
}

/// Waits for the turn and does the work; converts a panic to an error.
fn in_turn<T>(
    turns: &Loads,
    model: &str,
    interrupt: &Interrupt,
    work: impl FnOnce(&Interrupt) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let _turn = turns.turn(model, interrupt)?;
    catch_unwind(AssertUnwindSafe(|| work(interrupt))).unwrap_or_else(|_panic| {
        Err(ModelError::Interrupted {
            reason: "internal error in loading".to_string(),
        })
    })
}
