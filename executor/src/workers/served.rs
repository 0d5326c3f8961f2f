//! One worker as the pool sees it: its connection, whether it takes work, what it has loaded.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use predictsql_catalog::Device;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::backend::WorkerState;
use crate::error::ModelError;
use crate::oip::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::oip::worker::worker_client::WorkerClient;
use crate::oip::worker::{LoadResponse, StateResponse};
use crate::storage::{ObjectLocation, StorageRoot};

/// Of so many times before at which a worker took work, requests may still be under way.
const RESTING_MAX: usize = 16;

/// A load of one model at one worker: done, or shared by all who wait for it.
pub(super) type Loading = Arc<OnceCell<Result<LoadResponse, ModelError>>>;

/// A worker.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) inference: GrpcInferenceServiceClient<Channel>,
    pub(super) worker: WorkerClient<Channel>,
    /// Inputs that it has been sent and has not answered.
    outstanding: AtomicUsize,
    /// Requests that it has answered.
    answered: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Present while it takes work.
    up: Option<Up>,
    /// Of the times before at which it took work: requests from then may be under way.
    resting: Vec<CancellationToken>,
    loads: HashMap<String, Loading>,
    /// Why it takes no work.
    trouble: String,
    /// How often it took work and then did not.
    times_lost: u64,
}

#[derive(Debug, Clone)]
struct Up {
    pieces: usize,
    device: Device,
    /// Where it reads images itself.
    image_roots: Vec<ObjectLocation>,
    /// Cancelled when it is given up.
    lost: CancellationToken,
}

/// Inputs that a worker has been sent, until it is dropped.
#[derive(Debug)]
pub(super) struct Outstanding {
    served: Arc<Served>,
    inputs: usize,
}

impl Served {
    /// A worker that takes no work yet.
    pub(super) fn new(address: SocketAddr, channel: Channel) -> Self {
        Self {
            address,
            inference: GrpcInferenceServiceClient::new(channel.clone())
                .max_decoding_message_size(usize::MAX)
                .max_encoding_message_size(usize::MAX),
            worker: WorkerClient::new(channel).max_decoding_message_size(usize::MAX),
            outstanding: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            state: Mutex::new(State {
                trouble: "has not answered yet".to_string(),
                ..State::default()
            }),
        }
    }

    /// Takes note that it answered. Returns whether it takes work now and did not before.
    pub(super) fn answered(&self, state: &StateResponse) -> bool {
        if !state.ready {
            self.rest("takes no work: it is stopping");
            return false;
        }
        let pieces = usize::try_from(state.pieces).unwrap_or(1).max(1);
        let device = Device::from(state.device.clone());
        let roots = state.image_roots.iter();
        let roots = roots.filter_map(|root| root.parse::<StorageRoot>().ok());
        // A root of a kind that this version does not know is not used.
        let image_roots = roots
            .filter_map(|root| root.as_objects().cloned())
            .collect();
        let mut known = self.state();
        let lost = match &known.up {
            Some(up) => up.lost.clone(),
            None => CancellationToken::new(),
        };
        let before = known.up.replace(Up {
            pieces,
            device,
            image_roots,
            lost,
        });
        before.is_none()
    }

    /// Sends it no more work. What it has it may still answer: a connection that ends fails its
    /// requests by itself. What it had loaded is forgotten: it may be another process when it is
    /// back.
    pub(super) fn rest(&self, trouble: &str) {
        let mut state = self.state();
        let Some(up) = state.up.take() else {
            trouble.clone_into(&mut state.trouble);
            return;
        };
        state.loads.clear();
        state.times_lost += 1;
        trouble.clone_into(&mut state.trouble);
        state.resting.push(up.lost);
        if state.resting.len() > RESTING_MAX {
            // Requests of so long ago are asked again.
            state.resting.remove(0).cancel();
        }
        drop(state);
        tracing::warn!(worker = %self.address, "worker sent no more work: it {trouble}");
    }

    /// Gives it up, with the requests that it has and what it has loaded: it may be another
    /// process when it is back.
    pub(super) fn give_up(&self, trouble: &str) {
        let mut state = self.state();
        let up = state.up.take();
        let resting = std::mem::take(&mut state.resting);
        state.loads.clear();
        state.times_lost += u64::from(up.is_some());
        trouble.clone_into(&mut state.trouble);
        drop(state);
        if let Some(up) = up {
            tracing::warn!(worker = %self.address, "worker given up: it {trouble}");
            up.lost.cancel();
        }
        resting.iter().for_each(CancellationToken::cancel);
    }

    /// Cancelled when it is given up; `None`: it takes no work.
    pub(super) fn lost(&self) -> Option<CancellationToken> {
        self.state().up.as_ref().map(|up| up.lost.clone())
    }

    /// Whether it takes work.
    pub(super) fn is_up(&self) -> bool {
        self.state().up.is_some()
    }

    /// Pieces that it runs concurrently, and its device, if it takes work.
    pub(super) fn capacity(&self) -> Option<(usize, Device)> {
        let state = self.state();
        state.up.as_ref().map(|up| (up.pieces, up.device.clone()))
    }

    /// Whether it reads all of these objects itself.
    pub(super) fn reads(&self, objects: &[ObjectLocation]) -> bool {
        let state = self.state();
        let roots = state.up.as_ref().map(|up| &up.image_roots[..]);
        let roots = roots.unwrap_or_default();
        objects
            .iter()
            .all(|object| roots.iter().any(|root| root.holds(object)))
    }

    /// Why it takes no work.
    pub(super) fn trouble(&self) -> String {
        self.state().trouble.clone()
    }

    /// Counts a request that it has answered.
    pub(super) fn count_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// What is known of it.
    pub(super) fn report(&self) -> WorkerState {
        let state = self.state();
        let loaded = state.loads.values();
        let loaded = loaded.filter(|load| matches!(load.get(), Some(Ok(_))));
        WorkerState {
            address: self.address,
            takes_work: state.up.as_ref().map(|up| (up.device.clone(), up.pieces)),
            trouble: match &state.up {
                Some(_) => String::new(),
                None => state.trouble.clone(),
            },
            models_loaded: loaded.count(),
            inputs_outstanding: self.outstanding.load(Ordering::Relaxed),
            requests_answered: self.answered.load(Ordering::Relaxed),
            times_lost: state.times_lost,
        }
    }

    /// Thousandths of inputs that it has for each piece that it runs concurrently, to compare
    /// workers of different sizes.
    pub(super) fn outstanding_per_piece(&self) -> usize {
        let pieces = self.capacity().map_or(1, |(pieces, _)| pieces);
        self.outstanding
            .load(Ordering::Relaxed)
            .saturating_mul(1_000)
            / pieces
    }

    /// Counts inputs as outstanding.
    pub(super) fn take(self: &Arc<Self>, inputs: usize) -> Outstanding {
        self.outstanding.fetch_add(inputs, Ordering::Relaxed);
        Outstanding {
            served: self.clone(),
            inputs,
        }
    }

    /// The load of a model, which is begun by whoever needs it first.
    pub(super) fn loading(&self, model: &str) -> Loading {
        let mut state = self.state();
        state.loads.entry(model.to_string()).or_default().clone()
    }

    /// Result of the load of a model, if it has ended.
    pub(super) fn loaded(&self, model: &str) -> Option<Result<(), ModelError>> {
        let state = self.state();
        let ended = state.loads.get(model)?.get()?;
        Some(ended.as_ref().map(|_| ()).map_err(Clone::clone))
    }

    /// Forgets the load of a model.
    pub(super) fn forget(&self, model: &str) {
        self.state().loads.remove(model);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        let outstanding = &self.served.outstanding;
        outstanding.fetch_sub(self.inputs, Ordering::Relaxed);
    }
}
