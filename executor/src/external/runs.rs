//! Trial and measurement of a model at an external server: blocking runs on a thread of their own.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::served::{Answer, ServedModel};
use crate::error::ModelError;
use crate::model::{
    Batch, CHUNK_ROWS_MAX, Feed, Numbers, Runs, Warm, WarmUp, measure, tensor_bytes, warm_up,
};

/// Maximum time of a request with several inputs for which they are sent together.
const RUN_MAX: Duration = Duration::from_secs(1);

/// Limits of models at external servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Maximum duration of trying a model.
    pub(super) trial_seconds_max: u64,
    /// Maximum images of a request.
    pub(super) batch_images_max: usize,
    /// Maximum bytes of the tensor of a request.
    pub(super) tensor_bytes_max: u64,
}

impl Limits {
    /// Maximum inputs of a chunk for this model.
    pub(super) fn chunk_inputs(&self, served: &ServedModel) -> usize {
        match &served.contract().feed {
            Feed::Image(_) => self.batch_images_max,
            Feed::Columns(_) => CHUNK_ROWS_MAX,
        }
    }
}

/// Tries a model as a file is tried, and finds its best batch size. Dropping the future ends it.
///
/// # Errors
/// Any reason why the model cannot predict, and [`ModelError::TrialSeconds`].
pub(super) async fn tried(
    served: &Arc<ServedModel>,
    limits: Limits,
    handle: Handle,
) -> Result<Warm, ModelError> {
    let contract = served.contract();
    let together_max = match &contract.feed {
        Feed::Image(spec) => {
            let bytes = tensor_bytes(spec, contract.batch_fixed.unwrap_or(1));
            if bytes > limits.tensor_bytes_max {
                return Err(ModelError::Options {
                    reason: format!(
                        "an input takes {bytes} bytes, more than tensor_bytes_max = {}",
                        limits.tensor_bytes_max
                    ),
                });
            }
            let fitting = limits.tensor_bytes_max / tensor_bytes(spec, 1).max(1);
            usize::try_from(fitting).unwrap_or(usize::MAX)
        }
        Feed::Columns(_) => usize::MAX,
    };
    let of_server = served.batch_inputs_max().unwrap_or(usize::MAX);
    let batch_inputs_max = limits.chunk_inputs(served).min(of_server).min(together_max);
    let warm_up_limits = WarmUp {
        batch_inputs_max,
        together_max: batch_inputs_max,
        run_max: RUN_MAX,
        is_scaled_by_run: false,
    };
    let trial = blocking(served, handle, move |runs, served| {
        warm_up(runs, served.contract(), warm_up_limits)
    });
    let seconds_max = limits.trial_seconds_max;
    let tried = timeout(Duration::from_secs(seconds_max), trial).await;
    tried.unwrap_or(Err(ModelError::TrialSeconds { seconds_max }))
}

/// Seconds of one request for each of these batch sizes that the model supports. Dropping the
/// future ends it.
///
/// # Errors
/// The model's failure.
pub(super) async fn measured(
    served: &Arc<ServedModel>,
    batches: Vec<usize>,
    (batch_inputs_max, tensor_bytes_max): (usize, u64),
    handle: Handle,
) -> Result<Vec<(u32, f64)>, ModelError> {
    let measuring = blocking(served, handle, move |runs, served| {
        let limits = (batch_inputs_max, tensor_bytes_max);
        measure(runs, served.contract(), &batches, limits)
    });
    measuring.await
}

/// Does blocking work on a thread of its own; dropping the future ends it with its request.
async fn blocking<T: Send + 'static>(
    served: &Arc<ServedModel>,
    handle: Handle,
    work: impl FnOnce(&mut dyn Runs, &ServedModel) -> Result<T, ModelError> + Send + 'static,
) -> Result<T, ModelError> {
    let gone = CancellationToken::new();
    let _ends_it = gone.clone().drop_guard();
    let served = served.clone();
    let on_thread = handle.clone();
    let working = handle.spawn_blocking(move || {
        let mut runs = RemoteRuns {
            served: &served,
            handle: on_thread,
            gone,
        };
        work(&mut runs, &served)
    });
    working
        .await
        .unwrap_or_else(|_| Err(ModelError::abandoned()))
}

/// Runs of a model at its server, until nobody waits for them.
struct RemoteRuns<'s> {
    served: &'s ServedModel,
    handle: Handle,
    gone: CancellationToken,
}

impl RemoteRuns<'_> {
    fn answer(&self, batch: Batch<'_>) -> Result<Answer, ModelError> {
        let prepared = self.served.prepared(batch)?;
        let answered = self.gone.run_until_cancelled(self.served.run(prepared));
        let answered = self.handle.block_on(answered);
        answered.unwrap_or_else(|| Err(ModelError::abandoned()))
    }
}

impl Runs for RemoteRuns<'_> {
    fn run(
        &mut self,
        batch: Batch<'_>,
        read: &mut dyn FnMut(&Numbers<'_>),
    ) -> Result<(), ModelError> {
        self.served.read(&self.answer(batch)?, read)
    }

    fn check_label(&mut self, batch: Batch<'_>, sure_min: f32) -> Result<(), ModelError> {
        self.served.check_label(&self.answer(batch)?, sure_min)
    }
}
