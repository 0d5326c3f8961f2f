//! What an executor is told when it starts: where to read, and every limit by name and unit.

use std::num::NonZero;
use std::path::PathBuf;

use thiserror::Error;

use crate::resident::available_bytes;

/// Largest batch that warm-up considers and stages hand on, unless configured.
const BATCH_IMAGES_MAX_DEFAULT: usize = 32;

/// Memory of loaded models, unless configured, where the system does not say how much it has.
const MODELS_BYTES_MAX_DEFAULT: u64 = 4 << 30;

/// Settings of an [`Executor`](crate::Executor).
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// The ONNX Runtime library. Without it the environment variable `PREDICTSQL_ORT_LIB` names
    /// it, else the system's library search finds it.
    pub ort_library: Option<PathBuf>,
    /// Only image files below these folders are read. The first is the base of relative paths.
    /// Empty: no image files at all, only images handed in as bytes.
    pub image_roots: Vec<PathBuf>,
    /// Only model files below these folders are loaded. The first is the base of relative paths.
    /// Empty: no models at all.
    pub model_roots: Vec<PathBuf>,
    /// CPU threads for decoding and inference together; by default one per core.
    pub threads: usize,
    /// Threads that wait for image files to be read; they use next to no CPU.
    pub fetch_threads: usize,
    /// Size of an encoded image in bytes.
    pub image_bytes_max: u64,
    /// Width times height of an image, in pixels, by its header.
    pub image_pixels_max: u64,
    /// Width and height of an image, each, in pixels, by its header.
    pub image_side_pixels_max: u64,
    /// Memory that decoding, converting and resizing one image may take at its peak, in bytes, by
    /// its header.
    pub image_decode_bytes_max: u64,
    /// The same of all images under way together. One that takes more waits until it is alone.
    pub decoding_bytes_max: u64,
    /// Encoded images read ahead of decoding, in bytes, over all queries. Images beyond it are
    /// read once others have been decoded.
    pub fetched_bytes_max: u64,
    /// Size of a model file in bytes.
    pub model_bytes_max: u64,
    /// Input tensor that one chunk fills, in bytes; larger chunks are split.
    pub tensor_bytes_max: u64,
    /// Images in one batch, and inputs in one chunk.
    pub batch_images_max: usize,
    /// Chunks between submission and answer, over all queries.
    pub queue_chunks_max: usize,
    /// Models kept loaded; the one used least recently goes first.
    pub models_loaded_max: usize,
    /// Memory of all loaded models together, in bytes, each with a session for each of the
    /// threads; the one used least recently goes first. A model that alone takes more is refused.
    pub models_bytes_max: u64,
    /// Outputs of one run of a model, in bytes. A run that gives more is an error.
    pub model_output_bytes_max: u64,
    /// Longest piece of work of one thread before it is another caller's turn, in milliseconds; an
    /// image to decode, or the smallest run of a model, that takes longer is a piece of its own.
    pub run_ms_max: u64,
    /// How models that nobody has tried yet are tried. `None`: in this process, where what hangs
    /// in ONNX Runtime cannot be ended.
    pub trial: Option<TrialConfig>,
}

/// How a model is tried in a process of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialConfig {
    /// The program to run for it: one whose `main` calls
    /// [`try_model_if_asked`](crate::try_model_if_asked) first. By default this one.
    pub program: PathBuf,
    /// How long a trial may take, in seconds, by the clock and of CPU time.
    pub trial_seconds_max: u64,
    /// How much memory it may take, in bytes.
    pub trial_bytes_max: u64,
    /// Trials at once.
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
            trial: None,
        }
    }
}

impl ExecutorConfig {
    /// Refuses limits of zero, which would stop all work without a word.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let sizes = [
            ("threads", self.threads),
            ("fetch_threads", self.fetch_threads),
            ("batch_images_max", self.batch_images_max),
            ("queue_chunks_max", self.queue_chunks_max),
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
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused a thread.
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
