//! Runs the smallest model on a device, to see that it can be used.

use ort::environment::Environment;
use ort::ep::ExecutionProvider;
use ort::session::Session;
use ort::value::TensorRef;

use super::execution::Provider;

/// An ONNX model of one node, `y = Relu(x)` for `x` of shape \[1\]: opset 13, IR version 8.
const MODEL: [u8; 59] = [
    0x08, 8, // ModelProto.ir_version
    0x3a, 51, // .graph
    0x0a, 12, 0x0a, 1, b'x', 0x12, 1, b'y', 0x22, 4, b'R', b'e', b'l',
    b'u', // GraphProto.node
    0x12, 1, b'g', // .name
    0x5a, 15, 0x0a, 1, b'x', 0x12, 10, 0x0a, 8, 0x08, 1, 0x12, 4, 0x0a, 2, 0x08, 1, // .input
    0x62, 15, 0x0a, 1, b'y', 0x12, 10, 0x0a, 8, 0x08, 1, 0x12, 4, 0x0a, 2, 0x08, 1, // .output
    0x42, 2, 0x10, 13, // ModelProto.opset_import
];

/// Builds a session on the device and runs it once.
///
/// # Errors
/// Why it cannot be used, as a clause.
pub(super) fn run(environment: &Environment, provider: &Provider) -> Result<(), String> {
    if provider.is_accelerator() && !matches!(ort::ep::CUDA::is_available(), Ok(true)) {
        return Err(
            "this ONNX Runtime is built without CUDA; ort_library names one that has it, for \
             example that of the PyPI wheel `onnxruntime-gpu`"
                .to_owned(),
        );
    }
    relu(environment, provider).map_err(|error| {
        let message = error.to_string();
        // ONNX Runtime puts its source file and function first.
        let message = message
            .split_once("FAIL : ")
            .map_or(&*message, |(_, rest)| rest);
        let message = message.trim();
        format!("{message} (the NVIDIA driver, CUDA and cuDNN must be installed, see docs/gpu.md)")
    })
}

fn relu(environment: &Environment, provider: &Provider) -> ort::Result<()> {
    let mut session = Session::builder(environment)?
        .with_execution_providers(provider.dispatches())?
        .commit_from_memory(&MODEL)?;
    let input = TensorRef::from_array_view(([1_usize], &[-1.0_f32][..]))?;
    let outputs = session.run(ort::inputs![input])?;
    let (_, numbers) = outputs
        .values()
        .next()
        .ok_or_else(|| ort::Error::new("the model gave no output"))?
        .try_extract_tensor::<f32>()
        .map(|(shape, numbers)| (shape.len(), numbers.to_vec()))?;
    match numbers[..] {
        [0.0] => Ok(()),
        _ => Err(ort::Error::new("it computes wrongly")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_runs_where_a_device_is_there_and_says_what_is_missing_where_it_is_not() {
        let environment = crate::library::environment(None).unwrap();
        assert_eq!(run(&environment, &Provider::Cpu), Ok(()));
        let cuda = Provider::Cuda {
            ordinal: 0,
            memory_bytes_max: Some(1 << 30),
        };
        // The library of tests is built for CPUs, unless PREDICTSQL_ORT_LIB names another.
        if let Err(reason) = run(&environment, &cuda) {
            assert!(reason.contains("CUDA"), "{reason}");
        }
    }
}
