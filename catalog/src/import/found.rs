//! What is read of a model, and options in the form in which they could have been written.

use serde_json::Value;

use crate::option_value::OptionValue;

/// What a file says of its model without being run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnnxHead {
    /// Pairs of the file's metadata.
    pub metadata: Vec<(String, String)>,
    /// Axes of the only input, if there is one; `None` for a dynamic axis.
    pub input: Option<Vec<Option<u64>>>,
}

impl OnnxHead {
    /// The value of a pair of the metadata.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        let found = self.metadata.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// Options as they could have been written.
pub(super) type Options = Vec<(String, OptionValue)>;

/// Which options are to be found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) geometry: bool,
    pub(super) interpolation: bool,
    pub(super) numbers: bool,
}

/// A list of numbers, or one number.
pub(super) fn numbers(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Array(values) => values.iter().map(Value::as_f64).collect(),
        value => Some(vec![value.as_f64()?]),
    }
}

pub(super) fn list(numbers: impl IntoIterator<Item = f64>) -> OptionValue {
    OptionValue::List(numbers.into_iter().map(OptionValue::Number).collect())
}

pub(super) fn text(key: &str, value: &str) -> (String, OptionValue) {
    (key.to_owned(), OptionValue::Text(value.to_owned()))
}

pub(super) fn number(key: &str, value: f64) -> (String, OptionValue) {
    (key.to_owned(), OptionValue::Number(value))
}
