//! What runs models: threads of this process, an accelerator in it, or workers on other machines.
//!
//! ```text
//! describe ─► what a file is          load ─► Instance ─► infer pieces, measure ─► release
//! ```
//!
//! The executor fetches and prepares inputs, bounds what is in flight, and keeps models loaded; a
//! backend is given whole pieces of prepared inputs and answers each through its
//! [`Reply`](crate::pieces::Reply), which also says whether somebody still waits. Futures of a
//! backend do their work elsewhere and can be polled on any thread; dropping one ends its work.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use predictsql_catalog::{Device, Model, ModelOptions};

use crate::error::ModelError;
use crate::picture::InputSpec;
use crate::pieces::Piece;
use crate::sources::{ModelFile, ModelFiles};

/// Runs models on one device.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// What it runs them on: measured costs are kept under it.
    fn device(&self) -> Device;

    /// What it works on at the same time.
    fn capacity(&self) -> Capacity;

    /// Reads, loads and runs the file that `uri` names once, and keeps nothing.
    ///
    /// # Errors
    /// Everything that would keep the model from predicting.
    fn describe(
        &self,
        files: &Arc<ModelFiles>,
        uri: &str,
        options: &ModelOptions,
    ) -> BoxFuture<'static, Result<ModelFile, ModelError>>;

    /// Makes a model ready to run. The file is read from `files`, or named to a worker that can
    /// read it itself; it must have the SHA-256 that the catalog has.
    ///
    /// # Errors
    /// As [`Backend::describe`], and [`ModelError::Changed`].
    fn load(
        &self,
        files: &Arc<ModelFiles>,
        model: &Arc<Model>,
    ) -> BoxFuture<'static, Result<Arc<dyn Instance>, ModelError>>;
}

/// How much a backend works on at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Pieces that are run at once; more of them wait in the backend.
    pub(crate) pieces: usize,
}

/// A model that a backend has ready, whatever the catalog calls it.
pub(crate) trait Instance: fmt::Debug + Send + Sync {
    /// What is known of it.
    fn description(&self) -> &Description;

    /// Takes a piece, and answers it through its reply. It does not wait. Pieces of several
    /// callers may be run together.
    fn infer(&self, piece: Piece);

    /// Seconds of one run at each of the batch sizes that it takes, by ascending inputs.
    ///
    /// # Errors
    /// What the model failed of.
    fn measure(
        &self,
        name: &str,
        batches: &[usize],
    ) -> BoxFuture<'static, Result<Vec<(u32, f64)>, ModelError>>;

    /// Lets go of it, without waiting until its memory is free;
    /// who still runs it keeps it until the end.
    fn release(self: Arc<Self>);
}

/// What is known of a loaded model.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    /// How its images are made; `None`: it looks at rows of columns.
    pub(crate) image_spec: Option<Arc<InputSpec>>,
    /// Inputs per run that are fastest.
    pub(crate) batch_inputs: usize,
    /// Inputs per piece at most.
    pub(crate) chunk_inputs: usize,
    /// Seconds of one unit of its device for one input, where it could be measured.
    pub(crate) seconds_per_input: Option<f64>,
    /// Seconds that reading the file and making it ready took.
    pub(crate) load_seconds: f64,
    /// Memory that it takes where it is loaded, bytes.
    pub(crate) memory_bytes: u64,
}

/// A model of the catalog, ready to predict. Clones are cheap; the sessions go when the last clone
/// and the executor's cache have let go.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    model: Arc<Model>,
    instance: Arc<dyn Instance>,
}

impl LoadedModel {
    pub(crate) fn new(model: Arc<Model>, instance: Arc<dyn Instance>) -> Self {
        Self { model, instance }
    }

    /// The catalog's entry that this was loaded for.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Seconds of one CPU thread for one input, inference alone, as measured at warm-up with the
    /// batch size that was fastest. Divide by the executor's threads for many inputs. `None` where
    /// the model could not be tried.
    pub fn seconds_per_image(&self) -> Option<f64> {
        self.instance.description().seconds_per_input
    }

    /// Inputs per run of the model that warm-up found fastest.
    pub fn batch_images(&self) -> usize {
        self.instance.description().batch_inputs
    }

    /// Inputs per chunk that are worked on as a whole. Callers with many inputs give about this
    /// many at a time and keep several calls in flight.
    pub fn chunk_inputs(&self) -> usize {
        self.instance.description().chunk_inputs
    }

    /// Seconds that reading the file and making it ready took.
    pub fn load_seconds(&self) -> f64 {
        self.instance.description().load_seconds
    }

    /// About how much memory the model takes once all threads run it, in bytes: what the process
    /// grew by in loading it, at least the file's size, for each thread.
    pub fn memory_bytes(&self) -> u64 {
        self.instance.description().memory_bytes
    }

    /// How its images are made, if it looks at images.
    pub(crate) fn image_spec(&self) -> Option<&Arc<InputSpec>> {
        self.instance.description().image_spec.as_ref()
    }

    pub(crate) fn instance(&self) -> &Arc<dyn Instance> {
        &self.instance
    }
}
