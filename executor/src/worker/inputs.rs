//! The inputs of a `ModelInfer` request, and its outcomes as tensors.

use std::collections::HashMap;

use bytes::Bytes;
use predictsql_catalog::{Column, ColumnKind, ImageOptions, Layout, Model, ModelInput, Output};
use tonic::Status;

use crate::identity::InputId;
use crate::input::{ColumnValue, Input, Outcome};
use crate::oip::inference::model_infer_request::InferInputTensor;
use crate::oip::inference::model_infer_response::InferOutputTensor;
use crate::oip::inference::{InferParameter, ModelInferRequest, infer_parameter};
use crate::oip::{self, BytesWriter};
use crate::spent::StageSeconds;

/// An input tensor with its raw contents.
type Raw<'r> = (&'r InferInputTensor, &'r Bytes);

/// What a request asks to be predicted.
#[derive(Debug)]
pub(super) enum Asked {
    Inputs(Vec<Input>),
    /// Images that are prepared already: how many, and their numbers.
    Tensor(usize, Vec<f32>),
}

impl Asked {
    /// Number of inputs.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Inputs(inputs) => inputs.len(),
            Self::Tensor(images, _) => *images,
        }
    }
}

/// The inputs of a request for a model.
pub(super) fn of_request(model: &Model, request: &ModelInferRequest) -> Result<Asked, Status> {
    if request.inputs.len() != request.raw_input_contents.len() {
        return Err(Status::invalid_argument(
            "each input needs an element of raw_input_contents",
        ));
    }
    let tensors: Vec<Raw<'_>> = request
        .inputs
        .iter()
        .zip(&request.raw_input_contents)
        .collect();
    match &model.options.input {
        ModelInput::Image(image) => of_images(axes_of(image), &tensors),
        ModelInput::Columns { columns } => of_columns(columns, &tensors).map(Asked::Inputs),
    }
}

fn of_images(axes: [i64; 3], tensors: &[Raw<'_>]) -> Result<Asked, Status> {
    let [(tensor, raw)] = tensors else {
        return Err(Status::invalid_argument(format!(
            "the model takes one input, '{}', '{}' or '{}'",
            oip::IMAGE,
            oip::URI,
            oip::TENSOR
        )));
    };
    let input = match tensor.name.as_str() {
        oip::IMAGE => Input::Image,
        oip::URI => Input::Location,
        oip::TENSOR => return of_tensor(axes, tensor, raw),
        name => {
            return Err(Status::invalid_argument(format!(
                "the model has no input '{name}', but '{}', '{}' and '{}'",
                oip::IMAGE,
                oip::URI,
                oip::TENSOR
            )));
        }
    };
    let inputs = elements(tensor, raw)?.into_iter().map(input);
    Ok(Asked::Inputs(inputs.collect()))
}

/// Images that are prepared already.
fn of_tensor(expected: [i64; 3], tensor: &InferInputTensor, raw: &Bytes) -> Result<Asked, Status> {
    check_type(tensor, "FP32")?;
    if !matches!(&tensor.shape[..], [_, axes @ ..] if *axes == expected) {
        let [first, second, third] = expected;
        return Err(Status::invalid_argument(format!(
            "input '{}' is of shape [n, {first}, {second}, {third}], not {:?}",
            tensor.name, tensor.shape
        )));
    }
    let axes = tensor.shape.iter().map(|axis| usize::try_from(*axis).ok());
    let axes: Option<Vec<usize>> = axes.collect();
    let numbers = axes.as_ref().and_then(|axes| {
        let mut axes = axes.iter();
        axes.try_fold(1_usize, |product, axis| product.checked_mul(*axis))
    });
    let (Some([images, ..]), Some(numbers)) = (axes.as_deref(), numbers) else {
        let shape = &tensor.shape;
        return Err(Status::invalid_argument(format!(
            "input '{}' has no shape {shape:?}",
            tensor.name
        )));
    };
    let numbers = oip::singles(raw, numbers).map_err(|error| malformed(tensor, error))?;
    Ok(Asked::Tensor(*images, numbers))
}

/// Axes of an image in the layout of its model.
fn axes_of(image: &ImageOptions) -> [i64; 3] {
    let channels = u32::from(image.channels);
    let (height, width) = (image.height, image.width);
    let axes = match image.layout {
        Layout::Nchw => [channels, height, width],
        Layout::Nhwc => [height, width, channels],
    };
    axes.map(i64::from)
}

fn check_type(tensor: &InferInputTensor, datatype: &str) -> Result<(), Status> {
    if tensor.datatype != datatype {
        let (name, found) = (&tensor.name, &tensor.datatype);
        return Err(Status::invalid_argument(format!(
            "input '{name}' is of type {datatype}, not '{found}'"
        )));
    }
    Ok(())
}

fn of_columns(columns: &[Column], tensors: &[Raw<'_>]) -> Result<Vec<Input>, Status> {
    if let Some((tensor, _)) = tensors
        .iter()
        .find(|(tensor, _)| !columns.iter().any(|column| column.name == tensor.name))
    {
        let name = &tensor.name;
        return Err(Status::invalid_argument(format!(
            "the model has no input '{name}'"
        )));
    }
    let mut by_column = Vec::with_capacity(columns.len());
    for column in columns {
        let mut found = tensors.iter().filter(|(t, _)| t.name == column.name);
        let (Some((tensor, raw)), None) = (found.next(), found.next()) else {
            let name = &column.name;
            return Err(Status::invalid_argument(format!(
                "the model takes one input '{name}'"
            )));
        };
        by_column.push(values(column, tensor, raw)?);
    }
    let rows = by_column.first().map_or(0, Vec::len);
    if by_column.iter().any(|values| values.len() != rows) {
        return Err(Status::invalid_argument(
            "the inputs have different numbers of rows",
        ));
    }
    let mut by_column: Vec<_> = by_column.into_iter().map(Vec::into_iter).collect();
    let row = |_| {
        let row = by_column.iter_mut().filter_map(Iterator::next);
        Input::Columns(row.collect())
    };
    Ok((0..rows).map(row).collect())
}

/// The values of a column.
fn values(
    column: &Column,
    tensor: &InferInputTensor,
    raw: &Bytes,
) -> Result<Vec<ColumnValue>, Status> {
    match column.kind {
        ColumnKind::Varchar => {
            let texts = elements(tensor, raw)?.into_iter();
            Ok(texts.map(ColumnValue::Text).collect())
        }
        ColumnKind::Double => {
            let numbers = oip::doubles(raw, count(tensor, "FP64")?);
            let numbers = numbers.map_err(|error| malformed(tensor, error))?;
            Ok(numbers.into_iter().map(ColumnValue::Number).collect())
        }
    }
}

/// The elements of a tensor of BYTES.
fn elements(tensor: &InferInputTensor, raw: &Bytes) -> Result<Vec<Bytes>, Status> {
    oip::bytes(raw, count(tensor, "BYTES")?).map_err(|error| malformed(tensor, error))
}

fn malformed(tensor: &InferInputTensor, error: oip::Malformed) -> Status {
    Status::invalid_argument(format!("input '{}': {error}", tensor.name))
}

/// Number of elements of a tensor `[n]` or `[n, 1]` of this type.
fn count(tensor: &InferInputTensor, datatype: &str) -> Result<usize, Status> {
    let (name, shape) = (&tensor.name, &tensor.shape);
    check_type(tensor, datatype)?;
    let ([rows] | [rows, 1]) = &shape[..] else {
        return Err(Status::invalid_argument(format!(
            "input '{name}' is of shape [n] or [n, 1], not {shape:?}"
        )));
    };
    let wrong = |_| Status::invalid_argument(format!("input '{name}' has no shape {shape:?}"));
    usize::try_from(*rows).map_err(wrong)
}

/// Output tensors, each with its raw contents.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) tensors: Vec<InferOutputTensor>,
    pub(super) raw: Vec<Bytes>,
}

impl Outputs {
    /// The outcomes of a model.
    pub(super) fn of_outcomes(model: &Model, outcomes: &[Outcome]) -> Self {
        let mut outputs = Self::default();
        let rows = outcomes.len();
        match model.options.output {
            Output::Value => {
                let value = |outcome: &Outcome| match outcome {
                    Outcome::Value(value) => *value,
                    _ => f64::NAN,
                };
                let values: Vec<f64> = outcomes.iter().map(value).collect();
                outputs.push(oip::VALUE, "FP64", &[rows], oip::of_doubles(&values));
            }
            Output::Logits | Output::Softmax => {
                let labels = model.options.labels.len();
                let mut scores = Vec::with_capacity(rows.saturating_mul(labels));
                for outcome in outcomes {
                    match outcome {
                        Outcome::Scores(of_input) if of_input.probabilities().len() == labels => {
                            scores.extend_from_slice(of_input.probabilities());
                        }
                        _ => scores.extend(std::iter::repeat_n(f32::NAN, labels)),
                    }
                }
                let raw = oip::of_singles(&scores);
                outputs.push(oip::SCORES, "FP32", &[rows, labels], raw);
            }
        }
        let error = |outcome: &Outcome| match outcome {
            Outcome::Unreadable(reason) => reason.clone(),
            Outcome::Null => "is NULL".to_string(),
            Outcome::Scores(_) | Outcome::Value(_) => String::new(),
        };
        outputs.push_bytes(oip::ERROR, outcomes.iter().map(error));
        outputs
    }

    /// Adds the identities of the inputs.
    pub(super) fn identities(&mut self, ids: &[Option<InputId>]) {
        let id = |id: &Option<InputId>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        self.push_bytes(oip::IDENTITY, ids.iter().map(id));
    }

    fn push_bytes(&mut self, name: &str, elements: impl ExactSizeIterator<Item: AsRef<[u8]>>) {
        let rows = elements.len();
        let mut writer = BytesWriter::default();
        for element in elements {
            // Reasons and identities are short.
            if writer.push(element.as_ref()).is_none() {
                let _ = writer.push(&[]);
            }
        }
        self.push(name, "BYTES", &[rows], writer.finish());
    }

    fn push(&mut self, name: &str, datatype: &str, shape: &[usize], raw: Bytes) {
        let axis = |axis: &usize| i64::try_from(*axis).unwrap_or(i64::MAX);
        self.tensors.push(InferOutputTensor {
            name: name.to_string(),
            datatype: datatype.to_string(),
            shape: shape.iter().map(axis).collect(),
            ..InferOutputTensor::default()
        });
        self.raw.push(raw);
    }
}

/// The number of the caller, if the request has one.
pub(super) fn caller(request: &ModelInferRequest) -> Option<u64> {
    match *request
        .parameters
        .get(oip::CALLER)?
        .parameter_choice
        .as_ref()?
    {
        infer_parameter::ParameterChoice::Uint64Param(caller) => Some(caller),
        _ => None,
    }
}

/// Whether identities are asked for.
pub(super) fn is_identified(request: &ModelInferRequest) -> bool {
    let parameter = request.parameters.get(oip::IDENTIFIED);
    matches!(
        parameter.and_then(|parameter| parameter.parameter_choice.as_ref()),
        Some(infer_parameter::ParameterChoice::BoolParam(true))
    )
}

/// Time by stage, as parameters of a response.
pub(super) fn times(spent: StageSeconds) -> HashMap<String, InferParameter> {
    let times = [
        (oip::FETCHING_NS, spent.fetching),
        (oip::PREPARING_NS, spent.preparing),
        (oip::INFERRING_NS, spent.inferring),
    ];
    let parameter = |(name, seconds): (&str, f64)| {
        let ns = infer_parameter::ParameterChoice::Int64Param((seconds * 1e9) as i64);
        let parameter = InferParameter {
            parameter_choice: Some(ns),
        };
        (name.to_string(), parameter)
    };
    times.map(parameter).into()
}

/// Inputs and outputs of a model, for its metadata: name, type and shape.
pub(super) fn described(model: &Model) -> (Vec<Described>, Vec<Described>) {
    let rows = |name: &str, datatype: &'static str| (name.to_string(), datatype, vec![-1]);
    let inputs = match &model.options.input {
        ModelInput::Image(image) => {
            let axes = axes_of(image);
            vec![
                rows(oip::IMAGE, "BYTES"),
                rows(oip::URI, "BYTES"),
                (oip::TENSOR.to_string(), "FP32", [&[-1], &axes[..]].concat()),
            ]
        }
        ModelInput::Columns { columns } => {
            let input = |column: &Column| match column.kind {
                ColumnKind::Double => rows(&column.name, "FP64"),
                ColumnKind::Varchar => rows(&column.name, "BYTES"),
            };
            columns.iter().map(input).collect()
        }
    };
    let answer = match model.options.output {
        Output::Value => rows(oip::VALUE, "FP64"),
        Output::Logits | Output::Softmax => {
            let labels = i64::try_from(model.options.labels.len()).unwrap_or(i64::MAX);
            (oip::SCORES.to_string(), "FP32", vec![-1, labels])
        }
    };
    (inputs, vec![answer, rows(oip::ERROR, "BYTES")])
}

/// Name, type and shape of a tensor.
pub(super) type Described = (String, &'static str, Vec<i64>);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(tensors: &[(&str, &str, Vec<i64>, Vec<u8>)]) -> ModelInferRequest {
        let mut request = ModelInferRequest::default();
        for (name, datatype, shape, raw) in tensors {
            request.inputs.push(InferInputTensor {
                name: (*name).to_string(),
                datatype: (*datatype).to_string(),
                shape: shape.clone(),
                ..InferInputTensor::default()
            });
            request.raw_input_contents.push(Bytes::from(raw.clone()));
        }
        request
    }

    fn read(tensors: &[(&str, &str, Vec<i64>, Vec<u8>)]) -> Result<Vec<Input>, String> {
        let request = request(tensors);
        let pairs: Vec<Raw<'_>> = request
            .inputs
            .iter()
            .zip(&request.raw_input_contents)
            .collect();
        match of_images([1, 8, 8], &pairs) {
            Ok(Asked::Inputs(inputs)) => Ok(inputs),
            Ok(Asked::Tensor(..)) => Err("a tensor".to_string()),
            Err(status) => Err(status.message().to_string()),
        }
    }

    #[test]
    fn images_are_read_or_refused_with_what_is_wrong() {
        let raw = vec![2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0];
        let images = read(&[("image", "BYTES", vec![2], raw.clone())]).unwrap();
        let expected = [Bytes::from_static(b"ab"), Bytes::new()].map(Input::Image);
        assert_eq!(images, expected);
        for (name, datatype, shape, said) in [
            ("picture", "BYTES", vec![2], "no input 'picture'"),
            ("image", "UINT8", vec![2], "of type BYTES"),
            ("image", "BYTES", vec![2, 2], "of shape [n] or [n, 1]"),
            ("image", "BYTES", vec![-1], "no shape [-1]"),
            ("image", "BYTES", vec![3], "do not have 3 elements"),
            ("image", "BYTES", vec![i64::MAX], "do not have"),
        ] {
            let error = read(&[(name, datatype, shape, raw.clone())]).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
