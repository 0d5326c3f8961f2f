//! Types and shapes of a model's inputs and outputs, in words.

use ort::value::{Shape, ValueType};

/// A type in words.
pub(crate) fn describe(kind: &ValueType) -> String {
    match kind {
        ValueType::Tensor { ty, shape, .. } => format!("a tensor of {ty} {}", axes(shape)),
        other => format!("no tensor but {other}"),
    }
}

/// A shape as text; dynamic axes are `?`.
pub(crate) fn axes(shape: &Shape) -> String {
    let axis = |size: &i64| {
        if *size < 0 {
            "?".to_string()
        } else {
            size.to_string()
        }
    };
    let axes: Vec<_> = shape.iter().map(axis).collect();
    format!("[{}]", axes.join(", "))
}
