//! An execution provider of ONNX Runtime.

use ort::ep::{CUDA, ExecutionProviderDispatch, cuda};
use predictsql_catalog::Device;

use super::names;

/// An execution provider with its settings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Provider {
    /// CPU threads of this process.
    Cpu,
    /// A GPU through CUDA.
    Cuda {
        /// Number of the GPU in CUDA's order, from 0.
        ordinal: u16,
        /// Maximum memory of one session on the GPU, in bytes.
        memory_bytes_max: Option<u64>,
    },
}

impl Provider {
    /// Whether models run on another device than the threads that prepare their inputs.
    pub(crate) fn is_accelerator(&self) -> bool {
        *self != Self::Cpu
    }

    /// Batch sizes that runs are padded to, ascending, at most `inputs_max`. Empty: any size runs
    /// as it is.
    pub(crate) fn buckets(&self, inputs_max: usize) -> Vec<usize> {
        match self {
            Self::Cpu => Vec::new(),
            Self::Cuda { .. } => std::iter::successors(Some(1_usize), |size| size.checked_mul(2))
                .take_while(|size| *size <= inputs_max)
                .collect(),
        }
    }

    /// What a session is built with, before the CPU, which is always there.
    pub(crate) fn dispatches(&self) -> Vec<ExecutionProviderDispatch> {
        match self {
            Self::Cpu => Vec::new(),
            Self::Cuda {
                ordinal,
                memory_bytes_max,
            } => {
                let mut cuda = CUDA::default()
                    .with_device_id(i32::from(*ordinal))
                    // An exhaustive search takes seconds for each batch size of each session.
                    .with_conv_algorithm_search(cuda::ConvAlgorithmSearch::Heuristic)
                    // Memory grows by what is asked for, not to the next power of two.
                    .with_arena_extend_strategy(ort::ep::ArenaExtendStrategy::SameAsRequested)
                    // The same answers as on a CPU: TF32 rounds to 10 bits.
                    .with_tf32(false);
                if let Some(bytes) = memory_bytes_max.and_then(|bytes| usize::try_from(bytes).ok())
                {
                    cuda = cuda.with_memory_limit(bytes);
                }
                vec![cuda.build().error_on_failure()]
            }
        }
    }

    /// The device in the catalog: costs are stored under its name.
    pub(crate) fn device(&self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Cuda { ordinal, .. } => Device::Accelerator(names::of_gpu(*ordinal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_a_gpu_are_powers_of_two() {
        let provider = Provider::Cuda {
            ordinal: 0,
            memory_bytes_max: None,
        };
        assert_eq!(provider.buckets(48), [1, 2, 4, 8, 16, 32]);
        assert_eq!(provider.buckets(1), [1]);
        assert!(Provider::Cpu.buckets(48).is_empty());
    }
}
