//! Limits under which models are made ready.

use std::time::Duration;

use crate::picture::InputSpec;

/// What [`compile`](super::compile) needs besides the file.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CompileSettings {
    /// Sessions at most: as many as may run at once.
    pub(crate) sessions_max: usize,
    /// Largest batch to consider, of images.
    pub(crate) batch_images_max: usize,
    /// Largest input tensor for one image.
    pub(crate) tensor_bytes_max: u64,
    /// Memory of one model.
    pub(crate) model_memory_bytes_max: u64,
    /// Outputs of one run.
    pub(crate) output_bytes_max: u64,
    /// Time of one run, if smaller ones are possible.
    pub(crate) run_max: Duration,
}

/// Bytes of the tensor of a batch of images.
pub(super) fn tensor_bytes(spec: &InputSpec, batch: usize) -> u64 {
    let numbers = (spec.image_len() as u64).saturating_mul(batch as u64);
    numbers.saturating_mul(size_of::<f32>() as u64)
}
