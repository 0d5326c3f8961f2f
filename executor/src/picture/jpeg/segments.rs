//! Segments and the frame header of a JPEG, parsed in the same way as by the decoder.

/// Marker of the start of a scan: entropy-coded data follow its header.
pub(super) const SOS: u8 = 0xda;
/// Marker of the end of the image.
pub(super) const EOI: u8 = 0xd9;
/// Marker of Huffman tables.
pub(super) const DHT: u8 = 0xc4;
/// Marker of the restart interval.
pub(super) const DRI: u8 = 0xdd;
/// Marker of application data that identify a frame of a video, which may have no Huffman tables
/// of its own.
pub(super) const APP0: u8 = 0xe0;
/// Marker of quantisation tables.
pub(super) const DQT: u8 = 0xdb;
/// Last marker of a frame that is supported.
pub(super) const SOF_LAST: u8 = 0xc2;
/// Marker of Adobe's application data.
pub(super) const APP14: u8 = 0xee;
/// Marker of application data, such as EXIF.
pub(super) const APP1: u8 = 0xe1;
/// Maximum number of components of a frame.
const COMPONENTS_MAX: usize = 4;

/// A marker and its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    /// The marker's second byte.
    pub(super) marker: u8,
    /// The bytes after its length field; empty for the end of the image.
    pub(super) payload: &'a [u8],
    /// Offset of the byte after the segment.
    pub(super) end: usize,
}

/// The next segment from an offset. Like in the decoder, bytes between segments are skipped, and
/// every marker except the end of the image has a length: the header found here is then the one
/// that the decoder finds.
pub(super) fn next_segment(encoded: &[u8], at: usize) -> Option<Segment<'_>> {
    let mut bytes = encoded.iter().copied().enumerate().skip(at);
    let mut last = 0;
    loop {
        let (mut place, mut byte) = bytes.next()?;
        if matches!(byte, 0 | 0xff) && last == 0xff {
            while matches!(byte, 0 | 0xff) {
                last = byte;
                (place, byte) = bytes.next()?;
            }
        }
        if last != 0xff {
            last = byte;
            continue;
        }
        if byte == EOI {
            return Some(Segment {
                marker: EOI,
                payload: &[],
                end: place + 1,
            });
        }
        let length = encoded.get(place + 1..place + 3)?;
        let length = usize::from(u16::from_be_bytes([*length.first()?, *length.get(1)?]));
        let end = (place + 1).checked_add(length)?;
        return Some(Segment {
            marker: byte,
            payload: encoded.get(place + 3..end)?,
            end,
        });
    }
}

/// One component of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal sampling factor, relative to `Frame::horizontal_max`.
    pub(super) horizontal: usize,
    /// Vertical sampling factor.
    pub(super) vertical: usize,
    /// Number of its quantisation table.
    pub(super) quantisation: u8,
}

/// Content of the frame header.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) components: Vec<Component>,
}

impl Frame {
    /// Parses the payload of a start-of-frame marker. `None`: the kind of frame is not supported.
    fn read(marker: u8, payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_at_checked(6)?;
        let &[_, h1, h0, w1, w0, count] = head else {
            return None;
        };
        if usize::from(count) > COMPONENTS_MAX || rest.len() != 3 * usize::from(count) {
            return None;
        }
        let components = rest.chunks_exact(3).map(|bytes| match *bytes {
            [id, sampling, quantisation] => Component {
                id,
                horizontal: usize::from(sampling >> 4).clamp(1, 4),
                vertical: usize::from(sampling & 15).clamp(1, 4),
                quantisation,
            },
            _ => Component {
                id: 0,
                horizontal: 1,
                vertical: 1,
                quantisation: 0,
            },
        });
        Some(Self {
            progressive: marker == 0xc2,
            width: usize::from(u16::from_be_bytes([w1, w0])),
            height: usize::from(u16::from_be_bytes([h1, h0])),
            components: components.collect(),
        })
    }

    pub(super) fn horizontal_max(&self) -> usize {
        let sides = self.components.iter().map(|c| c.horizontal);
        sides.max().unwrap_or(1)
    }

    pub(super) fn vertical_max(&self) -> usize {
        let sides = self.components.iter().map(|c| c.vertical);
        sides.max().unwrap_or(1)
    }

    /// Columns and rows of minimum coded units of all components together.
    pub(super) fn units(&self) -> (usize, usize) {
        (
            self.width.div_ceil(8 * self.horizontal_max()),
            self.height.div_ceil(8 * self.vertical_max()),
        )
    }
}

/// Data before the first scan.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) frame: Frame,
    /// Number of components in the first scan.
    pub(super) first_scan_components: usize,
}

impl Header {
    /// Parses segments up to the first scan. The error is a clause for a warning.
    pub(super) fn read(encoded: &[u8]) -> Result<Self, String> {
        let mut at = 2;
        let mut frame = None;
        while let Some(segment) = next_segment(encoded, at) {
            at = segment.end;
            match segment.marker {
                marker @ 0xc0..=0xc2 if frame.is_none() => {
                    let read = Frame::read(marker, segment.payload);
                    frame =
                        Some(read.ok_or("is a damaged or unsupported JPEG (its frame header)")?);
                }
                0xc0..=0xc2 => return Err("is a damaged JPEG (two frame headers)".to_string()),
                0xc3 | 0xc5..=0xcb | 0xcd..=0xcf => {
                    return Err(
                        "is a JPEG of an unsupported kind (lossless or arithmetic)".to_string()
                    );
                }
                SOS => {
                    let frame = frame.ok_or("is a damaged JPEG (no frame header)")?;
                    let count = segment.payload.first().copied().unwrap_or(0);
                    return Ok(Self {
                        frame,
                        first_scan_components: count.into(),
                    });
                }
                EOI => return Err("is a JPEG without an image".to_string()),
                _ => {}
            }
        }
        Err("is a JPEG that is cut off".to_string())
    }
}
