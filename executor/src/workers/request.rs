//! Requests of a piece, and the outcomes in their answers.

use bytes::Bytes;
use predictsql_catalog::{Column, ColumnKind, ModelInput, ModelOptions, Output};

use crate::identity::InputId;
use crate::input::{ColumnValue, Outcome, Scores};
use crate::oip::inference::infer_parameter::ParameterChoice;
use crate::oip::inference::model_infer_request::InferInputTensor;
use crate::oip::inference::{InferParameter, ModelInferRequest, ModelInferResponse};
use crate::oip::{self, BytesWriter};
use crate::pieces::{Encoded, Piece};
use crate::spent::Stage;
use crate::storage::{self, Location, ObjectLocation};

/// About the most bytes of inputs in one request; one input alone may have more.
const REQUEST_BYTES: usize = 8 << 20;

/// A request, which may be sent several times.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) message: ModelInferRequest,
    /// Number of its inputs.
    pub(super) inputs: usize,
    /// Objects that the worker is to read.
    pub(super) objects: Vec<ObjectLocation>,
}

/// The next request of a piece. `None`: an input cannot be encoded.
pub(super) fn next(
    piece: &Piece,
    model: &str,
    options: &ModelOptions,
    caller: u64,
) -> Option<Request> {
    let mut message = ModelInferRequest {
        model_name: model.to_string(),
        ..ModelInferRequest::default()
    };
    let mut parameter = |name: &str, choice| {
        let parameter = InferParameter {
            parameter_choice: Some(choice),
        };
        message.parameters.insert(name.to_string(), parameter);
    };
    parameter(oip::CALLER, ParameterChoice::Uint64Param(caller));
    let mut objects = Vec::new();
    let inputs = match &options.input {
        ModelInput::Image(_) => {
            let (images, uris) = fitting(piece.encoded());
            if !uris.is_empty() && piece.is_identified() {
                parameter(oip::IDENTIFIED, ParameterChoice::BoolParam(true));
            }
            for uri in &uris {
                let Ok(Location::Object(object)) = storage::parse(uri) else {
                    return None;
                };
                objects.push(object);
            }
            let (name, taken) = match uris.is_empty() {
                true => (oip::IMAGE, images),
                false => (oip::URI, uris),
            };
            let raw = of_texts(taken.iter().copied())?;
            push(&mut message, name, "BYTES", taken.len(), raw);
            taken.len()
        }
        ModelInput::Columns { columns } => {
            let rows: Vec<&[ColumnValue]> = piece.column_rows().collect();
            push_columns(&mut message, columns, &rows)?;
            rows.len()
        }
    };
    Some(Request {
        message,
        inputs,
        objects,
    })
}

/// Adds one input a column. `None`: a value is not of its column's type.
fn push_columns<'r>(
    message: &mut ModelInferRequest,
    columns: &[Column],
    rows: &[&'r [ColumnValue]],
) -> Option<()> {
    for (index, column) in columns.iter().enumerate() {
        let values = rows.iter().filter_map(|row| row.get(index));
        let (datatype, raw) = match column.kind {
            ColumnKind::Double => {
                let number = |value: &ColumnValue| match value {
                    ColumnValue::Number(number) => Some(*number),
                    _ => None,
                };
                let numbers: Option<Vec<f64>> = values.map(number).collect();
                ("FP64", oip::of_doubles(&numbers?))
            }
            ColumnKind::Varchar => {
                let text = |value: &'r ColumnValue| match value {
                    ColumnValue::Text(text) => Some(text),
                    _ => None,
                };
                let texts: Option<Vec<&Bytes>> = values.map(text).collect();
                ("BYTES", of_texts(texts?.into_iter())?)
            }
        };
        push(message, &column.name, datatype, rows.len(), raw);
    }
    Some(())
}

/// The first images, as many as fit into a request, at least one: all of them encoded, or all of
/// them URIs.
fn fitting<'i>(images: impl Iterator<Item = &'i Encoded>) -> (Vec<&'i Bytes>, Vec<&'i Bytes>) {
    let mut total = 0_usize;
    let (mut encoded, mut uris) = (Vec::new(), Vec::new());
    for image in images {
        let (image, taken, others) = match image {
            Encoded::Image { bytes, .. } => (bytes, &mut encoded, &uris),
            Encoded::Object(uri) => (uri, &mut uris, &encoded),
        };
        total = total.saturating_add(image.len());
        if !others.is_empty() || (!taken.is_empty() && total > REQUEST_BYTES) {
            break;
        }
        taken.push(image);
    }
    (encoded, uris)
}

fn of_texts<'t>(texts: impl Iterator<Item = &'t Bytes> + Clone) -> Option<Bytes> {
    let lengths = texts.clone().map(|text| text.len() + size_of::<u32>());
    let mut writer = BytesWriter::with_capacity(lengths.sum());
    for text in texts {
        writer.push(text)?;
    }
    Some(writer.finish())
}

fn push(request: &mut ModelInferRequest, name: &str, datatype: &str, rows: usize, raw: Bytes) {
    request.inputs.push(InferInputTensor {
        name: name.to_string(),
        datatype: datatype.to_string(),
        shape: vec![i64::try_from(rows).unwrap_or(i64::MAX)],
        ..InferInputTensor::default()
    });
    request.raw_input_contents.push(raw);
}

/// The outcomes of a request of `inputs` inputs; the error is a clause.
pub(super) fn outcomes(
    response: &ModelInferResponse,
    options: &ModelOptions,
    inputs: usize,
) -> Result<Vec<Outcome>, String> {
    let errors = output(response, oip::ERROR, "BYTES")?;
    let errors = oip::bytes(errors, inputs).map_err(|error| error.to_string())?;
    let answers: Vec<Outcome> = match options.output {
        Output::Value => {
            let values = output(response, oip::VALUE, "FP64")?;
            let values = oip::doubles(values, inputs).map_err(|error| error.to_string())?;
            values.into_iter().map(Outcome::Value).collect()
        }
        Output::Logits | Output::Softmax => {
            let labels = options.labels.len().max(1);
            let scores = output(response, oip::SCORES, "FP32")?;
            let scores = oip::singles(scores, inputs.saturating_mul(labels));
            let scores = scores.map_err(|error| error.to_string())?;
            let of_input = |scores: &[f32]| Outcome::Scores(Scores::new(scores));
            scores.chunks_exact(labels).map(of_input).collect()
        }
    };
    let outcome = |(answer, error): (Outcome, Bytes)| match error.is_empty() {
        true => answer,
        false => Outcome::Unreadable(String::from_utf8_lossy(&error).into_owned()),
    };
    Ok(answers.into_iter().zip(errors).map(outcome).collect())
}

/// The identities of a request's inputs, if the worker tells them; the error is a clause.
pub(super) fn identities(
    response: &ModelInferResponse,
    inputs: usize,
) -> Result<Vec<Option<InputId>>, String> {
    let ids = output(response, oip::IDENTITY, "BYTES")?;
    let ids = oip::bytes(ids, inputs).map_err(|error| error.to_string())?;
    let id = |id: Bytes| <[u8; 16]>::try_from(&id[..]).ok().map(InputId::from_bytes);
    Ok(ids.into_iter().map(id).collect())
}

/// Raw contents of the output of this name and type.
fn output<'r>(
    response: &'r ModelInferResponse,
    name: &str,
    datatype: &str,
) -> Result<&'r Bytes, String> {
    let outputs = response.outputs.iter().zip(&response.raw_output_contents);
    let mut of_name = outputs.filter(|(tensor, _)| tensor.name == name);
    match of_name.next() {
        Some((tensor, raw)) if tensor.datatype == datatype => Ok(raw),
        Some((tensor, _)) => Err(format!(
            "its output '{name}' is of type '{}', not {datatype}",
            tensor.datatype
        )),
        None => Err(format!("it gave no output '{name}'")),
    }
}

/// Adds the time that a worker took to the account of a piece.
pub(super) fn count_time(piece: &Piece, response: &ModelInferResponse) {
    let times = [
        (Stage::Fetching, oip::FETCHING_NS),
        (Stage::Preparing, oip::PREPARING_NS),
        (Stage::Inferring, oip::INFERRING_NS),
    ];
    for (stage, name) in times {
        let choice = response.parameters.get(name);
        let choice = choice.and_then(|parameter| parameter.parameter_choice.as_ref());
        if let Some(ParameterChoice::Int64Param(ns)) = choice {
            piece.reply.spent(stage, u64::try_from(*ns).unwrap_or(0));
        }
    }
}
