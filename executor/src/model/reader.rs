//! Reads a model's answers from its output: a tensor, or the maps produced by scikit-learn's
//! converters.

use std::borrow::Cow;
use std::collections::HashMap;

use half::f16;
use ort::session::SessionOutputs;
use ort::value::{DynMapValueType, DynValue, TensorElementType, ValueType};
use predictsql_catalog::{AnswerShape, ModelOptions, Output};

use super::choice::{self, Columns, Declared};
use super::outlets::{Outlet, axes};
use super::received::{Received, ReceivedContent};
use super::runtime_error::runtime;
use crate::{ModelError, Outcome, Scores};

/// Warning clause for an answer of NaN or infinity.
const NOT_FINITE: &str =
    "has no answer, since the model's output for it is not finite (NaN or infinity)";

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
    /// Whether the output is a tensor of float16.
    half: bool,
    /// The second of two labels, if there are two.
    second: Option<String>,
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
    /// [batch, width], perhaps with further axes of size 1, or [batch] of one number each.
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

/// Consecutive answers of some numbers each.
#[derive(Debug)]
pub(crate) struct Numbers<'o> {
    /// Numbers of an answer: one per label, the value, or one for two labels.
    columns: usize,
    values: Values<'o>,
}

#[derive(Debug)]
enum Values<'o> {
    Single(Cow<'o, [f32]>),
    Double(&'o [f64]),
}

impl Reader {
    /// Selects the output by the declarations. Dynamic axes match anything.
    pub(super) fn new(
        outputs: &[Outlet],
        options: &ModelOptions,
        batch_fixed: Option<usize>,
    ) -> Result<Self, ModelError> {
        let labels = &options.labels;
        let meaning = options.output;
        let declared: Vec<Declared<'_>> = outputs.iter().map(Declared::of).collect();
        let asked = options.output_name.as_deref();
        let asked = asked
            .map(|name| choice::named(&declared, name))
            .transpose()?;
        let among = match asked {
            Some(at) => at..at.saturating_add(1),
            None => 0..declared.len(),
        };
        let some = declared.get(among.clone()).unwrap_or_default();
        let (width, has_labels) = match meaning.answer_shape() {
            AnswerShape::Label => (labels.len(), true),
            AnswerShape::Value => (1, false),
        };
        let maps = outputs.get(among.clone()).unwrap_or_default().iter();
        let maps = maps
            .filter_map(|output| keys(output.dtype()).map(|key| (output, key)))
            .next();
        let (name, form) = match (
            choice::tensor(some, (width, meaning), batch_fixed),
            has_labels,
        ) {
            (Ok(index), _) => {
                let output = outputs.get(among.start.saturating_add(index));
                (output.map_or("", Outlet::name), Form::Tensor)
            }
            (Err(error), false) => return Err(error),
            (Err(error), true) => match (maps, &error) {
                (_, ModelError::AmbiguousOutput { .. }) | (None, _) => return Err(error),
                (Some((output, key)), _) => (output.name(), Form::Maps(Keys::of(key, labels))),
            },
        };
        let half = outputs.iter().any(|output| {
            let ValueType::Tensor { ty, .. } = output.dtype() else {
                return false;
            };
            output.name() == name && *ty == TensorElementType::Float16
        });
        let second = match &labels[..] {
            [_, second] => Some(second.clone()),
            _ => None,
        };
        Ok(Self {
            half,
            second,
            output: name.to_string(),
            form,
            meaning,
            width,
            said: has_labels.then(|| Said::of(outputs, labels)).flatten(),
        })
    }

    /// Names of the outputs that are read: the answers, and the model's own labels if it has any.
    pub(crate) fn output_names(&self) -> impl Iterator<Item = &str> {
        let said = self.said.as_ref().map(|said| said.output.as_str());
        std::iter::once(self.output.as_str()).chain(said)
    }

    /// Whether the output is rounded to float16.
    pub(super) fn is_half(&self) -> bool {
        self.half
    }

    /// The second of two labels.
    pub(super) fn second_of_two(&self) -> Option<&str> {
        self.second.as_deref()
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
        let (columns, values) = match (&self.form, output.dtype()) {
            (Form::Maps(keys), _) => {
                let numbers = self.maps(output, keys, batch)?;
                (self.width, Values::Single(numbers.into()))
            }
            (Form::Tensor, ValueType::Tensor { ty, .. }) => self.tensor(output, *ty, batch)?,
            (Form::Tensor, _) => {
                return Err(ModelError::Runtime {
                    reason: format!("output '{}' is no tensor", self.output),
                });
            }
        };
        Ok(read(&Numbers::first(columns, values, wanted)))
    }

    /// Like [`Reader::read`], from the outputs of a server. The number of elements of each must be
    /// that of its shape.
    pub(crate) fn read_received<T>(
        &self,
        outputs: &[Received],
        batch: usize,
        wanted: usize,
        read: impl FnOnce(&Numbers<'_>) -> T,
    ) -> Result<T, ModelError> {
        let found = outputs.iter().find(|output| output.name == self.output);
        let runtime = |what| ModelError::Runtime {
            reason: format!("output '{}' {what}", self.output),
        };
        let output = found.ok_or_else(|| runtime("did not come"))?;
        let values = match &output.content {
            ReceivedContent::Single(numbers) => Values::Single(numbers.into()),
            ReceivedContent::Double(numbers) => Values::Double(numbers),
            ReceivedContent::Words(_) => return Err(runtime("is no tensor of floats")),
        };
        let columns = self.check_shape(&output.shape, batch)?;
        Ok(read(&Numbers::first(columns, values, wanted)))
    }

    /// The numbers of a tensor, and how many there are for each input.
    fn tensor<'o>(
        &self,
        output: &'o DynValue,
        ty: TensorElementType,
        batch: usize,
    ) -> Result<(usize, Values<'o>), ModelError> {
        Ok(match ty {
            TensorElementType::Float64 => {
                let (shape, numbers) = output.try_extract_tensor::<f64>().map_err(runtime)?;
                (self.check_shape(shape, batch)?, Values::Double(numbers))
            }
            TensorElementType::Float16 => {
                let (shape, numbers) = output.try_extract_tensor::<f16>().map_err(runtime)?;
                let columns = self.check_shape(shape, batch)?;
                let numbers: Vec<f32> = numbers.iter().map(|number| number.to_f32()).collect();
                (columns, Values::Single(numbers.into()))
            }
            _ => {
                let (shape, numbers) = output.try_extract_tensor::<f32>().map_err(runtime)?;
                let columns = self.check_shape(shape, batch)?;
                (columns, Values::Single(numbers.into()))
            }
        })
    }

    /// Numbers for each input, by the shape of a run's output.
    fn check_shape(&self, found: &[i64], batch: usize) -> Result<usize, ModelError> {
        match choice::columns(found, batch, self.width) {
            Some(Columns::Each) => return Ok(self.width),
            Some(Columns::OneForTwo) => return Ok(1),
            None => {}
        }
        match (self.meaning.answer_shape(), found) {
            (AnswerShape::Label, [rows, columns]) if usize::try_from(*rows) == Ok(batch) => {
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
        let first = answer.into_iter().next();
        let said = self.said.as_ref();
        let word = said.and_then(|said| outputs.get(&said.output).and_then(first_word));
        self.compare_label(first.as_ref(), word, sure_min)
    }

    /// Like [`Reader::check_label`], from the outputs of a server.
    pub(crate) fn check_received_label(
        &self,
        outputs: &[Received],
        batch: usize,
        sure_min: f32,
    ) -> Result<(), ModelError> {
        let answer = self.read_received(outputs, batch, 1, |numbers| self.outcomes(numbers))?;
        let said = self.said.as_ref();
        let said = said.and_then(|said| outputs.iter().find(|output| output.name == said.output));
        let word = said.and_then(|output| match &output.content {
            ReceivedContent::Words(first) => first.clone(),
            _ => None,
        });
        self.compare_label(answer.first(), word, sure_min)
    }

    fn compare_label(
        &self,
        first: Option<&Outcome>,
        word: Option<String>,
        sure_min: f32,
    ) -> Result<(), ModelError> {
        let (Some(said), Some(Outcome::Scores(scores))) = (&self.said, first) else {
            return Ok(());
        };
        let best = scores.best();
        let is_sure = scores
            .probabilities()
            .get(best)
            .is_some_and(|p| *p >= sure_min);
        match (word, said.labels.get(best)) {
            (Some(word), Some(label)) if is_sure && word != *label => {
                let label = label.clone();
                Err(ModelError::LabelOrder { said: word, label })
            }
            _ => Ok(()),
        }
    }

    /// One outcome per answer. An answer that is not finite is [`Outcome::Unreadable`].
    pub(crate) fn outcomes(&self, numbers: &Numbers<'_>) -> Vec<Outcome> {
        let columns = numbers.columns.max(1);
        match &numbers.values {
            Values::Single(numbers) => {
                let rows = numbers.chunks_exact(columns);
                rows.map(|row| self.outcome(row)).collect()
            }
            Values::Double(numbers) => {
                let outcome = |row: &[f64]| match (self.meaning, row) {
                    (Output::Value, [value]) if value.is_finite() => Outcome::Value(*value),
                    _ => self.outcome(&row.iter().map(|n| *n as f32).collect::<Vec<_>>()),
                };
                numbers.chunks_exact(columns).map(outcome).collect()
            }
        }
    }

    fn outcome(&self, row: &[f32]) -> Outcome {
        if !row.iter().all(|number| number.is_finite()) {
            return Outcome::Unreadable(NOT_FINITE.to_string());
        }
        match (self.meaning, row) {
            (Output::Value, [value]) => Outcome::Value(f64::from(*value)),
            // One number for two labels is that of the second.
            (Output::Logits, [one]) if self.width == 2 => {
                Outcome::Scores(Scores::from_logits(&[0.0, *one]))
            }
            (Output::Softmax, [one]) if self.width == 2 => {
                Outcome::Scores(Scores::new([1.0 - one, *one]))
            }
            (Output::Logits, _) => Outcome::Scores(Scores::from_logits(row)),
            (Output::Softmax | Output::Value, _) => Outcome::Scores(Scores::new(row)),
        }
    }
}

impl<'o> Values<'o> {
    /// The first `count` numbers.
    fn first(self, count: usize) -> Self {
        match self {
            Self::Single(Cow::Borrowed(numbers)) => {
                Self::Single(numbers.get(..count).unwrap_or(numbers).into())
            }
            Self::Single(Cow::Owned(mut numbers)) => {
                numbers.truncate(count);
                Self::Single(numbers.into())
            }
            Self::Double(numbers) => Self::Double(numbers.get(..count).unwrap_or(numbers)),
        }
    }
}

impl<'o> Numbers<'o> {
    /// The first `wanted` answers of `columns` numbers each.
    fn first(columns: usize, values: Values<'o>, wanted: usize) -> Self {
        Self {
            columns,
            values: values.first(wanted.saturating_mul(columns)),
        }
    }

    /// The numbers of each answer.
    pub(super) fn to_rows(&self) -> Vec<Vec<f32>> {
        let columns = self.columns.max(1);
        match &self.values {
            Values::Single(numbers) => numbers.chunks_exact(columns).map(<[f32]>::to_vec).collect(),
            Values::Double(numbers) => {
                let single = |row: &[f64]| row.iter().map(|number| *number as f32).collect();
                numbers.chunks_exact(columns).map(single).collect()
            }
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
