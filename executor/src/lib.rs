//! Runs models over images and rows of columns, in process: fetch, decode, batch, infer.
//!
//! [`Executor::inspect`] reads and tries a model file once (for `CREATE MODEL`), in a process that
//! can be ended, [`Executor::load`] keeps it ready, and [`Executor::predict`] answers a chunk of
//! inputs with it. The stages are:
//!
//! ```text
//! predict -> fetch (I/O threads) -> decode + preprocess (CPU pool) -> batch
//!     -> infer (CPU pool, GPU or workers) -> scores
//! ```
//!
//! [`decision`] runs what the optimizer decided over inputs, from outputs that are [`kept`] where
//! there are any; [`evaluation`] measures models on labelled rows. A [`pump`] feeds both.
//!
//! A chunk of at most `batch_images_max` inputs is what the stages hand to each other, so that the
//! price of a queue is paid per chunk and not per image. Chunks in flight, over all stages and
//! callers, are bounded by `queue_chunks_max`: a caller waits before the first stage,
//! never inside.
//!
//! What is absent: nothing here knows SQL or speaks to a store, and no file or object is read but
//! below the configured roots.

mod address;
mod backend;
mod backends;
mod caller;
mod config;
pub mod decision;
mod error;
pub mod evaluation;
mod executor;
mod external;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod in_process;
mod input;
mod interrupt;
mod io_runtime;
pub mod kept;
mod library;
mod loaded;
mod loads;
mod message;
mod model;
mod oip;
mod permits;
mod picture;
mod pieces;
mod pipeline;
mod prepared;
mod priority;
mod provider;
pub mod pump;
mod reserved;
mod resident;
mod secret;
mod sources;
mod spent;
mod storage;
mod trial;
mod warning;
mod worker;
mod workers;

pub use backend::{LoadedModel, WorkerState};
pub use config::{
    ExecutorConfig, ExternalConfig, ModelCacheConfig, ObjectConfig, StartError, TrialConfig,
    WorkersConfig, WorkersTls,
};
pub use error::{ImageRootError, InferenceLimit, ModelError, PredictError};
pub use executor::Executor;
pub use external::is_external;
pub use identity::InputId;
pub use input::{ColumnValue, Input, Outcome, Scores};
pub use pipeline::CpuSeconds;
pub use prepared::Prepared;
pub use provider::{DeviceChoice, DeviceError, MissingDevice, ProviderConfig};
pub use resident::limit_heaps;
pub use secret::SecretPem;
pub use sources::ModelFile;
pub use spent::{Spent, StageSeconds};
pub use storage::StorageRoot;
pub use trial::try_model_if_asked;
pub use warning::ModelWarning;
pub use worker::{ModelCounts, ModelStatistics, Worker, WorkerConfig, WorkerError, WorkerTls};
