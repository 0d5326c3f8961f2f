//! Chooses the output of a model that has its answers: by name, or the only one that fits.

use ort::value::{TensorElementType, ValueType};
use predictsql_catalog::{AnswerShape, Output};

use super::outlets::{Outlet, describe};
use crate::ModelError;

/// Names that exporters give to outputs of unnormalised scores.
const LOGITS: [&str; 2] = ["logits", "logit"];
/// Names that exporters give to outputs of probabilities.
const PROBABILITIES: [&str; 7] = [
    "probabilities",
    "probability",
    "output_probability",
    "probs",
    "prob",
    "softmax",
    "scores",
];
/// Names that exporters give to outputs of regressions.
const VALUES: [&str; 4] = ["variable", "value", "prediction", "predictions"];

/// How the declared shape of an output fits the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// One column for each label.
    Declared,
    /// The number of columns is not declared: the first run checks it.
    Dynamic,
    /// One column for two labels.
    OneColumn,
}

/// What one input's answers in an output look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// One number for each label, or the value.
    Each,
    /// One number for two labels: that of the second.
    OneForTwo,
}

/// The columns that a run's output of this shape has for `batch` inputs: `[batch, width]`, with
/// any further axes of size 1, or without axes that are 1. `None` if it is no such output.
pub(super) fn columns(shape: &[i64], batch: usize, width: usize) -> Option<Columns> {
    let is = |axis: i64, expected: usize| usize::try_from(axis) == Ok(expected);
    let columns = match shape {
        [only] if is(*only, batch) && (batch != width || width == 1) => 1,
        [only] if batch == 1 => usize::try_from(*only).ok()?,
        [rows, rest @ ..] if !rest.is_empty() && is(*rows, batch) => {
            let mut wide = rest.iter().filter(|axis| **axis != 1);
            match (wide.next(), wide.next()) {
                (None, _) => 1,
                (Some(columns), None) => usize::try_from(*columns).ok()?,
                _ => return None,
            }
        }
        _ => return None,
    };
    match columns {
        _ if columns == width => Some(Columns::Each),
        1 if width == 2 => Some(Columns::OneForTwo),
        _ => None,
    }
}

/// An output as the model declares it.
pub(super) struct Declared<'o> {
    name: &'o str,
    /// Its type in words.
    kind: String,
    /// Its shape, if it is a tensor of floats.
    floats: Option<&'o [i64]>,
}

impl<'o> Declared<'o> {
    pub(super) fn of(output: &'o Outlet) -> Self {
        let floats = match output.dtype() {
            ValueType::Tensor {
                ty:
                    TensorElementType::Float16 | TensorElementType::Float32 | TensorElementType::Float64,
                shape,
                ..
            } => Some(&shape[..]),
            _ => None,
        };
        Self {
            name: output.name(),
            kind: describe(output.dtype()),
            floats,
        }
    }

    /// The name in lower case, without the `:0` of TensorFlow's tensors.
    fn plain_name(&self) -> String {
        let name = self.name.to_ascii_lowercase();
        name.strip_suffix(":0").map_or(name.clone(), str::to_string)
    }
}

/// Chooses among the float tensors, and returns its index. Dynamic axes match anything.
///
/// # Errors
/// None fits, or several fit and none has a telling name.
pub(super) fn tensor(
    outputs: &[Declared<'_>],
    (width, meaning): (usize, Output),
    batch_fixed: Option<usize>,
) -> Result<usize, ModelError> {
    let mut fitting: Vec<(usize, &Declared<'_>, Fit)> = Vec::new();
    let mut other_columns = None;
    for (index, output) in outputs.iter().enumerate() {
        let Some(shape) = output.floats else {
            continue;
        };
        match fit(shape, width, batch_fixed) {
            Ok(fit) => fitting.push((index, output, fit)),
            Err(columns) => other_columns = other_columns.or(columns.map(|c| (output, c))),
        }
    }
    if !fitting.is_empty() {
        return one_of(&fitting, meaning);
    }
    Err(match (meaning.answer_shape(), other_columns) {
        (AnswerShape::Label, Some((output, columns))) => ModelError::OutputColumns {
            name: output.name.to_string(),
            columns: columns.to_string(),
            labels: width,
        },
        (AnswerShape::Label, None) => ModelError::OutputType {
            outputs: described(outputs.iter()),
        },
        (AnswerShape::Value, _) => ModelError::ValueOutput {
            outputs: described(outputs.iter()),
        },
    })
}

/// Index of the output that the option `output_name` names; in any case if none has that case.
pub(super) fn named(outputs: &[Declared<'_>], name: &str) -> Result<usize, ModelError> {
    let exact = outputs.iter().position(|output| output.name == name);
    let alike = |output: &Declared<'_>| output.name.eq_ignore_ascii_case(name);
    let at = exact.or_else(|| outputs.iter().position(alike));
    at.ok_or_else(|| ModelError::NoSuchOutput {
        name: name.to_string(),
        outputs: described(outputs.iter()),
    })
}

/// One of the outputs that fit.
fn one_of(fitting: &[(usize, &Declared<'_>, Fit)], meaning: Output) -> Result<usize, ModelError> {
    let tiers: [&[&str]; 2] = match meaning {
        Output::Logits => [&LOGITS, &PROBABILITIES],
        Output::Softmax => [&PROBABILITIES, &LOGITS],
        Output::Value => [&VALUES, &[]],
    };
    let only = |of: Vec<&(usize, &Declared<'_>, Fit)>| match of[..] {
        [] => None,
        [(index, ..)] => Some(Ok(*index)),
        ref several => Some(Err(ModelError::AmbiguousOutput {
            outputs: described(several.iter().map(|(_, output, _)| *output)),
        })),
    };
    for tier in tiers {
        let telling = fitting.iter().filter(|(_, output, _)| {
            let name = output.plain_name();
            tier.contains(&name.as_str())
        });
        if let Some(told) = only(telling.collect()) {
            return told;
        }
    }
    // One column may be anything: outputs with a column for each label come first.
    let has_each = fitting.iter().any(|(_, _, fit)| *fit == Fit::Declared);
    let left = fitting
        .iter()
        .filter(|(_, _, fit)| !has_each || *fit != Fit::OneColumn);
    only(left.collect()).unwrap_or(Err(ModelError::OutputType {
        outputs: String::new(),
    }))
}

/// How a declared shape fits. The error is the number of columns, if it is a shape of columns.
fn fit(shape: &[i64], width: usize, batch_fixed: Option<usize>) -> Result<Fit, Option<i64>> {
    let is_width = |axis: i64| usize::try_from(axis) == Ok(width);
    let of_columns = |columns: i64| match columns {
        _ if is_width(columns) => Ok(Fit::Declared),
        1 if width == 2 => Ok(Fit::OneColumn),
        _ => Err(Some(columns)),
    };
    match shape {
        // ONNX Runtime reports an unknown rank as no axes; the first run checks it.
        [] => Ok(Fit::Dynamic),
        [only] if batch_fixed == Some(1) && *only > 1 => of_columns(*only),
        [_] => match of_columns(1) {
            Err(_) => Err(None),
            fit => fit,
        },
        [_, rest @ ..] => {
            let dynamic = rest.iter().filter(|axis| **axis < 0).count();
            let mut wide = rest.iter().filter(|axis| **axis >= 0 && **axis != 1);
            match (wide.next(), wide.next(), dynamic) {
                (Some(columns), None, _) => of_columns(*columns),
                (None, _, 0) => of_columns(1),
                (None, _, 1) => Ok(Fit::Dynamic),
                _ => Err(None),
            }
        }
    }
}

/// Names and types of outputs, for a message.
fn described<'o>(outputs: impl Iterator<Item = &'o Declared<'o>>) -> String {
    let named = |output: &Declared<'_>| format!("'{}': {}", output.name, output.kind);
    outputs.map(named).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn chosen(
        outputs: &[(&'static str, &'static [i64])],
        labels: usize,
        output: Output,
    ) -> Result<String, String> {
        let declared = |(name, shape): &(&'static str, &'static [i64])| Declared {
            name,
            kind: String::new(),
            floats: Some(shape),
        };
        let outputs: Vec<Declared<'_>> = outputs.iter().map(declared).collect();
        let chosen = tensor(&outputs, (labels, output), None);
        chosen
            .map(|index| outputs[index].name.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_output_that_fits_is_chosen_by_shape_or_name_and_never_by_order() {
        let by = |outputs: &[(&'static str, &'static [i64])]| chosen(outputs, 3, Output::Logits);
        let is = |name: &str| Ok(name.to_string());
        assert_eq!(
            by(&[("features", &[-1, -1]), ("logits", &[-1, 3])]),
            is("logits")
        );
        assert_eq!(
            by(&[("features", &[-1, 3]), ("logits", &[-1, 3])]),
            is("logits")
        );
        assert_eq!(
            by(&[("features", &[-1, 3]), ("Logits:0", &[-1, -1])]),
            is("Logits:0")
        );
        assert_eq!(by(&[("a", &[-1, 128]), ("b", &[-1, 3, 1, 1])]), is("b"));
        assert_eq!(by(&[("a", &[-1, 7, 7, 3]), ("b", &[-1, 1, 1, 3])]), is("b"));
        assert_eq!(by(&[("b", &[-1, 3, -1, -1])]), is("b"));
        assert_eq!(
            by(&[("probs", &[-1, 3]), ("logits", &[-1, 3])]),
            is("logits")
        );
        assert_eq!(
            chosen(
                &[("probs", &[-1, 3]), ("logits", &[-1, 3])],
                3,
                Output::Softmax
            ),
            is("probs")
        );
        for ambiguous in [
            [("a", &[-1, 3][..]), ("b", &[-1, 3][..])],
            [("a", &[-1, -1]), ("b", &[-1, 3])],
            [("prob", &[-1, 3]), ("scores", &[-1, 3])],
        ] {
            let error = by(&ambiguous).unwrap_err();
            let names = ambiguous.iter().all(|(name, _)| error.contains(name));
            assert!(names && error.contains("output_name"), "{error}");
        }
        let error = by(&[("a", &[-1, 4])]).unwrap_err();
        assert!(error.contains("4 columns"), "{error}");
    }

    #[test]
    fn one_column_is_enough_for_two_classes_only() {
        let one = [("p", &[-1, 1][..])];
        assert_eq!(chosen(&one, 2, Output::Softmax), Ok("p".to_string()));
        assert_eq!(
            chosen(&[("p", &[-1])], 2, Output::Softmax),
            Ok("p".to_string())
        );
        assert!(chosen(&one, 3, Output::Softmax).is_err());
        let both = [("p", &[-1, 1][..]), ("q", &[-1, 2][..])];
        assert_eq!(chosen(&both, 2, Output::Softmax), Ok("q".to_string()));
        assert_eq!(chosen(&one, 1, Output::Value), Ok("p".to_string()));
    }

    #[test]
    fn shapes_of_runs_have_one_axis_of_columns() {
        for (shape, batch, width, expected) in [
            (&[4, 3][..], 4, 3, Some(Columns::Each)),
            (&[4, 3, 1, 1], 4, 3, Some(Columns::Each)),
            (&[4, 1, 1, 3], 4, 3, Some(Columns::Each)),
            (&[3], 1, 3, Some(Columns::Each)),
            (&[4], 4, 1, Some(Columns::Each)),
            (&[4], 4, 2, Some(Columns::OneForTwo)),
            (&[1, 1], 1, 2, Some(Columns::OneForTwo)),
            (&[2], 1, 2, Some(Columns::Each)),
            (&[1, 1, 1], 1, 1, Some(Columns::Each)),
            (&[1, 3], 4, 3, None),
            (&[4, 3, 2], 4, 3, None),
            (&[3], 3, 3, None),
            (&[], 1, 1, None),
            (&[-1, 3], 1, 3, None),
        ] {
            assert_eq!(columns(shape, batch, width), expected, "{shape:?}");
        }
    }
}
