//! Decodes a sequential JPEG to an eighth, a quarter or half of its sides: of each block only the
//! coefficients of low frequencies are decoded, and the codes of the others are skipped.
//!
//! Chroma that is sampled more coarsely than luma is reduced less, so that all components have the
//! same size. As in `scans.rs`, every block must have its own codes.

use super::super::{Channels, Pixels, zeroed};
use super::colour::{Colours, Row};
use super::entropy::{Bits, Fault, Table};
use super::scans::{Restarts, Scan, Walk, after_scan, has_end, table};
use super::segments::{APP0, DHT, DQT, DRI, EOI, Frame, Header, SOS, next_segment};
use super::transform::{PLACES, Quantisation, Reduced, SIDE};

/// Samples across or down for which eight pixels stand, as one component has them.
fn samples(eighths: u8, own: usize, max: usize) -> Option<usize> {
    let samples = usize::from(eighths) * max / own;
    let is_whole = max.is_multiple_of(own) && samples.is_power_of_two();
    (is_whole && samples <= SIDE).then_some(samples)
}

/// Whether an image can be decoded to so many eighths of its sides. Others are progressive, need
/// other colours, or are sampled in a way that leaves no whole samples.
pub(super) fn is_possible(encoded: &[u8], header: &Header, eighths: u8) -> bool {
    let frame = &header.frame;
    let has_known_colours = match frame.components.len() {
        1 => true,
        3 => Colours::is_plain(encoded, frame),
        _ => false,
    };
    let fits = |own: usize, max: usize| samples(eighths, own, max).is_some();
    let mut components = frame.components.iter();
    !frame.progressive
        && has_known_colours
        && components.all(|component| {
            fits(component.horizontal, frame.horizontal_max())
                && fits(component.vertical, frame.vertical_max())
        })
}

/// A side of the image in samples.
pub(super) fn side(pixels: usize, eighths: u8) -> usize {
    (pixels * usize::from(eighths)).div_ceil(SIDE)
}

/// Memory besides the pixels, in bytes: one plane for each component, and rows.
pub(super) fn bytes(frame: &Frame, eighths: u8) -> u64 {
    let (columns, rows) = frame.units();
    let unit = |max: usize| max * usize::from(eighths);
    let plane = (columns * unit(frame.horizontal_max())) as u64
        * (rows * unit(frame.vertical_max())) as u64;
    (plane + 2 * frame.width as u64) * frame.components.len() as u64
}

/// Samples of one component, and how they come about.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    reduced: Reduced,
    /// Its quantisation table, once the component was sent.
    quantisation: Option<[u16; 64]>,
}

impl Plane {
    /// Writes the samples of a block whose coefficients are in `block`, which is empty afterwards.
    fn put(&mut self, block: &mut Block, (column, row): (usize, usize)) {
        let (across, down) = self.reduced.size();
        let start = row * down * self.stride + column * across;
        let lines = self.samples.get_mut(start..).unwrap_or_default();
        let lines = lines.chunks_mut(self.stride.max(1)).take(down);
        if block.rows <= 1 && block.is_flat {
            let shade = Reduced::shade(block.values[0][0]);
            for line in lines {
                line.get_mut(..across).unwrap_or_default().fill(shade);
            }
        } else {
            let found = self.reduced.samples_of(&block.values, block.rows);
            for (line, samples) in lines.zip(&found) {
                for (target, sample) in line.iter_mut().take(across).zip(samples) {
                    *target = *sample;
                }
            }
        }
        block.clear();
    }
}

/// Coefficients of a block, rows of the lowest frequencies first.
struct Block {
    values: [[f32; SIDE]; SIDE],
    /// One bit for each row that has a coefficient.
    rows: u8,
    /// Whether there is none but the first.
    is_flat: bool,
}

impl Block {
    fn clear(&mut self) {
        for (number, row) in self.values.iter_mut().enumerate() {
            if self.rows >> number & 1 == 1 {
                *row = [0.0; SIDE];
            }
        }
        self.values[0][0] = 0.0;
        (self.rows, self.is_flat) = (0, true);
    }
}

/// One component's part in a scan.
struct Part<'t> {
    plane: usize,
    dc: &'t Table,
    ac: &'t Table,
    quantisation: [u16; 64],
    /// Blocks in a unit, across and down.
    blocks: (usize, usize),
    /// Place of the last coefficient that the reduced block needs.
    last: u32,
    predicted: i32,
}

struct Decoder<'f> {
    walk: Walk<'f>,
    quantisation: Quantisation,
    planes: Vec<Plane>,
}

/// Decodes to the wanted channels and so many eighths of the sides.
pub(super) fn decode(
    encoded: &[u8],
    frame: &Frame,
    wanted: Channels,
    eighths: u8,
) -> Result<Pixels, String> {
    let mut decoder = Decoder::new(frame, eighths)?;
    decoder.segments(encoded).map_err(|fault| match fault {
        Fault::Cut => "is a JPEG that is cut off".to_string(),
        Fault::Damaged => "is a damaged JPEG (its entropy-coded data)".to_string(),
    })?;
    let (width, height) = (side(frame.width, eighths), side(frame.height, eighths));
    let channels = match decoder.planes.len() {
        1 => Channels::Grey,
        _ => wanted,
    };
    let mut pixels = zeroed(width * height * channels.count())?;
    let mut rows: Vec<Row> = decoder.planes.iter().map(|_| Row::new(width)).collect();
    for (y, target) in pixels
        .chunks_exact_mut(width.max(1) * channels.count())
        .enumerate()
    {
        for (row, plane) in rows.iter_mut().zip(&decoder.planes) {
            row.copy(plane.samples.get(y * plane.stride..).unwrap_or_default());
        }
        Colours::YCbCr.convert(&rows, channels, target);
    }
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| "is too large a JPEG".to_string());
    Ok(Pixels {
        width: side(width)?,
        height: side(height)?,
        channels,
        samples: pixels,
    })
}

impl<'f> Decoder<'f> {
    fn new(frame: &'f Frame, eighths: u8) -> Result<Self, String> {
        let unsupported = "is a JPEG that cannot be decoded to a smaller size";
        let (columns, rows) = frame.units();
        let mut planes = Vec::with_capacity(frame.components.len());
        for component in &frame.components {
            let across = samples(eighths, component.horizontal, frame.horizontal_max());
            let down = samples(eighths, component.vertical, frame.vertical_max());
            let (across, down) = across.zip(down).ok_or(unsupported)?;
            let stride = columns * component.horizontal * across;
            planes.push(Plane {
                samples: zeroed(stride * rows * component.vertical * down)?,
                stride,
                reduced: Reduced::new(across, down),
                quantisation: None,
            });
        }
        Ok(Self {
            walk: Walk::of_headers(frame),
            quantisation: Quantisation::default(),
            planes,
        })
    }

    fn is_complete(&self) -> bool {
        let mut planes = self.planes.iter();
        planes.all(|plane| plane.quantisation.is_some())
    }

    fn segments(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        let (mut at, mut scans) = (2, 0);
        while let Some(segment) = next_segment(encoded, at) {
            at = segment.end;
            match segment.marker {
                DHT => self.walk.tables(segment.payload)?,
                DQT => self
                    .quantisation
                    .read(segment.payload)
                    .ok_or(Fault::Damaged)?,
                DRI => self.walk.restarts(segment.payload)?,
                APP0 if segment.payload.starts_with(b"AVI1\0") => self.walk.standard_tables(),
                // 12 bits a sample are not supported.
                0xc0..=0xc2 if segment.payload.first() != Some(&8) => return Err(Fault::Damaged),
                SOS => {
                    scans += 1;
                    let scan = self.walk.read_scan(segment.payload);
                    let end = self.scan(&scan.ok_or(Fault::Damaged)?, encoded, at)?;
                    if scans == 1 && self.is_complete() {
                        return has_end(encoded, end);
                    }
                    at = after_scan(encoded, end).ok_or(Fault::Cut)?;
                }
                EOI if self.is_complete() => return Ok(()),
                EOI => return Err(Fault::Cut),
                _ => {}
            }
        }
        Err(Fault::Cut)
    }

    /// The parts of a scan. Each component is sent once.
    fn parts(&mut self, scan: &Scan) -> Result<Vec<(usize, [u16; 64])>, Fault> {
        let mut parts = Vec::with_capacity(scan.parts.len());
        for part in &scan.parts {
            let component = self.walk.component(part).ok_or(Fault::Damaged)?;
            let table = self.quantisation.table(component.quantisation);
            let plane = self.planes.get_mut(part.component).ok_or(Fault::Damaged)?;
            let table = table.ok_or(Fault::Damaged)?;
            if plane.quantisation.replace(table).is_some() {
                return Err(Fault::Damaged);
            }
            parts.push((part.component, table));
        }
        Ok(parts)
    }

    /// Decodes a scan whose data begin at an offset, and returns their end.
    fn scan(&mut self, scan: &Scan, encoded: &[u8], at: usize) -> Result<usize, Fault> {
        let known = self.parts(scan)?;
        let (walk, planes) = (&self.walk, &mut self.planes);
        let mut parts = Vec::with_capacity(known.len());
        for (part, (plane, quantisation)) in scan.parts.iter().zip(known) {
            let reduced = planes.get(plane).map(|plane| plane.reduced.last());
            parts.push(Part {
                plane,
                dc: table(walk.dc(), part.dc)?,
                ac: table(walk.ac(), part.ac)?,
                quantisation,
                blocks: walk.blocks(scan, part),
                last: reduced.ok_or(Fault::Damaged)?,
                predicted: 0,
            });
        }
        let (columns, rows) = walk.grid(scan);
        let mut restarts = Restarts::new(walk.interval());
        let mut bits = Bits::new(encoded, at);
        let mut block = Block {
            values: [[0.0; SIDE]; SIDE],
            rows: 0,
            is_flat: true,
        };
        for row in 0..rows {
            for column in 0..columns {
                if restarts.step(&mut bits)? {
                    parts.iter_mut().for_each(|part| part.predicted = 0);
                }
                for part in &mut parts {
                    let plane = planes.get_mut(part.plane).ok_or(Fault::Damaged)?;
                    let (across, down) = part.blocks;
                    for place in 0..across * down {
                        part.read(&mut bits, &mut block)?;
                        let place = (
                            column * across + place % across,
                            row * down + place / across,
                        );
                        plane.put(&mut block, place);
                    }
                }
            }
        }
        Ok(bits.at())
    }
}

impl Part<'_> {
    /// Reads the coefficients of the next block that the reduced block needs.
    #[inline]
    fn read(&mut self, bits: &mut Bits<'_>, block: &mut Block) -> Result<(), Fault> {
        let quantisation = &self.quantisation;
        let change = bits.values(self.dc, self.ac, self.last, |place, value| {
            let (Some(at), Some(factor)) = (PLACES.get(place), quantisation.get(place)) else {
                return;
            };
            let (row, column) = (usize::from(at >> 3), usize::from(at & 7));
            block.values[row & 7][column] = value as f32 * f32::from(*factor);
            block.rows |= 1 << row;
            block.is_flat = false;
        })?;
        // A block of sequential scans has 16 bits.
        self.predicted = self.predicted.wrapping_add(change);
        block.values[0][0] = f32::from(self.predicted as i16) * f32::from(quantisation[0]);
        block.rows |= 1;
        Ok(())
    }
}
