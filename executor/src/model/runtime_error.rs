//! Conversion of ONNX Runtime errors to model errors.

use ort::ErrorCode;

use crate::error::ModelError;
use crate::message::one_line;

/// Maximum length of an ONNX Runtime message that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 400;

/// An error of running a model.
pub(super) fn runtime(error: ort::Error) -> ModelError {
    ModelError::Runtime {
        reason: one_line(error.message(), MESSAGE_CHARS_MAX),
    }
}

/// Classifies an error in a model file by ONNX Runtime's code and message.
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
