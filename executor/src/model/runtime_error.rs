//! Errors of ONNX Runtime as errors of a model.

use ort::ErrorCode;

use crate::error::ModelError;
use crate::message::one_line;

/// Characters of a message of ONNX Runtime that are passed on.
const MESSAGE_CHARS_MAX: usize = 400;

/// A failure in running it.
pub(super) fn runtime(error: ort::Error) -> ModelError {
    ModelError::Runtime {
        reason: one_line(error.message(), MESSAGE_CHARS_MAX),
    }
}

/// What is wrong with a model file, by ONNX Runtime's code and message.
pub(super) fn classify(error: &ort::Error) -> ModelError {
    let reason = one_line(error.message(), MESSAGE_CHARS_MAX);
    let unsupported = [
        "is not a registered function/op",
        "No Op registered for",
        "No opset import for domain",
        "Could not find an implementation for",
        "Failed to find kernel",
    ];
    if unsupported.iter().any(|text| reason.contains(text)) {
        return ModelError::UnsupportedOperator { reason };
    }
    match error.code() {
        ErrorCode::InvalidProtobuf | ErrorCode::NoModel => ModelError::Corrupt { reason },
        ErrorCode::NotImplemented => ModelError::UnsupportedOperator { reason },
        _ => ModelError::Runtime { reason },
    }
}
