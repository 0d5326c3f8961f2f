//! Where ONNX Runtime runs the models of this process: on CPU threads, or on an NVIDIA GPU.
//!
//! ```text
//! device, device_missing ─ choose: load the library, run a model of one node ─► Provider
//!                               └─ fails: DeviceError, or the CPU and a warning
//! ```
//!
//! A GPU takes batches of fixed sizes (`Provider::buckets`): ONNX Runtime prepares kernels at the
//! first run of each input shape, so that a batch is padded to the next size, and each session is
//! run with each size before its first use. Models run on threads of their own beside the CPU
//! threads, which only decode and prepare.

mod choice;
mod execution;
mod names;
mod probe;

use std::path::Path;

use thiserror::Error;

pub use choice::{DeviceChoice, MissingDevice, ProviderConfig};
pub(crate) use execution::Provider;

use crate::library;

/// Why models cannot run on the configured device.
#[derive(Debug, Error)]
#[error("models cannot run on {device}: {reason}")]
pub struct DeviceError {
    /// The device as configured.
    pub device: DeviceChoice,
    /// A clause.
    pub reason: String,
}

/// The provider that is configured, if it can run a model; else what `missing` says.
///
/// # Errors
/// A device that is not there, or cannot be used, and must not be replaced.
pub(crate) fn choose(
    config: &ProviderConfig,
    ort_library: Option<&Path>,
) -> Result<Provider, DeviceError> {
    let DeviceChoice::Cuda { ordinal } = config.device else {
        return Ok(Provider::Cpu);
    };
    let provider = Provider::Cuda {
        ordinal,
        memory_bytes_max: config.device_memory_bytes_max,
    };
    let probed = library::environment(ort_library)
        .map_err(|error| error.to_string())
        .and_then(|environment| probe::run(&environment, &provider));
    let Err(reason) = probed else {
        tracing::info!(device = %provider.device(), "models run on a GPU");
        return Ok(provider);
    };
    match config.device_missing {
        MissingDevice::Refuse => Err(DeviceError {
            device: config.device,
            reason,
        }),
        MissingDevice::Cpu => {
            tracing::warn!(
                device = %config.device,
                "the device cannot be used, models run on the CPU instead: {reason}"
            );
            Ok(Provider::Cpu)
        }
    }
}
