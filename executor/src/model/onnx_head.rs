//! Reads what an ONNX file says of itself, metadata and the shape of its input, without ONNX
//! Runtime: the few protobuf fields that hold it. The format is that of `onnx.proto`; what is not
//! understood ends the reading, and whether the file is a model is for the trial to find.

use predictsql_catalog::OnnxHead;

/// Maximum length of a text of the metadata, in bytes: names of thousands of labels fit.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Maximum number of pairs of metadata.
const PAIRS_MAX: usize = 256;

// Numbers of fields in onnx.proto.
const MODEL_GRAPH: u64 = 7;
const MODEL_METADATA: u64 = 14;
const ENTRY_KEY: u64 = 1;
const ENTRY_VALUE: u64 = 2;
const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_INPUT: u64 = 11;
const TENSOR_NAME: u64 = 8;
const VALUE_NAME: u64 = 1;
const VALUE_TYPE: u64 = 2;
const TYPE_TENSOR: u64 = 1;
const TENSOR_SHAPE: u64 = 2;
const SHAPE_DIM: u64 = 1;
const DIM_VALUE: u64 = 1;

/// What the file says; empty where it says nothing.
pub(crate) fn read(file: &[u8]) -> OnnxHead {
    let mut head = OnnxHead::default();
    for (field, value) in fields(file) {
        match (field, value) {
            (MODEL_METADATA, Value::Bytes(entry)) if head.metadata.len() < PAIRS_MAX => {
                let pair = (text(entry, ENTRY_KEY), text(entry, ENTRY_VALUE));
                if let (Some(key), Some(value)) = pair {
                    head.metadata.push((key, value));
                }
            }
            (MODEL_GRAPH, Value::Bytes(graph)) => head.input = input(graph),
            _ => {}
        }
    }
    head
}

/// Axes of the graph's only input; weights are not inputs, although old files list them there.
fn input(graph: &[u8]) -> Option<Vec<Option<u64>>> {
    let of = |wanted: u64| fields(graph).filter_map(move |(field, value)| value.of(field, wanted));
    let mut inputs: Vec<&[u8]> = of(GRAPH_INPUT).collect();
    if inputs.len() > 1 {
        let weights: std::collections::HashSet<String> = of(GRAPH_INITIALIZER)
            .filter_map(|tensor| text(tensor, TENSOR_NAME))
            .collect();
        inputs.retain(|input| text(input, VALUE_NAME).is_none_or(|name| !weights.contains(&name)));
    }
    let [input] = inputs[..] else {
        return None;
    };
    let shape = [VALUE_TYPE, TYPE_TENSOR, TENSOR_SHAPE];
    let shape = shape.into_iter().try_fold(input, inner)?;
    let axes = fields(shape).filter_map(|(field, value)| value.of(field, SHAPE_DIM));
    let size = |axis: &[u8]| {
        let mut sizes = fields(axis).filter(|(field, _)| *field == DIM_VALUE);
        match sizes.next() {
            Some((_, Value::Number(size))) if size > 0 => Some(size),
            _ => None,
        }
    };
    Some(axes.map(size).collect())
}

/// The value of a field.
enum Value<'f> {
    Number(u64),
    Bytes(&'f [u8]),
    /// 4 or 8 bytes.
    Fixed,
}

impl<'f> Value<'f> {
    /// Its bytes, if it is of the wanted field.
    fn of(self, field: u64, wanted: u64) -> Option<&'f [u8]> {
        match self {
            Self::Bytes(bytes) if field == wanted => Some(bytes),
            _ => None,
        }
    }
}

/// The fields of a message, until one cannot be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)?),
            1 => take(&mut message, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            5 => take(&mut message, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'f>(message: &mut &'f [u8], length: usize) -> Option<&'f [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(message, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The first field of that number that has bytes.
fn inner(message: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(message).find_map(|(field, value)| value.of(field, wanted))
}

fn text(message: &[u8], field: u64) -> Option<String> {
    let bytes = inner(message, field).filter(|bytes| bytes.len() <= TEXT_BYTES_MAX)?;
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn file(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read(folder.join("tests/models").join(name)).unwrap()
    }

    #[test]
    fn shapes_of_inputs_are_read() {
        let input = |name: &str| read(&file(name)).input;
        let colour = [None, Some(3), Some(8), Some(8)];
        assert_eq!(input("colour_nchw.onnx").unwrap(), colour);
        let fixed = [Some(4), Some(3), Some(8), Some(8)];
        assert_eq!(input("colour_fixed_batch_4.onnx").unwrap(), fixed);
        assert_eq!(input("all_dynamic.onnx").unwrap(), [None; 4]);
        assert_eq!(input("two_inputs.onnx"), None);
        assert_eq!(read(b"no model"), OnnxHead::default());
    }

    #[test]
    fn metadata_is_read() {
        let mut with = file("colour_nchw.onnx");
        with.extend_from_slice(b"\x72\x0d\x0a\x04task\x12\x05class");
        let head = read(&with);
        assert_eq!(head.metadata, [("task".to_string(), "class".to_string())]);
    }

    proptest! {
        #[test]
        fn damaged_files_end_the_reading(at in 0_usize..600, byte: u8, length in 0_usize..600) {
            let mut damaged = file("colour_nchw.onnx");
            if let Some(place) = damaged.get_mut(at) {
                *place = byte;
            }
            damaged.truncate(length);
            let _ = read(&damaged);
        }
    }
}
