//! Memory used by a run's outputs.

use ort::session::SessionOutputs;
use ort::value::{TensorElementType, ValueType};

/// Memory of a string in ONNX Runtime, without characters that do not fit its inline buffer.
const STRING_BYTES: u64 = 32;

/// Bytes of all tensors among the outputs. Characters of strings are not counted; nor are
/// sequences and maps, whose size is only known by reading them.
pub(super) fn output_bytes(outputs: &SessionOutputs<'_>) -> u64 {
    let bytes = outputs.values().map(|output| match output.dtype() {
        ValueType::Tensor { ty, shape, .. } => tensor_bytes(*ty, shape),
        _ => 0,
    });
    bytes.fold(0, u64::saturating_add)
}

fn tensor_bytes(kind: TensorElementType, shape: &[i64]) -> u64 {
    let sides = shape.iter().map(|side| u64::try_from(*side).unwrap_or(0));
    let elements = sides.fold(1, u64::saturating_mul);
    match usize::try_from(elements) {
        Ok(elements) if elements < usize::MAX >> 4 => kind
            .byte_size(elements)
            .map_or(elements as u64 * STRING_BYTES, |bytes| bytes as u64),
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_takes_its_elements_times_their_size() {
        let bytes = |kind, shape: &[i64]| tensor_bytes(kind, shape);
        assert_eq!(bytes(TensorElementType::Float32, &[32, 10]), 1280);
        assert_eq!(bytes(TensorElementType::Float64, &[]), 8);
        assert_eq!(bytes(TensorElementType::Int64, &[0, 10]), 0);
        assert_eq!(bytes(TensorElementType::String, &[3]), 96);
        assert_eq!(bytes(TensorElementType::Float32, &[i64::MAX, 9]), u64::MAX);
    }
}
