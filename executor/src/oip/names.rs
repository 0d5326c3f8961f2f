//! Names of tensors and parameters of `ModelInfer`.

/// Input: encoded images, BYTES `[n]`.
pub(crate) const IMAGE: &str = "image";
/// Input: locations of images below the worker's own roots, BYTES `[n]`.
pub(crate) const URI: &str = "uri";
/// Input: images as the model takes them, FP32 `[n, ...]` in its layout: resized and normalised.
pub(crate) const TENSOR: &str = "tensor";
/// Output: probabilities by label, FP32 `[n, labels]`; NaN where there is an error.
pub(crate) const SCORES: &str = "scores";
/// Output: the answer of a regression, FP64 `[n]`; NaN where there is an error.
pub(crate) const VALUE: &str = "value";
/// Output: why an input has no answer, a clause, BYTES `[n]`; empty where it has one.
pub(crate) const ERROR: &str = "error";
/// Output, if [`IDENTIFIED`]: identity of the content that was read, BYTES `[n]` of 16 or 0 bytes.
pub(crate) const IDENTITY: &str = "identity";

/// Parameter of a request: whether identities are asked for.
pub(crate) const IDENTIFIED: &str = "identified";
/// Parameter of a request: number of the caller of the work. Callers take turns.
pub(crate) const CALLER: &str = "caller";
/// Parameter of a response: time of reading, in nanoseconds.
pub(crate) const FETCHING_NS: &str = "fetching_ns";
/// Parameter of a response: CPU time of decoding and preprocessing, in nanoseconds.
pub(crate) const PREPARING_NS: &str = "preparing_ns";
/// Parameter of a response: CPU time of inference, in nanoseconds.
pub(crate) const INFERRING_NS: &str = "inferring_ns";
