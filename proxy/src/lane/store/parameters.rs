//! Parameters of a prepared statement as bound by the client, which the lane binds again to the
//! statements derived from it.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use mysql_common::constants::ColumnType;

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::rows::CellLayout;
use crate::wire::{Malformed, lenenc};

/// Length of the statement id, flags and iteration count before the parameters of
/// COM_STMT_EXECUTE, in bytes.
const HEAD_BYTES: usize = 4 + 1 + 4;

/// Limit on the values of one execution together, including repeats, in bytes.
const REBOUND_BYTES_MAX: usize = 256 << 20;

/// One bound parameter: its type and encoded value, `None` for NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    /// Type byte and flags (0x8000: unsigned).
    kind: u16,
    value: Option<Bytes>,
}

/// All parameters of one execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    bound: Vec<Parameter>,
    sent: Bytes,
}

impl Parameters {
    /// Parses the body of COM_STMT_EXECUTE for a statement with `count` parameters. `kinds` are
    /// the types of the last execution: they are replaced if the client sends types. Long data
    /// sent before replaces the values of its parameters.
    pub fn read(
        body: &Bytes,
        count: usize,
        kinds: &mut Vec<u16>,
        long_data: &BTreeMap<u16, BytesMut>,
    ) -> Result<Self, Malformed> {
        let mut input = &body[..];
        lenenc::get_bytes(&mut input, HEAD_BYTES)?;
        if count == 0 {
            return Ok(Self {
                bound: Vec::new(),
                sent: body.clone(),
            });
        }
        let nulls = lenenc::get_bytes(&mut input, count.div_ceil(8))?;
        if lenenc::get_u8(&mut input)? == 1 {
            *kinds = (0..count)
                .map(|_| lenenc::get_u16(&mut input))
                .collect::<Result<_, _>>()?;
        }
        let untyped = kinds.len() != count;
        if untyped {
            kinds.clear();
        }
        let mut parameters = Vec::with_capacity(count);
        for i in 0..count {
            let long = u16::try_from(i).ok().and_then(|i| long_data.get(&i));
            let null = nulls.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1);
            // A client that executes with NULLs only need not bind types.
            if untyped && !null && long.is_none() {
                return Err(Malformed("parameters without types"));
            }
            let of_null = ColumnType::MYSQL_TYPE_NULL as u16;
            let mut kind = kinds.get(i).copied().unwrap_or(of_null);
            let value = if let Some(long) = long {
                kind = kind_of_long_data(kind);
                let mut value = BytesMut::with_capacity(long.len() + 9);
                lenenc::put_str(&mut value, long);
                Some(value.freeze())
            } else if null {
                None
            } else {
                let [column_type, _] = kind.to_le_bytes();
                let before = input;
                let bytes = CellLayout::of(column_type).take(&mut input)?;
                before.get(..bytes).map(|value| body.slice_ref(value))
            };
            parameters.push(Parameter { kind, value });
        }
        Ok(Self {
            bound: parameters,
            sent: body.clone(),
        })
    }

    /// Number of parameters.
    pub fn count(&self) -> usize {
        self.bound.len()
    }

    /// The body of COM_STMT_EXECUTE for statement `id`, whose placeholders are the parameters
    /// `wanted` (indexes from 0, in order of the placeholders, repeats allowed).
    pub fn execute_body(&self, id: u32, wanted: &[usize]) -> Result<Bytes, SqlError> {
        let mut body = BytesMut::new();
        body.put_u32_le(id);
        body.put_u8(0); // no cursor
        body.put_u32_le(1);
        if wanted.is_empty() {
            return Ok(body.freeze());
        }
        let bound: Vec<&Parameter> = wanted
            .iter()
            .map(|&n| {
                self.bound.get(n).ok_or_else(|| {
                    SqlError::new(ErrorKind::WrongArguments, "Incorrect arguments to EXECUTE")
                })
            })
            .collect::<Result<_, _>>()?;
        let value_bytes = |p: &&Parameter| p.value.as_ref().map_or(0, Bytes::len);
        if bound.iter().map(value_bytes).sum::<usize>() > REBOUND_BYTES_MAX {
            return Err(SqlError::new(
                ErrorKind::PacketTooLarge,
                "Parameters of an expression over a prediction and columns are sent once a class: these are too long",
            ));
        }
        let mut nulls = vec![0_u8; bound.len().div_ceil(8)];
        for (i, _) in bound.iter().enumerate().filter(|(_, p)| p.value.is_none()) {
            if let Some(byte) = nulls.get_mut(i / 8) {
                *byte |= 1 << (i % 8);
            }
        }
        body.put_slice(&nulls);
        body.put_u8(1);
        for parameter in &bound {
            body.put_u16_le(parameter.kind);
        }
        for value in bound.iter().filter_map(|p| p.value.as_ref()) {
            body.put_slice(value);
        }
        Ok(body.freeze())
    }

    /// The body of COM_STMT_EXECUTE as the client sent it.
    pub fn as_sent(&self) -> Bytes {
        self.sent.clone()
    }

    /// Whether a parameter's value contains a NUL byte: true for every image file, false for every
    /// path.
    pub fn holds_nul(&self, number: usize) -> bool {
        let value = self.bound.get(number).and_then(|p| p.value.as_ref());
        value.is_some_and(|v| {
            let mut input = &v[..];
            lenenc::get_str(&mut input).is_ok_and(|text| memchr::memchr(0, text).is_some())
        })
    }

    /// The value of an integer parameter, for LIMIT; `None` for NULL, negative numbers and other
    /// values.
    pub fn integer(&self, number: usize) -> Option<u64> {
        let parameter = self.bound.get(number)?;
        let value = parameter.value.as_ref()?;
        let [column_type, flags] = parameter.kind.to_le_bytes();
        let unsigned = flags & 0x80 != 0;
        match (CellLayout::of(column_type), value.len()) {
            (CellLayout::Fixed(_), bytes) if is_integer(column_type) => {
                let top = *value.last()?;
                if !unsigned && top & 0x80 != 0 {
                    return None;
                }
                let mut whole = [0; 8];
                whole.get_mut(..bytes)?.copy_from_slice(value);
                Some(u64::from_le_bytes(whole))
            }
            (CellLayout::String, _) => {
                let text = lenenc::get_str(&mut &value[..]).ok()?;
                std::str::from_utf8(text).ok()?.trim().parse().ok()
            }
            _ => None,
        }
    }
}

/// The type with which long data is bound again: long data is a string, whatever type was bound.
fn kind_of_long_data(kind: u16) -> u16 {
    let [column_type, _] = kind.to_le_bytes();
    match CellLayout::of(column_type) {
        CellLayout::String => kind,
        _ => ColumnType::MYSQL_TYPE_VAR_STRING as u16,
    }
}

/// Whether a type byte is an integer type: TINY, SHORT, LONG, LONGLONG, INT24, YEAR.
fn is_integer(column_type: u8) -> bool {
    matches!(column_type, 1 | 2 | 3 | 8 | 9 | 13)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TINY: u16 = 1;
    const STRING: u16 = 253;

    fn body(nulls: u8, kinds: Option<&[u16]>, values: &[u8]) -> Bytes {
        let mut body = BytesMut::new();
        body.put_slice(&[7, 0, 0, 0, 0, 1, 0, 0, 0, nulls, u8::from(kinds.is_some())]);
        for kind in kinds.unwrap_or_default() {
            body.put_u16_le(*kind);
        }
        body.put_slice(values);
        body.freeze()
    }

    #[test]
    fn parameters_are_bound_again_in_any_order() {
        let mut kinds = Vec::new();
        let first = body(0b010, Some(&[TINY, STRING, STRING]), b"\x05\x02ab");
        let parameters = Parameters::read(&first, 3, &mut kinds, &BTreeMap::new()).unwrap();
        assert_eq!(parameters.integer(0), Some(5));
        let again = parameters.execute_body(9, &[2, 0, 1, 2]).unwrap();
        let mut expected = BytesMut::new();
        expected.put_slice(&[9, 0, 0, 0, 0, 1, 0, 0, 0, 0b0100, 1]);
        for kind in [STRING, TINY, STRING, STRING] {
            expected.put_u16_le(kind);
        }
        expected.put_slice(b"\x02ab\x05\x02ab");
        assert_eq!(again, expected);
        // A second execution without types uses the types of the first.
        let second = body(0b110, None, b"\x06");
        assert_eq!(
            Parameters::read(&second, 3, &mut kinds, &BTreeMap::new())
                .unwrap()
                .integer(0),
            Some(6)
        );
        assert!(parameters.execute_body(9, &[3]).is_err());
    }

    #[test]
    fn nulls_need_no_types() {
        let mut kinds = Vec::new();
        let none = BTreeMap::new();
        let parameters = Parameters::read(&body(0b11, None, b""), 2, &mut kinds, &none).unwrap();
        assert_eq!(parameters.count(), 2);
        assert!(kinds.is_empty(), "no types are bound");
        let again = parameters.execute_body(1, &[1, 0]).unwrap();
        assert!(again.ends_with(&[0b11, 1, 6, 0, 6, 0]));
        let value = body(0b01, None, b"\x02ab");
        assert!(Parameters::read(&value, 2, &mut kinds, &none).is_err());
        let long = BTreeMap::from([(1, BytesMut::from(&b"xyz"[..]))]);
        assert!(Parameters::read(&body(0b01, None, b""), 2, &mut kinds, &long).is_ok());
    }

    #[test]
    fn long_data_stands_in_for_a_value() {
        let mut kinds = Vec::new();
        let long = BTreeMap::from([(1, BytesMut::from(&b"xyz"[..]))]);
        let parameters = Parameters::read(
            &body(0, Some(&[TINY, STRING]), b"\x05"),
            2,
            &mut kinds,
            &long,
        )
        .unwrap();
        assert!(
            parameters
                .execute_body(1, &[1])
                .unwrap()
                .ends_with(b"\x03xyz")
        );
    }

    #[test]
    fn long_data_is_bound_as_a_string_whatever_the_parameter_was_bound_as() {
        let mut kinds = Vec::new();
        let long = BTreeMap::from([(0, BytesMut::from(&b"12"[..]))]);
        let sent = body(0, Some(&[TINY]), b"");
        let parameters = Parameters::read(&sent, 1, &mut kinds, &long).unwrap();
        let mut expected = BytesMut::from(&[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1][..]);
        expected.put_u16_le(STRING);
        expected.put_slice(b"\x0212");
        assert_eq!(parameters.execute_body(1, &[0]).unwrap(), expected);
        assert_eq!(parameters.integer(0), Some(12));
        assert_eq!(kinds, [TINY], "what the client has bound stays");
    }

    #[test]
    fn negative_limits_are_none_and_cut_bodies_refused() {
        let mut kinds = Vec::new();
        let negative = Parameters::read(
            &body(0, Some(&[TINY]), b"\xff"),
            1,
            &mut kinds,
            &BTreeMap::new(),
        )
        .unwrap();
        assert_eq!(negative.integer(0), None);
        let whole = body(0, Some(&[TINY, STRING]), b"\x05\x02ab");
        for cut in 0..whole.len() {
            let mut kinds = Vec::new();
            assert!(
                Parameters::read(&whole.slice(..cut), 2, &mut kinds, &BTreeMap::new()).is_err()
            );
        }
    }
}
