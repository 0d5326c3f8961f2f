//! Length-encoded integers and strings, and checked reading of fixed-size fields.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html>

use super::Malformed;
use bytes::BufMut;

/// First byte of a NULL cell in a text row; never the first byte of a length.
pub const NULL: u8 = 0xfb;

/// Consumes `count` bytes of `input`.
pub fn get_bytes<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = input
        .split_at_checked(count)
        .ok_or(Malformed("a field is longer than its packet"))?;
    *input = tail;
    Ok(head)
}

fn get_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, tail) = input
        .split_first_chunk::<N>()
        .ok_or(Malformed("a field is longer than its packet"))?;
    *input = tail;
    Ok(*head)
}

/// Consumes one byte.
pub fn get_u8(input: &mut &[u8]) -> Result<u8, Malformed> {
    Ok(get_array::<1>(input)?[0])
}

/// Consumes a little-endian `u16`.
pub fn get_u16(input: &mut &[u8]) -> Result<u16, Malformed> {
    get_array(input).map(u16::from_le_bytes)
}

/// Consumes a little-endian `u32`.
pub fn get_u32(input: &mut &[u8]) -> Result<u32, Malformed> {
    get_array(input).map(u32::from_le_bytes)
}

/// Consumes a little-endian `u64`.
pub fn get_u64(input: &mut &[u8]) -> Result<u64, Malformed> {
    get_array(input).map(u64::from_le_bytes)
}

/// Consumes a length-encoded integer. 0xFB (NULL) and 0xFF (ERR) are rejected.
pub fn get_int(input: &mut &[u8]) -> Result<u64, Malformed> {
    Ok(match get_u8(input)? {
        0xfc => u64::from(get_u16(input)?),
        0xfd => {
            let [a, b, c] = get_array(input)?;
            u64::from(u32::from_le_bytes([a, b, c, 0]))
        }
        0xfe => get_u64(input)?,
        NULL | 0xff => return Err(Malformed("NULL or ERR where a length was expected")),
        small => u64::from(small),
    })
}

/// Consumes a length-encoded string.
pub fn get_str<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(get_int(input)?)
        .map_err(|_| Malformed("a field is longer than its packet"))?;
    get_bytes(input, length)
}

/// Consumes a cell of a text row: a length-encoded string, or `None` for NULL.
pub fn get_cell<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    if input.first() == Some(&NULL) {
        *input = input.get(1..).unwrap_or_default();
        return Ok(None);
    }
    get_str(input).map(Some)
}

/// Consumes a NUL-terminated string and its NUL; returns it without the NUL.
pub fn get_nul_str<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = memchr::memchr(0, input).ok_or(Malformed("a string without its NUL"))?;
    let text = get_bytes(input, length)?;
    get_u8(input)?;
    Ok(text)
}

/// Appends a length-encoded integer in its shortest form.
pub fn put_int(output: &mut impl BufMut, value: u64) {
    match value {
        0..=0xfa => output.put_u8(value as u8),
        0xfb..=0xffff => {
            output.put_u8(0xfc);
            output.put_u16_le(value as u16);
        }
        0x1_0000..=0xff_ffff => {
            output.put_u8(0xfd);
            output.put_uint_le(value, 3);
        }
        _ => {
            output.put_u8(0xfe);
            output.put_u64_le(value);
        }
    }
}

/// Appends a length-encoded string.
pub fn put_str(output: &mut impl BufMut, text: &[u8]) {
    put_int(output, text.len() as u64);
    output.put_slice(text);
}

/// Appends a cell of a text row.
pub fn put_cell(output: &mut impl BufMut, cell: Option<&[u8]>) {
    match cell {
        Some(text) => put_str(output, text),
        None => output.put_u8(NULL),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boundaries_take_the_shortest_form() {
        for (value, bytes) in [
            (0, 1),
            (0xfa, 1),
            (0xfb, 3),
            (0xffff, 3),
            (0x1_0000, 4),
            (0xff_ffff, 4),
            (0x100_0000, 9),
            (u64::MAX, 9),
        ] {
            let mut output = Vec::new();
            put_int(&mut output, value);
            assert_eq!(output.len(), bytes, "{value:#x}");
            assert_eq!(get_int(&mut output.as_slice()), Ok(value));
        }
    }

    #[test]
    fn a_null_cell_is_not_an_empty_one() {
        let mut output = Vec::new();
        put_cell(&mut output, None);
        put_cell(&mut output, Some(b""));
        let mut input = output.as_slice();
        assert_eq!(get_cell(&mut input), Ok(None));
        assert_eq!(get_cell(&mut input), Ok(Some(&b""[..])));
        assert!(input.is_empty());
    }

    proptest! {
        #[test]
        fn round_trip(value: u64, text in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut output = Vec::new();
            put_int(&mut output, value);
            put_str(&mut output, &text);
            let mut input = output.as_slice();
            prop_assert_eq!(get_int(&mut input).unwrap(), value);
            prop_assert_eq!(get_str(&mut input).unwrap(), &text[..]);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = get_int(&mut bytes.as_slice());
            let _ = get_str(&mut bytes.as_slice());
            let _ = get_cell(&mut bytes.as_slice());
            let _ = get_nul_str(&mut bytes.as_slice());
        }
    }
}
