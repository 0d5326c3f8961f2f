//! Interface of backends, which run models: on threads of this process, on an accelerator, or on
//! workers on other machines.
//!
//! ```text
//! describe ─► properties of a file    load ─► Instance ─► infer pieces, measure ─► release
//! ```
//!
//! The executor fetches and prepares inputs, limits the work in flight, and keeps models loaded. A
//! backend receives complete pieces of prepared inputs and answers each through its
//! [`Reply`](crate::pieces::Reply), which also shows whether the caller still waits. A backend's
//! futures do their work on other threads and can be polled on any thread; dropping one ends its
//! work.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use predictsql_catalog::{Device, Model, ModelOptions};

use crate::error::ModelError;
use crate::pieces::{Form, Piece};
use crate::sources::{ModelFile, ModelFiles};

/// Runs models on one device.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Its device: measured costs are stored per device.
    fn device(&self) -> Device;

    /// Its concurrency.
    fn capacity(&self) -> Capacity;

    /// The workers that it sends work to, in the order of their addresses.
    fn workers(&self) -> Vec<WorkerState> {
        Vec::new()
    }

    /// Reads, loads and runs the file at a URI once, and keeps nothing. If a SHA-256 is given, it
    /// must be that of the file.
    ///
    /// # Errors
    /// Any reason why the model cannot predict.
    fn describe(
        &self,
        files: &Arc<ModelFiles>,
        at: (&str, Option<&str>),
        options: &ModelOptions,
    ) -> BoxFuture<'static, Result<ModelFile, ModelError>>;

    /// Prepares a model for running. The file is read from `files`, or its URI is passed to a
    /// worker that can read it itself; its SHA-256 must be that in the catalog.
    ///
    /// # Errors
    /// Errors of [`Backend::describe`], and [`ModelError::Changed`].
    fn load(
        &self,
        files: &Arc<ModelFiles>,
        model: &Arc<Model>,
    ) -> BoxFuture<'static, Result<Arc<dyn Instance>, ModelError>>;
}

/// A worker as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerState {
    /// Its address.
    pub address: SocketAddr,
    /// Its device and the number of pieces that it runs concurrently, while it takes work.
    pub takes_work: Option<(Device, usize)>,
    /// Why it takes no work; empty while it does.
    pub trouble: String,
    /// Models that this process has had it load.
    pub models_loaded: usize,
    /// Inputs that it was sent and has not answered.
    pub inputs_outstanding: usize,
    /// Requests that it has answered since this process began to use it.
    pub requests_answered: u64,
    /// How often it was given up or sent no more work.
    pub times_lost: u64,
}

/// Concurrency of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Maximum number of concurrently run pieces; further ones wait in the backend.
    pub(crate) pieces: usize,
}

/// A model loaded by a backend, independent of its name in the catalog.
pub(crate) trait Instance: fmt::Debug + Send + Sync {
    /// Its properties.
    fn description(&self) -> &Description;

    /// Whether the backend reads the object at this URI itself. Only for images that it decodes.
    fn reads(&self, _uri: &str) -> bool {
        false
    }

    /// Accepts a piece without waiting, and answers it through its reply. Pieces of several
    /// callers may be run together.
    fn infer(&self, piece: Piece);

    /// Seconds of one run for each batch size that the model supports, by ascending size.
    ///
    /// # Errors
    /// The model's failure.
    fn measure(
        &self,
        name: &str,
        batches: &[usize],
    ) -> BoxFuture<'static, Result<Vec<(u32, f64)>, ModelError>>;

    /// Unloads the model without waiting until its memory is free; callers that still run it keep
    /// it until they finish.
    fn release(self: Arc<Self>);
}

/// Properties of a loaded model.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    /// Form in which it takes inputs.
    pub(crate) form: Form,
    /// Fastest number of inputs per run.
    pub(crate) batch_inputs: usize,
    /// Maximum inputs per piece.
    pub(crate) chunk_inputs: usize,
    /// Seconds of one unit of its device for one input, if measured.
    pub(crate) seconds_per_input: Option<f64>,
    /// Seconds to read the file and prepare the model.
    pub(crate) load_seconds: f64,
    /// Memory used where it is loaded, in bytes.
    pub(crate) memory_bytes: u64,
}

/// A model of the catalog, ready to predict. Clones are cheap; the sessions are freed when the
/// last clone is dropped and the executor's cache has evicted the model.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    model: Arc<Model>,
    instance: Arc<dyn Instance>,
}

impl LoadedModel {
    pub(crate) fn new(model: Arc<Model>, instance: Arc<dyn Instance>) -> Self {
        Self { model, instance }
    }

    /// The catalog model that this was loaded for.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Seconds of one CPU thread for one input, inference only, measured at warm-up with the
    /// fastest batch size. Divide by the executor's threads for many inputs. `None` if the model
    /// could not be measured.
    pub fn seconds_per_image(&self) -> Option<f64> {
        self.instance.description().seconds_per_input
    }

    /// Inputs per run that were fastest at warm-up.
    pub fn batch_images(&self) -> usize {
        self.instance.description().batch_inputs
    }

    /// Number of inputs processed as one chunk. Callers with many inputs should pass about this
    /// many at a time and keep several calls in flight.
    pub fn chunk_inputs(&self) -> usize {
        self.instance.description().chunk_inputs
    }

    /// Seconds to read the file and prepare the model.
    pub fn load_seconds(&self) -> f64 {
        self.instance.description().load_seconds
    }

    /// Approximate memory of the model once all threads run it, in bytes: the growth of the
    /// process while loading it, at least the file's size, per thread.
    pub fn memory_bytes(&self) -> u64 {
        self.instance.description().memory_bytes
    }

    /// Form in which it takes inputs.
    pub(crate) fn form(&self) -> &Form {
        &self.instance.description().form
    }

    pub(crate) fn instance(&self) -> &Arc<dyn Instance> {
        &self.instance
    }
}
