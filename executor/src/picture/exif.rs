//! Reads the orientation from EXIF data: a TIFF header and the entries of its first directory.
//!
//! What is damaged or out of place counts as no orientation: viewers show such images as stored.

use super::orientation::Orientation;

/// Prefix of EXIF data in a JPEG, which some programs also write elsewhere.
pub(super) const PREFIX: &[u8; 6] = b"Exif\0\0";
const ORIENTATION: u16 = 0x0112;
/// Types of values: 8, 16 and 32 bits, unsigned.
const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Numbers of the two byte orders.
#[derive(Clone, Copy)]
struct Numbers<'a> {
    data: &'a [u8],
    is_little: bool,
}

impl Numbers<'_> {
    fn short(self, at: usize) -> Option<u16> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(match self.is_little {
            true => u16::from_le_bytes(bytes),
            false => u16::from_be_bytes(bytes),
        })
    }

    fn long(self, at: usize) -> Option<u32> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(match self.is_little {
            true => u32::from_le_bytes(bytes),
            false => u32::from_be_bytes(bytes),
        })
    }
}

/// The orientation that EXIF data say, if they do.
pub(super) fn orientation(data: &[u8]) -> Option<Orientation> {
    let mut data = data;
    while let Some(rest) = data.strip_prefix(PREFIX) {
        data = rest;
    }
    let is_little = match data.first_chunk::<4>()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let numbers = Numbers { data, is_little };
    let directory = numbers.long(4)? as usize;
    let count = usize::from(numbers.short(directory)?);
    for entry in 0..count {
        let at = directory.checked_add(2 + 12 * entry)?;
        if numbers.short(at)? != ORIENTATION {
            continue;
        }
        let value = match numbers.short(at.checked_add(2)?)? {
            BYTE => u32::from(*data.get(at.checked_add(8)?)?),
            SHORT => u32::from(numbers.short(at.checked_add(8)?)?),
            LONG => numbers.long(at.checked_add(8)?)?,
            _ => return None,
        };
        return Orientation::of_tag(value);
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// EXIF data with one entry before the orientation.
    fn data(is_little: bool, kind: u16, value: u32) -> Vec<u8> {
        let short = |number: u16| match is_little {
            true => number.to_le_bytes(),
            false => number.to_be_bytes(),
        };
        let long = |number: u32| match is_little {
            true => number.to_le_bytes(),
            false => number.to_be_bytes(),
        };
        let mut data = match is_little {
            true => b"II*\0".to_vec(),
            false => b"MM\0*".to_vec(),
        };
        data.extend(long(10));
        data.extend([7, 7]);
        data.extend(short(2));
        for (tag, kind, value) in [(0x0100, SHORT, 99), (ORIENTATION, kind, value)] {
            data.extend(short(tag));
            data.extend(short(kind));
            data.extend(long(1));
            match kind {
                BYTE => data.extend([value as u8, 0, 0, 0]),
                SHORT => data.extend([short(value as u16), [0; 2]].concat()),
                _ => data.extend(long(value)),
            }
        }
        data
    }

    #[test]
    fn both_byte_orders_and_all_widths_are_read() {
        for is_little in [true, false] {
            for kind in [BYTE, SHORT, LONG] {
                for tag in 1..=8 {
                    let data = data(is_little, kind, tag);
                    assert_eq!(orientation(&data), Orientation::of_tag(tag));
                    let prefixed = [&PREFIX[..], &data].concat();
                    assert_eq!(orientation(&prefixed), Orientation::of_tag(tag));
                }
            }
        }
    }

    #[test]
    fn what_is_damaged_says_nothing() {
        for value in [0, 9, 0x0600, u32::MAX] {
            assert_eq!(orientation(&data(true, LONG, value)), None, "{value}");
        }
        assert_eq!(orientation(&data(true, 2, 6)), None);
        let whole = data(true, SHORT, 6);
        for end in 0..whole.len() - 2 {
            assert_eq!(orientation(&whole[..end]), None, "{end}");
        }
        for directory in [0u32, 4, 200, u32::MAX] {
            let mut lost = whole.clone();
            lost[4..8].copy_from_slice(&directory.to_le_bytes());
            assert_eq!(orientation(&lost), None, "{directory}");
        }
        let mut endless = whole;
        endless[10..12].fill(0xff);
        assert!(orientation(&endless).is_some());
        endless[24..26].fill(0);
        assert_eq!(orientation(&endless), None);
    }
}
