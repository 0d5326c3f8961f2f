//! Raw contents of tensors: numbers in little endian; an element of BYTES is its length as a
//! 32-bit number and its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Why raw contents are not those of a tensor of so many elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the raw contents do not have {elements} elements")]
pub(crate) struct Malformed {
    elements: usize,
}

/// Encodes a tensor of BYTES.
#[derive(Debug, Default)]
pub(crate) struct BytesWriter(BytesMut);

impl BytesWriter {
    /// A writer with capacity for so many bytes, lengths included.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    /// Adds an element. `None`: it is too long for the encoding.
    pub(crate) fn push(&mut self, element: &[u8]) -> Option<()> {
        self.0.put_u32_le(u32::try_from(element.len()).ok()?);
        self.0.put_slice(element);
        Some(())
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// The elements of a tensor of BYTES, without copying them.
pub(crate) fn bytes(raw: &Bytes, elements: usize) -> Result<Vec<Bytes>, Malformed> {
    let malformed = Malformed { elements };
    let mut rest = raw.clone();
    // A hostile count reserves no memory.
    let mut found = Vec::with_capacity(elements.min(raw.len() / size_of::<u32>()));
    while !rest.is_empty() {
        let length = rest.try_get_u32_le().map_err(|_| malformed)?;
        let length = usize::try_from(length).map_err(|_| malformed)?;
        if length > rest.len() || found.len() == elements {
            return Err(malformed);
        }
        found.push(rest.split_to(length));
    }
    match found.len() == elements {
        true => Ok(found),
        false => Err(malformed),
    }
}

/// Encodes a tensor of FP32.
pub(crate) fn of_singles(numbers: &[f32]) -> Bytes {
    let mut raw = BytesMut::with_capacity(size_of_val(numbers));
    numbers.iter().for_each(|number| raw.put_f32_le(*number));
    raw.freeze()
}

/// Encodes a tensor of FP64.
pub(crate) fn of_doubles(numbers: &[f64]) -> Bytes {
    let mut raw = BytesMut::with_capacity(size_of_val(numbers));
    numbers.iter().for_each(|number| raw.put_f64_le(*number));
    raw.freeze()
}

/// The numbers of a tensor of FP32.
pub(crate) fn singles(raw: &Bytes, elements: usize) -> Result<Vec<f32>, Malformed> {
    let (numbers, rest) = raw.as_chunks();
    match rest.is_empty() && numbers.len() == elements {
        true => Ok(numbers.iter().map(|n| f32::from_le_bytes(*n)).collect()),
        false => Err(Malformed { elements }),
    }
}

/// The numbers of a tensor of FP64.
pub(crate) fn doubles(raw: &Bytes, elements: usize) -> Result<Vec<f64>, Malformed> {
    let (numbers, rest) = raw.as_chunks();
    match rest.is_empty() && numbers.len() == elements {
        true => Ok(numbers.iter().map(|n| f64::from_le_bytes(*n)).collect()),
        false => Err(Malformed { elements }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(elements: Vec<Vec<u8>>) {
            let mut writer = BytesWriter::default();
            for element in &elements {
                writer.push(element).unwrap();
            }
            let read = bytes(&writer.finish(), elements.len()).unwrap();
            prop_assert_eq!(read, elements);
        }

        #[test]
        fn anything_is_read_or_refused(raw: Vec<u8>, elements in 0..20_usize) {
            let raw = Bytes::from(raw);
            if let Ok(read) = bytes(&raw, elements) {
                prop_assert_eq!(read.len(), elements);
            }
            prop_assert_eq!(singles(&raw, elements).is_ok(), raw.len() == 4 * elements);
            prop_assert_eq!(doubles(&raw, elements).is_ok(), raw.len() == 8 * elements);
        }

        #[test]
        fn numbers_keep_each_bit(bits: Vec<u64>) {
            let numbers: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
            let read = doubles(&of_doubles(&numbers), numbers.len()).unwrap();
            let read: Vec<u64> = read.iter().map(|number| number.to_bits()).collect();
            prop_assert_eq!(read, bits);
        }
    }
}
