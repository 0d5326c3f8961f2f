//! Answers of ModelInfer: outputs as tensors.

use bytes::Bytes;
use half::f16;

use crate::model::{Received, ReceivedContent};
use crate::oip::inference::model_infer_response::InferOutputTensor;
use crate::oip::inference::{InferTensorContents, ModelInferResponse};
use crate::oip::{self, Malformed};

/// The outputs of these names that came. The error is a clause.
pub(super) fn outputs<'n>(
    response: &ModelInferResponse,
    names: impl Iterator<Item = &'n str>,
) -> Result<Vec<Received>, String> {
    let raw = &response.raw_output_contents;
    if !raw.is_empty() && raw.len() != response.outputs.len() {
        return Err(format!(
            "it has {} outputs, and contents of {}",
            response.outputs.len(),
            raw.len()
        ));
    }
    let mut received = Vec::new();
    for name in names {
        let mut outputs = response.outputs.iter().enumerate();
        let Some((index, output)) = outputs.find(|(_, output)| output.name == name) else {
            continue;
        };
        received.push(Received {
            name: name.to_string(),
            shape: output.shape.clone(),
            content: content(output, raw.get(index))?,
        });
    }
    Ok(received)
}

fn content(output: &InferOutputTensor, raw: Option<&Bytes>) -> Result<ReceivedContent, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("its output '{}': {what}", output.name);
    let mut axes = output.shape.iter().map(|axis| usize::try_from(*axis).ok());
    let elements = axes.try_fold(1_usize, |product, axis| product.checked_mul(axis?));
    let elements = elements.ok_or_else(|| wrong(&format!("no shape {:?}", output.shape)))?;
    let none = InferTensorContents::default();
    let contents = output.contents.as_ref().unwrap_or(&none);
    let malformed = |error: Malformed| wrong(&error);
    let datatype = output.datatype.as_str();
    match datatype {
        "FP32" => match raw {
            Some(raw) => oip::singles(raw, elements).map_err(malformed),
            None => so_many(&contents.fp32_contents, elements).map_err(|what| wrong(&what)),
        }
        .map(ReceivedContent::Single),
        "FP64" => match raw {
            Some(raw) => oip::doubles(raw, elements).map_err(malformed),
            None => so_many(&contents.fp64_contents, elements).map_err(|what| wrong(&what)),
        }
        .map(ReceivedContent::Double),
        "FP16" => {
            let (numbers, rest) = raw.map(|raw| raw.as_chunks()).unwrap_or_default();
            if !rest.is_empty() || numbers.len() != elements {
                return Err(wrong(&too_few(elements)));
            }
            let single = |number: &[u8; 2]| f16::from_le_bytes(*number).to_f32();
            let numbers = numbers.iter().map(single).collect();
            Ok(ReceivedContent::Single(numbers))
        }
        "BYTES" => {
            let texts = match raw {
                Some(raw) => oip::bytes(raw, elements).map_err(malformed)?,
                None => so_many(&contents.bytes_contents, elements).map_err(|what| wrong(&what))?,
            };
            let text = |text: &Bytes| String::from_utf8_lossy(text).into_owned();
            Ok(ReceivedContent::Words(texts.first().map(text)))
        }
        "INT64" => {
            let first = match raw {
                Some(raw) => raw.first_chunk().map(|number| i64::from_le_bytes(*number)),
                None => contents.int64_contents.first().copied(),
            };
            Ok(ReceivedContent::Words(
                first.map(|number| number.to_string()),
            ))
        }
        _ => Err(wrong(&"a type that is not read")),
    }
}

fn so_many<T: Clone>(contents: &[T], elements: usize) -> Result<Vec<T>, String> {
    match contents.len() == elements {
        true => Ok(contents.to_vec()),
        false => Err(too_few(elements)),
    }
}

fn too_few(elements: usize) -> String {
    format!("the contents do not have {elements} elements")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn response(datatype: &str, shape: Vec<i64>, raw: Vec<Bytes>) -> ModelInferResponse {
        ModelInferResponse {
            outputs: vec![InferOutputTensor {
                name: "y".to_string(),
                datatype: datatype.to_string(),
                shape,
                ..InferOutputTensor::default()
            }],
            raw_output_contents: raw,
            ..ModelInferResponse::default()
        }
    }

    fn read(response: &ModelInferResponse) -> Result<Vec<Received>, String> {
        outputs(response, ["y"].into_iter())
    }

    #[test]
    fn floats_of_each_type_are_read() {
        let raw = oip::of_singles(&[0.5, -2.0]);
        let single = read(&response("FP32", vec![1, 2], vec![raw])).unwrap();
        assert_eq!(single[0].content, ReceivedContent::Single(vec![0.5, -2.0]));
        let halves = [f16::from_f32(0.5), f16::from_f32(-2.0)];
        let raw: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let half = read(&response("FP16", vec![2], vec![raw.into()])).unwrap();
        assert_eq!(half[0].content, ReceivedContent::Single(vec![0.5, -2.0]));
        let mut typed = response("FP64", vec![2], Vec::new());
        typed.outputs[0].contents = Some(InferTensorContents {
            fp64_contents: vec![0.5, -2.0],
            ..InferTensorContents::default()
        });
        let double = read(&typed).unwrap();
        assert_eq!(double[0].content, ReceivedContent::Double(vec![0.5, -2.0]));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(
            datatype in prop_oneof![
                Just("FP32"), Just("FP16"), Just("FP64"), Just("BYTES"), Just("INT64"), Just("BOOL")
            ],
            shape in proptest::collection::vec(
                prop_oneof![any::<i64>(), -1..5_i64, Just(i64::MAX)], 0..4
            ),
            raw in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..3),
        ) {
            let raw = raw.into_iter().map(Bytes::from).collect();
            if let Ok(received) = read(&response(datatype, shape.clone(), raw)) {
                let count = match &received[0].content {
                    ReceivedContent::Single(numbers) => numbers.len(),
                    ReceivedContent::Double(numbers) => numbers.len(),
                    ReceivedContent::Words(_) => return Ok(()),
                };
                prop_assert_eq!(count as i64, shape.iter().product::<i64>());
            }
        }
    }
}
