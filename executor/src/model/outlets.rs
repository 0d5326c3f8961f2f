//! A model's inputs and outputs as it declares them, and the text form of their types and shapes.

use ort::value::ValueType;

/// An input or output as a model declares it. Making one does not need ONNX Runtime.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outlet {
    name: String,
    dtype: ValueType,
}

impl Outlet {
    pub(crate) fn new(name: String, dtype: ValueType) -> Self {
        Self { name, dtype }
    }

    /// The inputs or outputs of a session.
    pub(super) fn all(of_session: &[ort::value::Outlet]) -> Vec<Self> {
        let outlet = |outlet: &ort::value::Outlet| {
            Self::new(outlet.name().to_string(), outlet.dtype().clone())
        };
        of_session.iter().map(outlet).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn dtype(&self) -> &ValueType {
        &self.dtype
    }
}

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
