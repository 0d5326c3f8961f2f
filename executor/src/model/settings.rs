//! Limits for preparing models.

use std::time::Duration;

use crate::picture::InputSpec;
use crate::provider::Provider;

/// Settings of [`compile`](super::compile).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CompileSettings {
    /// What sessions run on.
    pub(crate) provider: Provider,
    /// Maximum number of sessions: the number of concurrent runs.
    pub(crate) sessions_max: usize,
    /// Maximum batch size to try, in images.
    pub(crate) batch_images_max: usize,
    /// Maximum input tensor of one image, in bytes.
    pub(crate) tensor_bytes_max: u64,
    /// Maximum memory of one model.
    pub(crate) model_memory_bytes_max: u64,
    /// Maximum size of the outputs of one run.
    pub(crate) output_bytes_max: u64,
    /// Maximum time of a run with several inputs.
    pub(crate) run_max: Duration,
}

/// Bytes of the tensor for a batch of images.
pub(crate) fn tensor_bytes(spec: &InputSpec, batch: usize) -> u64 {
    let numbers = (spec.image_len() as u64).saturating_mul(batch as u64);
    numbers.saturating_mul(size_of::<f32>() as u64)
}
