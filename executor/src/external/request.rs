//! Requests of ModelInfer: inputs as tensors in the types of a model.

use bytes::{BufMut, Bytes, BytesMut};
use half::f16;

use super::model_uri::ModelUri;
use crate::ColumnValue;
use crate::model::{Batch, ColumnInput, ColumnValues, Contract, Element, Feed};
use crate::oip::inference::ModelInferRequest;
use crate::oip::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use crate::oip::{self, BytesWriter};

/// A request, and its size.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) message: ModelInferRequest,
    /// Number of its inputs: the fixed batch size of the model, if it has one.
    pub(super) size: usize,
    /// How many of them are used.
    pub(super) wanted: usize,
}

/// A request for a batch. `names` are those of the model's inputs. `None`: it is of another kind,
/// or has more inputs than the model takes, or a text that is too long.
pub(super) fn of_batch(
    uri: &ModelUri,
    contract: &Contract,
    names: &[String],
    batch: Batch<'_>,
) -> Option<Prepared> {
    let outputs = contract.reader.output_names();
    let mut message = ModelInferRequest {
        model_name: uri.model.clone(),
        model_version: uri.version.clone(),
        outputs: outputs.map(requested).collect(),
        ..ModelInferRequest::default()
    };
    let (size, wanted) = match (&contract.feed, batch) {
        (Feed::Image(spec), Batch::Images(numbers)) => {
            let image_len = spec.image_len().max(1);
            let wanted = numbers.len() / image_len;
            let size = contract.batch_fixed.unwrap_or(wanted);
            let padding = size.checked_sub(wanted)?;
            let last = numbers.rchunks(image_len).next().unwrap_or_default();
            let raw = pixels(contract.element, numbers, (padding, last));
            let shape = spec.shape(size);
            push(
                &mut message,
                names.first()?,
                contract.element.datatype(),
                &shape,
                raw,
            );
            (size, wanted)
        }
        (Feed::Columns(spec), Batch::Rows(rows)) => {
            let size = contract.batch_fixed.unwrap_or(rows.len());
            size.checked_sub(rows.len())?;
            let last = rows.last().copied().unwrap_or_default();
            let padded = rows.iter().copied().chain(std::iter::repeat(last));
            let padded: Vec<&[ColumnValue]> = padded.take(size).collect();
            for (input, name) in spec.inputs(&padded).iter().zip(names) {
                let (datatype, raw) = values(input)?;
                push(&mut message, name, datatype, &input.shape, raw);
            }
            (size, rows.len())
        }
        _ => return None,
    };
    Some(Prepared {
        message,
        size,
        wanted,
    })
}

impl Element {
    /// Its name in the protocol.
    fn datatype(self) -> &'static str {
        match self {
            Self::Single => "FP32",
            Self::Half => "FP16",
            Self::Byte => "UINT8",
        }
    }
}

/// Images in the type of the model, and so many times the last one.
fn pixels(element: Element, numbers: &[f32], (padding, last): (usize, &[f32])) -> Bytes {
    let all = numbers
        .iter()
        .chain((0..padding).flat_map(|_| last))
        .copied();
    let count = last
        .len()
        .saturating_mul(padding)
        .saturating_add(numbers.len());
    match element {
        Element::Single if padding == 0 => oip::of_singles(numbers),
        Element::Single => {
            let mut raw = BytesMut::with_capacity(count.saturating_mul(size_of::<f32>()));
            all.for_each(|number| raw.put_f32_le(number));
            raw.freeze()
        }
        Element::Half => {
            let mut raw = BytesMut::with_capacity(count.saturating_mul(size_of::<f16>()));
            all.for_each(|number| raw.put_u16_le(f16::from_f32(number).to_bits()));
            raw.freeze()
        }
        // Out of range saturates.
        Element::Byte => all
            .map(|number| number.round() as u8)
            .collect::<Vec<u8>>()
            .into(),
    }
}

/// Type and contents of columns. `None`: a text is too long.
fn values(input: &ColumnInput) -> Option<(&'static str, Bytes)> {
    Some(match &input.values {
        ColumnValues::Single(numbers) => ("FP32", oip::of_singles(numbers)),
        ColumnValues::Double(numbers) => ("FP64", oip::of_doubles(numbers)),
        ColumnValues::Whole(numbers) => {
            let mut raw = BytesMut::with_capacity(size_of_val(&numbers[..]));
            numbers.iter().for_each(|number| raw.put_i64_le(*number));
            ("INT64", raw.freeze())
        }
        ColumnValues::Text(texts) => {
            let lengths = texts.iter().map(|text| text.len() + size_of::<u32>());
            let mut writer = BytesWriter::with_capacity(lengths.sum());
            for text in texts {
                writer.push(text.as_bytes())?;
            }
            ("BYTES", writer.finish())
        }
    })
}

fn requested(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor {
        name: name.to_string(),
        ..InferRequestedOutputTensor::default()
    }
}

fn push(message: &mut ModelInferRequest, name: &str, datatype: &str, shape: &[usize], raw: Bytes) {
    let axes = shape
        .iter()
        .map(|axis| i64::try_from(*axis).unwrap_or(i64::MAX));
    message.inputs.push(InferInputTensor {
        name: name.to_string(),
        datatype: datatype.to_string(),
        shape: axes.collect(),
        ..InferInputTensor::default()
    });
    message.raw_input_contents.push(raw);
}
