//! Configuration of an executor: folders to read from, and all limits with name and unit.

use std::num::NonZero;
use std::path::PathBuf;

use thiserror::Error;

use crate::provider::{DeviceError, ProviderConfig};
use crate::resident::available_bytes;
use crate::secret::SecretPem;
use crate::storage::StorageRoot;

/// Default maximum batch size that warm-up tries and stages pass on.
const BATCH_IMAGES_MAX_DEFAULT: usize = 32;

/// Default memory limit of loaded models if the system's memory size is unknown.
const MODELS_BYTES_MAX_DEFAULT: u64 = 4 << 30;

/// Settings of an [`Executor`](crate::Executor).
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// The ONNX Runtime library. Without it, the environment variable `PREDICTSQL_ORT_LIB` is
    /// used, otherwise the system's library search.
    pub ort_library: Option<PathBuf>,
    /// Only images below these roots are read. The first is the base of relative paths.
    /// Empty: only images passed as bytes.
    pub image_roots: Vec<StorageRoot>,
    /// Only model files below these roots are loaded. The first is the base of relative paths.
    /// Empty: no models.
    pub model_roots: Vec<StorageRoot>,
    /// How objects of remote storage are read.
    pub objects: ObjectConfig,
    /// The device that models of this process run on.
    pub provider: ProviderConfig,
    /// CPU threads for decoding and inference together; by default one per core.
    pub threads: usize,
    /// Threads that wait for reads of image files; they use almost no CPU.
    pub fetch_threads: usize,
    /// Maximum size of an encoded image, in bytes.
    pub image_bytes_max: u64,
    /// Maximum width times height of an image, in pixels, according to its header.
    pub image_pixels_max: u64,
    /// Maximum width and height of an image, each, in pixels, according to its header.
    pub image_side_pixels_max: u64,
    /// Maximum peak memory of decoding, converting and resizing one image, in bytes, according to
    /// its header.
    pub image_decode_bytes_max: u64,
    /// The same for all images being decoded. An image that needs more waits until it is the only
    /// one.
    pub decoding_bytes_max: u64,
    /// Maximum bytes of encoded images read ahead of decoding, over all queries. Further images
    /// are read after others have been decoded.
    pub fetched_bytes_max: u64,
    /// Maximum size of a model file, in bytes.
    pub model_bytes_max: u64,
    /// Maximum input tensor of one chunk, in bytes; larger chunks are split.
    pub tensor_bytes_max: u64,
    /// Maximum images in one batch, and inputs in one chunk.
    pub batch_images_max: usize,
    /// Maximum chunks in flight, over all queries.
    pub queue_chunks_max: usize,
    /// Maximum number of loaded models; the least recently used one is unloaded first.
    pub models_loaded_max: usize,
    /// Maximum memory of all loaded models together, in bytes, each with one session per thread;
    /// the least recently used one is unloaded first. A model that alone needs more is rejected.
    pub models_bytes_max: u64,
    /// Maximum outputs of one run of a model, in bytes. A run that returns more is an error.
    pub model_output_bytes_max: u64,
    /// Where files of models from remote storage are kept, and those that proxies send. `None`:
    /// nowhere, they are read again.
    pub model_cache: Option<ModelCacheConfig>,
    /// Workers that run the models. `None`: they are run in this process.
    pub workers: Option<WorkersConfig>,
    /// External servers that models may be run by.
    pub external: ExternalConfig,
    /// Maximum duration of a thread's piece of work before another caller's turn, in milliseconds;
    /// an image, or the smallest run of a model, that takes longer is a piece of its own.
    pub run_ms_max: u64,
    /// How long a batch of a GPU that is not full waits for inputs of other callers, in
    /// microseconds.
    pub queue_delay_us: u64,
    /// How new models are tried. `None`: in this process, where a hang inside ONNX Runtime cannot
    /// be ended.
    pub trial: Option<TrialConfig>,
}

/// Settings of the model cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCacheConfig {
    /// Folder of the files, made if it is missing. Several processes may share it.
    pub folder: PathBuf,
    /// Maximum bytes of all files together; the least recently used one is removed first.
    pub bytes_max: u64,
}

impl ModelCacheConfig {
    /// A cache in `folder` of the default size, 10 GiB.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            bytes_max: 10 << 30,
        }
    }
}

/// Settings of workers that run the models.
#[derive(Debug, Clone)]
pub struct WorkersConfig {
    /// Their addresses, `HOST:PORT`; a name that resolves to several addresses stands for as many
    /// workers.
    pub addresses: Vec<String>,
    /// Maximum time to wait while no worker takes work, in seconds.
    pub worker_wait_seconds_max: u64,
    /// How connections are secured. `None`: plain text.
    pub tls: Option<WorkersTls>,
}

/// Settings of external servers of the Open Inference Protocol, which run models that the catalog
/// names as `external-oip://HOST:PORT/MODEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalConfig {
    /// Their addresses, `HOST:PORT`; the executor connects to no other ones.
    pub external_oip_hosts: Vec<String>,
    /// Maximum duration of a request, repetitions included, in seconds.
    pub external_oip_request_seconds_max: u64,
    /// Maximum age of a model's metadata, in seconds: if they change, this is noticed after that
    /// at the latest. 0: they are asked for before each request.
    pub external_oip_metadata_seconds_max: u64,
}

impl Default for ExternalConfig {
    fn default() -> Self {
        Self {
            external_oip_hosts: Vec::new(),
            external_oip_request_seconds_max: 30,
            external_oip_metadata_seconds_max: 60,
        }
    }
}

/// TLS of connections to workers, in PEM.
#[derive(Debug, Clone)]
pub struct WorkersTls {
    /// Authorities of the workers' certificates.
    pub authorities: Vec<u8>,
    /// Own certificate and its key, for workers that ask for one.
    pub identity: Option<(Vec<u8>, SecretPem)>,
}

/// Settings for reading objects of remote storage: object stores and web servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectConfig {
    /// Maximum concurrent requests to one bucket or web server.
    pub object_reads_max: usize,
    /// Maximum duration of reading one object, in seconds, retries included.
    pub object_read_seconds_max: u64,
    /// Maximum repetitions of a failed request.
    pub object_retries_max: usize,
    /// Maximum age of what is known of an object's version, in seconds: an object that changes is
    /// noticed after that at the latest. 0: each statement asks anew.
    pub object_identity_seconds_max: u64,
    /// Maximum bytes of objects being received, over all queries. Others wait.
    pub object_bodies_bytes_max: u64,
}

impl Default for ObjectConfig {
    fn default() -> Self {
        Self {
            object_reads_max: 128,
            object_read_seconds_max: 30,
            object_retries_max: 3,
            object_identity_seconds_max: 60,
            object_bodies_bytes_max: 256 << 20,
        }
    }
}

/// Settings for trying a model in a separate process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialConfig {
    /// The program to run: its `main` must call [`try_model_if_asked`](crate::try_model_if_asked)
    /// first. By default this program.
    pub program: PathBuf,
    /// Maximum duration of a trial in seconds, for both wall-clock and CPU time.
    pub trial_seconds_max: u64,
    /// Maximum memory of a trial, in bytes.
    pub trial_bytes_max: u64,
    /// Maximum concurrent trials.
    pub trials_max: usize,
}

impl Default for TrialConfig {
    fn default() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            trial_seconds_max: 60,
            trial_bytes_max: 4 << 30,
            trials_max: 2,
        }
    }
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            ort_library: None,
            image_roots: Vec::new(),
            model_roots: Vec::new(),
            objects: ObjectConfig::default(),
            provider: ProviderConfig::default(),
            threads,
            fetch_threads: 2,
            image_bytes_max: 32 << 20,
            image_pixels_max: 64 << 20,
            image_side_pixels_max: 65_535,
            image_decode_bytes_max: 512 << 20,
            decoding_bytes_max: 1 << 30,
            fetched_bytes_max: 256 << 20,
            model_bytes_max: 2 << 30,
            tensor_bytes_max: 64 << 20,
            batch_images_max: BATCH_IMAGES_MAX_DEFAULT,
            queue_chunks_max: 4 * threads + 4,
            models_loaded_max: 32,
            models_bytes_max: available_bytes().map_or(MODELS_BYTES_MAX_DEFAULT, |all| all / 2),
            model_output_bytes_max: 256 << 20,
            run_ms_max: 10,
            queue_delay_us: 500,
            model_cache: None,
            workers: None,
            external: ExternalConfig::default(),
            trial: None,
        }
    }
}

impl ExecutorConfig {
    /// Sets the number of CPU threads, and the limit of chunks in proportion, like the default.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
        self.queue_chunks_max = threads.saturating_mul(4).saturating_add(4);
    }

    /// Rejects limits of zero, which would silently stop all work.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let sizes = [
            ("threads", self.threads),
            ("fetch_threads", self.fetch_threads),
            ("device_runs_max", self.provider.device_runs_max),
            ("batch_images_max", self.batch_images_max),
            ("queue_chunks_max", self.queue_chunks_max),
            ("object_reads_max", self.objects.object_reads_max),
            ("models_loaded_max", self.models_loaded_max),
            (
                "trials_max",
                self.trial.as_ref().map_or(1, |t| t.trials_max),
            ),
        ];
        let bytes = [
            ("image_bytes_max", self.image_bytes_max),
            ("image_pixels_max", self.image_pixels_max),
            ("image_side_pixels_max", self.image_side_pixels_max),
            ("image_decode_bytes_max", self.image_decode_bytes_max),
            ("decoding_bytes_max", self.decoding_bytes_max),
            ("model_bytes_max", self.model_bytes_max),
            ("tensor_bytes_max", self.tensor_bytes_max),
            ("models_bytes_max", self.models_bytes_max),
            ("model_output_bytes_max", self.model_output_bytes_max),
            ("run_ms_max", self.run_ms_max),
            (
                "external_oip_request_seconds_max",
                self.external.external_oip_request_seconds_max,
            ),
            (
                "object_read_seconds_max",
                self.objects.object_read_seconds_max,
            ),
            (
                "object_bodies_bytes_max",
                self.objects.object_bodies_bytes_max,
            ),
            (
                "trial_seconds_max",
                self.trial.as_ref().map_or(1, |t| t.trial_seconds_max),
            ),
            (
                "trial_bytes_max",
                self.trial.as_ref().map_or(1, |t| t.trial_bytes_max),
            ),
        ];
        let zero_size = sizes
            .iter()
            .find(|(_, value)| *value == 0)
            .map(|(name, _)| *name);
        let zero_bytes = bytes
            .iter()
            .find(|(_, value)| *value == 0)
            .map(|(name, _)| *name);
        match zero_size.or(zero_bytes) {
            Some(name) => Err(StartError::Zero { name }),
            None => Ok(()),
        }
    }
}

/// Why an executor cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A limit is zero.
    #[error("executor setting {name} must be at least 1")]
    Zero {
        /// The setting's name.
        name: &'static str,
    },
    /// A root is missing, not a folder, or not readable.
    #[error("root folder {path} cannot be used: {source}")]
    Root {
        /// The root as configured.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A bucket or web server of a root cannot be used.
    #[error("root {root} {reason}")]
    ObjectRoot {
        /// The root as configured.
        root: String,
        /// A clause.
        reason: String,
    },
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The model cache's folder cannot be made or read.
    #[error("the model cache {path} cannot be used: {source}")]
    ModelCache {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// An address of workers is none.
    #[error("'{address}' is no address of workers: HOST:PORT")]
    WorkerAddress {
        /// The address as given.
        address: String,
    },
    /// An address of external servers is none.
    #[error("external_oip_hosts: '{address}' is no address: HOST:PORT")]
    ExternalAddress {
        /// The address as given.
        address: String,
    },
    /// A thread could not be started.
    #[error("cannot start an executor thread: {0}")]
    Thread(std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_limits_are_refused_by_name() {
        assert!(ExecutorConfig::default().check().is_ok());
        let config = ExecutorConfig {
            queue_chunks_max: 0,
            ..ExecutorConfig::default()
        };
        assert_eq!(
            config.check().map_err(|e| e.to_string()),
            Err("executor setting queue_chunks_max must be at least 1".to_string())
        );
    }
}
