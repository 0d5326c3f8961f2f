//! Reads a model's answers from its output: a tensor, or the maps produced by scikit-learn's
//! converters.

use std::borrow::Cow;
use std::collections::HashMap;

use ort::session::SessionOutputs;
use ort::value::{DynMapValueType, DynValue, Outlet, Shape, TensorElementType, ValueType};
use predictsql_catalog::{AnswerShape, ModelOptions, Output};

use super::outlets::{axes, describe};
use super::runtime_error::runtime;
use crate::{ModelError, Outcome, Scores};

/// Location and meaning of a model's answers.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// Name of the output to read.
    output: String,
    form: Form,
    meaning: Output,
    /// Numbers per answer: one per label, or the value.
    width: usize,
    /// An output with the class of each answer, used to check the order of the labels.
    said: Option<Said>,
}

#[derive(Debug, Clone)]
struct Said {
    output: String,
    labels: Vec<String>,
}

impl Said {
    /// The output with the labels of the answers, if there is one.
    fn of(outputs: &[Outlet], labels: &[String]) -> Option<Self> {
        // A numeric output cannot be compared with labels that are names.
        let numbered = labels.iter().all(|label| label.parse::<i64>().is_ok());
        let says = |output: &&Outlet| match output.dtype() {
            ValueType::Tensor { ty, shape, .. } if shape.len() == 1 => {
                *ty == TensorElementType::String || (*ty == TensorElementType::Int64 && numbered)
            }
            _ => false,
        };
        outputs.iter().find(says).map(|output| Self {
            output: output.name().to_string(),
            labels: labels.to_vec(),
        })
    }
}

#[derive(Debug, Clone)]
enum Form {
    /// [batch, width], or [batch] if the width is 1.
    Tensor,
    /// A map from class to probability for each input.
    Maps(Keys),
}

/// How the key of a map is converted to the index of a label.
#[derive(Debug, Clone)]
enum Keys {
    Text(HashMap<String, usize>),
    Number(HashMap<i64, usize>),
    /// Numbers that are not labels: ranked in ascending order, the order of the labels.
    Rank,
}

/// Consecutive answers of [`Reader::width`] numbers each.
#[derive(Debug)]
pub(crate) enum Numbers<'o> {
    Single(Cow<'o, [f32]>),
    Double(&'o [f64]),
}

impl Reader {
    /// Selects the output by the declarations. Dynamic axes match anything.
    pub(super) fn new(outputs: &[Outlet], options: &ModelOptions) -> Result<Self, ModelError> {
        let labels = &options.labels;
        let (width, output, form, said) = match options.output.answer_shape() {
            AnswerShape::Label => {
                let width = labels.len();
                let maps = outputs
                    .iter()
                    .find_map(|output| keys(output.dtype()).map(|key| (output, key)));
                let tensor = choose_tensor(outputs, width, AnswerShape::Label);
                let (output, form) = match (tensor, maps) {
                    (Ok(output), _) => (output, Form::Tensor),
                    (Err(_), Some((output, key))) => (output, Form::Maps(Keys::of(key, labels))),
                    (Err(error), None) => return Err(error),
                };
                (width, output, form, Said::of(outputs, labels))
            }
            AnswerShape::Value => {
                let output = choose_tensor(outputs, 1, AnswerShape::Value)?;
                (1, output, Form::Tensor, None)
            }
        };
        Ok(Self {
            output: output.name().to_string(),
            form,
            meaning: options.output,
            width,
            said,
        })
    }

    /// The meaning of the numbers.
    pub(crate) fn meaning(&self) -> Output {
        self.meaning
    }

    /// Reads the answers for a batch of `batch` inputs; only the first `wanted` are used.
    pub(super) fn read<T>(
        &self,
        outputs: &SessionOutputs<'_>,
        batch: usize,
        wanted: usize,
        read: impl FnOnce(&Numbers<'_>) -> T,
    ) -> Result<T, ModelError> {
        let output = outputs
            .get(&self.output)
            .ok_or_else(|| ModelError::Runtime {
                reason: format!("output '{}' did not come", self.output),
            })?;
        let count = wanted.saturating_mul(self.width);
        let numbers = match (&self.form, output.dtype()) {
            (Form::Maps(keys), _) => Numbers::Single(self.maps(output, keys, batch)?.into()),
            (
                Form::Tensor,
                ValueType::Tensor {
                    ty: TensorElementType::Float64,
                    ..
                },
            ) => {
                let (shape, numbers) = output.try_extract_tensor::<f64>().map_err(runtime)?;
                self.check_shape(shape, batch)?;
                Numbers::Double(numbers.get(..count).unwrap_or(numbers))
            }
            (Form::Tensor, _) => {
                let (shape, numbers) = output.try_extract_tensor::<f32>().map_err(runtime)?;
                self.check_shape(shape, batch)?;
                Numbers::Single(numbers.get(..count).unwrap_or(numbers).into())
            }
        };
        Ok(read(&numbers))
    }

    fn check_shape(&self, found: &Shape, batch: usize) -> Result<(), ModelError> {
        let is = |axis: &i64, expected: usize| usize::try_from(*axis) == Ok(expected);
        let shape = self.meaning.answer_shape();
        match (shape, &found[..]) {
            (_, [rows, columns]) if is(rows, batch) && is(columns, self.width) => Ok(()),
            (_, [rows]) if is(rows, batch) && self.width == 1 => Ok(()),
            (AnswerShape::Label, [rows, columns]) if is(rows, batch) => {
                Err(ModelError::OutputColumns {
                    name: self.output.clone(),
                    columns: columns.to_string(),
                    labels: self.width,
                })
            }
            (AnswerShape::Label | AnswerShape::Value, _) => Err(ModelError::OutputShape {
                name: self.output.clone(),
                found: axes(found),
                batch,
                labels: self.width,
            }),
        }
    }

    /// The probabilities of each map, in the order of the labels.
    fn maps(&self, output: &DynValue, keys: &Keys, batch: usize) -> Result<Vec<f32>, ModelError> {
        let maps = output
            .try_extract_sequence::<DynMapValueType>()
            .map_err(runtime)?;
        let mut numbers = vec![0.0; batch.saturating_mul(self.width)];
        if maps.len() != batch {
            return Err(ModelError::OutputShape {
                name: self.output.clone(),
                found: format!("[{}]", maps.len()),
                batch,
                labels: self.width,
            });
        }
        for (map, row) in maps.iter().zip(numbers.chunks_exact_mut(self.width)) {
            match keys {
                Keys::Text(labels) => {
                    let map = map
                        .try_extract_key_values::<String, f32>()
                        .map_err(runtime)?;
                    let place = |key: &String| labels.get(key).copied();
                    self.fill(row, &map, place)?;
                }
                Keys::Number(labels) => {
                    let map = map.try_extract_key_values::<i64, f32>().map_err(runtime)?;
                    self.fill(row, &map, |key| labels.get(key).copied())?;
                }
                Keys::Rank => {
                    let mut map = map.try_extract_key_values::<i64, f32>().map_err(runtime)?;
                    map.sort_unstable_by_key(|(key, _)| *key);
                    let ranks: Vec<i64> = map.iter().map(|(key, _)| *key).collect();
                    self.fill(row, &map, |key| ranks.binary_search(key).ok())?;
                }
            }
        }
        Ok(numbers)
    }

    fn fill<K: std::fmt::Display>(
        &self,
        row: &mut [f32],
        map: &[(K, f32)],
        place: impl Fn(&K) -> Option<usize>,
    ) -> Result<(), ModelError> {
        let mut filled = 0;
        for (key, probability) in map {
            if let Some(number) = place(key).and_then(|place| row.get_mut(place)) {
                *number = *probability;
                filled += 1;
            }
        }
        if filled == self.width && map.len() == self.width {
            return Ok(());
        }
        let keys: Vec<_> = map.iter().map(|(key, _)| format!("'{key}'")).collect();
        Err(ModelError::MapKeys {
            name: self.output.clone(),
            keys: keys.join(", "),
            labels: self.width,
        })
    }

    /// Whether the model also outputs the class of its answers.
    pub(super) fn has_said(&self) -> bool {
        self.said.is_some()
    }

    /// Compares the model's own label for its first answer with the label whose probability is at
    /// least `sure_min`, if there is one.
    pub(super) fn check_label(
        &self,
        outputs: &SessionOutputs<'_>,
        batch: usize,
        sure_min: f32,
    ) -> Result<(), ModelError> {
        let answer = self.read(outputs, batch, 1, |numbers| self.outcomes(numbers))?;
        let first = answer.and_then(|outcomes| outcomes.into_iter().next());
        let (Some(said), Some(Outcome::Scores(scores))) = (&self.said, first) else {
            return Ok(());
        };
        let best = scores.best();
        let is_sure = scores
            .probabilities()
            .get(best)
            .is_some_and(|p| *p >= sure_min);
        let word = outputs.get(&said.output).and_then(first_word);
        match (word, said.labels.get(best)) {
            (Some(word), Some(label)) if is_sure && word != *label => {
                let label = label.clone();
                Err(ModelError::LabelOrder { said: word, label })
            }
            _ => Ok(()),
        }
    }

    /// One outcome per answer; `None` if a number is not finite.
    pub(crate) fn outcomes(&self, numbers: &Numbers<'_>) -> Option<Vec<Outcome>> {
        match numbers {
            Numbers::Single(numbers) => {
                let finite = numbers.iter().all(|number| number.is_finite());
                let rows = numbers.chunks_exact(self.width);
                finite.then(|| rows.map(|row| self.outcome(row)).collect())
            }
            Numbers::Double(numbers) => {
                let finite = numbers.iter().all(|number| number.is_finite());
                let rows = numbers.chunks_exact(self.width);
                let outcome = |row: &[f64]| match (self.meaning.answer_shape(), row) {
                    (AnswerShape::Value, [value]) => Outcome::Value(*value),
                    (AnswerShape::Value | AnswerShape::Label, _) => {
                        self.outcome(&row.iter().map(|n| *n as f32).collect::<Vec<_>>())
                    }
                };
                finite.then(|| rows.map(outcome).collect())
            }
        }
    }

    fn outcome(&self, row: &[f32]) -> Outcome {
        match (self.meaning, row) {
            (Output::Value, [value]) => Outcome::Value(f64::from(*value)),
            (Output::Logits, _) => Outcome::Scores(Scores::from_logits(row)),
            (Output::Softmax | Output::Value, _) => Outcome::Scores(Scores::new(row)),
        }
    }
}

impl Numbers<'_> {
    pub(super) fn to_vec(&self) -> Vec<f32> {
        match self {
            Self::Single(numbers) => numbers.to_vec(),
            Self::Double(numbers) => numbers.iter().map(|number| *number as f32).collect(),
        }
    }
}

impl Keys {
    fn of(key: TensorElementType, labels: &[String]) -> Self {
        let numbered = labels.iter().cloned().enumerate();
        if key == TensorElementType::String {
            return Self::Text(numbered.map(|(index, label)| (label, index)).collect());
        }
        let parsed = numbered.map(|(index, label)| Some((label.parse().ok()?, index)));
        match parsed.collect::<Option<HashMap<i64, usize>>>() {
            Some(numbers) if numbers.len() == labels.len() => Self::Number(numbers),
            _ => Self::Rank,
        }
    }
}

fn first_word(output: &DynValue) -> Option<String> {
    if let Ok((_, texts)) = output.try_extract_strings() {
        return texts.into_iter().next();
    }
    let (_, numbers) = output.try_extract_tensor::<i64>().ok()?;
    numbers.first().map(i64::to_string)
}

/// Type of the keys, if it is a sequence of maps from class to probability.
fn keys(kind: &ValueType) -> Option<TensorElementType> {
    let ValueType::Sequence(element) = kind else {
        return None;
    };
    match **element {
        ValueType::Map {
            key,
            value: TensorElementType::Float32,
        } => is_label(key).then_some(key),
        _ => None,
    }
}

fn is_label(kind: TensorElementType) -> bool {
    matches!(kind, TensorElementType::String | TensorElementType::Int64)
}

/// The first float output with the right number of columns.
fn choose_tensor(
    outputs: &[Outlet],
    width: usize,
    answers: AnswerShape,
) -> Result<&Outlet, ModelError> {
    let mut other_columns = None;
    for output in outputs {
        let ValueType::Tensor {
            ty: TensorElementType::Float32 | TensorElementType::Float64,
            shape,
            ..
        } = output.dtype()
        else {
            continue;
        };
        match (answers, &shape[..]) {
            // ONNX Runtime reports an unknown rank as no axes; the first run checks it.
            (_, []) | (AnswerShape::Value, [_]) => return Ok(output),
            (_, [_, columns]) if *columns < 0 => return Ok(output),
            (_, [_, columns]) if usize::try_from(*columns) == Ok(width) => return Ok(output),
            (_, [_, columns]) => other_columns = other_columns.or(Some((output, *columns))),
            (AnswerShape::Label | AnswerShape::Value, _) => {}
        }
    }
    let named = |output: &Outlet| format!("'{}': {}", output.name(), describe(output.dtype()));
    let outputs = outputs.iter().map(named).collect::<Vec<_>>().join(", ");
    Err(match (answers, other_columns) {
        (AnswerShape::Label, Some((output, columns))) => ModelError::OutputColumns {
            name: output.name().to_string(),
            columns: columns.to_string(),
            labels: width,
        },
        (AnswerShape::Label, None) => ModelError::OutputType { outputs },
        (AnswerShape::Value, _) => ModelError::ValueOutput { outputs },
    })
}
