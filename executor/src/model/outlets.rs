//! Text form of the types and shapes of a model's inputs and outputs.

use ort::value::ValueType;

/// Text form of a type.
pub(crate) fn describe(kind: &ValueType) -> String {
    match kind {
        ValueType::Tensor { ty, shape, .. } => format!("a tensor of {ty} {}", axes(shape)),
        other => format!("no tensor but {other}"),
    }
}

/// Text form of a shape; dynamic axes are `?`.
pub(crate) fn axes(shape: &[i64]) -> String {
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
