//! Decodes JPEGs whose components are sampled in a way that the usual decoder does not support,
//! such as chroma finer than luma: all coefficients first, then one plane of samples for each
//! component, then rows of pixels.
//!
//! The data of the scans have been checked before.

use super::super::{Channels, Pixels, zeroed};
use super::colour::{Colours, Row};
use super::entropy::{Bits, Fault, Table, signed};
use super::scans::{Part, Restarts, Scan, Walk, after_scan, table};
use super::segments::{self, APP0, DHT, DQT, DRI, EOI, Frame, SOF_LAST, SOS, next_segment};
use super::transform::{BLOCK, Quantisation, samples_of};

/// Whether a frame needs this decoder: its first component is not the finest one, one is sampled
/// by three, or one has several rows of blocks in a unit and others have more.
pub(super) fn is_needed(frame: &Frame) -> bool {
    let first = frame.components.first();
    let is_finest = first.is_none_or(|first| {
        first.horizontal == frame.horizontal_max() && first.vertical == frame.vertical_max()
    });
    let is_odd = |c: &segments::Component| {
        c.horizontal == 3 || c.vertical > 1 && c.vertical < frame.vertical_max()
    };
    frame.components.len() > 1 && (!is_finest || frame.components.iter().any(is_odd))
}

/// Memory besides the pixels: coefficients and planes of all blocks, and rows.
pub(super) fn bytes(frame: &Frame) -> u64 {
    let (columns, rows) = frame.units();
    let blocks: usize = frame
        .components
        .iter()
        .map(|c| c.horizontal * c.vertical)
        .sum();
    let samples = 64 * columns as u64 * rows as u64 * blocks as u64;
    3 * samples + 16 * (frame.width + 64) as u64
}

/// One component: its coefficients, and how they are stored.
struct Component {
    /// Blocks of 64, in the order in which they are sent, rows of blocks from the top.
    coefficients: Vec<i16>,
    /// Number of blocks in a row.
    stride: usize,
    quantisation: Option<[u16; BLOCK]>,
    /// Last first coefficient.
    predicted: i32,
}

impl Component {
    fn block(&mut self, column: usize, row: usize) -> Result<&mut [i16; BLOCK], Fault> {
        let (blocks, _) = self.coefficients.as_chunks_mut::<BLOCK>();
        blocks
            .get_mut(row * self.stride + column)
            .ok_or(Fault::Damaged)
    }
}

struct Decoder<'f> {
    frame: &'f Frame,
    walk: Walk<'f>,
    quantisation: Quantisation,
    components: Vec<Component>,
}

/// Decodes to the wanted channels.
pub(super) fn decode(encoded: &[u8], frame: &Frame, wanted: Channels) -> Result<Pixels, String> {
    let colours =
        Colours::read(encoded, frame).ok_or("is a JPEG with an unsupported colour space")?;
    let mut decoder = Decoder::new(frame)?;
    decoder.segments(encoded).map_err(|_fault| {
        "is a damaged or unsupported JPEG (its entropy-coded data)".to_string()
    })?;
    let channels = colours.channels(wanted);
    let planes = decoder.planes()?;
    let (width, height) = (frame.width, frame.height);
    let mut samples = zeroed(width * height * channels.count())?;
    let mut rows: Vec<Row> = frame.components.iter().map(|_| Row::new(width)).collect();
    let targets = samples.chunks_exact_mut(width.max(1) * channels.count());
    for (y, target) in targets.enumerate() {
        for ((row, plane), component) in rows.iter_mut().zip(&planes).zip(&frame.components) {
            row.fill(&plane.samples, plane.stride, component, frame, y);
        }
        colours.convert(&rows, channels, target);
    }
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| "is too large a JPEG".to_string());
    Ok(Pixels {
        width: side(width)?,
        height: side(height)?,
        channels,
        samples,
    })
}

/// Samples of one component.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
}

impl<'f> Decoder<'f> {
    fn new(frame: &'f Frame) -> Result<Self, String> {
        let (columns, rows) = frame.units();
        let mut components = Vec::with_capacity(frame.components.len());
        for component in &frame.components {
            let stride = columns * component.horizontal;
            let count = stride * rows * component.vertical * BLOCK;
            let mut coefficients = Vec::new();
            let got = coefficients.try_reserve_exact(count);
            got.map_err(|_| crate::picture::OUT_OF_MEMORY.to_string())?;
            coefficients.resize(count, 0);
            components.push(Component {
                coefficients,
                stride,
                quantisation: None,
                predicted: 0,
            });
        }
        Ok(Self {
            frame,
            walk: Walk::of_headers(frame),
            quantisation: Quantisation::default(),
            components,
        })
    }

    fn segments(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        let mut at = 2;
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
                0xc0..=SOF_LAST if segment.payload.first() != Some(&8) => {
                    return Err(Fault::Damaged);
                }
                SOS => {
                    let end = self.scan(segment.payload, encoded, at)?;
                    match after_scan(encoded, end) {
                        Some(next) => at = next,
                        None => return Ok(()),
                    }
                }
                EOI => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    fn scan(&mut self, header: &[u8], encoded: &[u8], at: usize) -> Result<usize, Fault> {
        let scan = self.walk.read_scan(header).ok_or(Fault::Damaged)?;
        for part in &scan.parts {
            let numbered = self.frame.components.get(part.component);
            let number = numbered.ok_or(Fault::Damaged)?.quantisation;
            let table = self.quantisation.table(number);
            let component = self.components.get_mut(part.component);
            let component = component.ok_or(Fault::Damaged)?;
            component.quantisation = component.quantisation.or(table);
        }
        let (columns, rows) = self.walk.grid(&scan);
        let mut restarts = Restarts::new(self.walk.interval());
        let mut bits = Bits::new(encoded, at);
        let mut ended = 0;
        self.restart();
        for row in 0..rows {
            for column in 0..columns {
                if restarts.step(&mut bits)? {
                    ended = 0;
                    self.restart();
                }
                for part in &scan.parts {
                    let (across, down) = self.walk.blocks(&scan, part);
                    for place in 0..across * down {
                        let column = column * across + place % across;
                        let row = row * down + place / across;
                        self.block(&scan, part, (column, row), &mut bits, &mut ended)?;
                    }
                }
            }
        }
        Ok(bits.at())
    }

    fn restart(&mut self) {
        for component in &mut self.components {
            component.predicted = 0;
        }
    }

    fn block(
        &mut self,
        scan: &Scan,
        part: &Part,
        (column, row): (usize, usize),
        bits: &mut Bits<'_>,
        ended: &mut u32,
    ) -> Result<(), Fault> {
        let component = self.components.get_mut(part.component);
        let component = component.ok_or(Fault::Damaged)?;
        let sends_first = scan.band.0 == 0;
        if sends_first && scan.before.is_none() {
            let size = bits.symbol(table(self.walk.dc(), part.dc)?)? & 15;
            let change = signed(bits.take(size.into())?, size.into());
            component.predicted = component.predicted.wrapping_add(change);
        }
        let predicted = component.predicted;
        let block = component.block(column, row)?;
        if !self.frame.progressive {
            block[0] = predicted as i16;
            return sequential(bits, table(self.walk.ac(), part.ac)?, block);
        }
        match (sends_first, scan.before.is_some()) {
            (true, false) => block[0] = (predicted << scan.low) as i16,
            (true, true) => block[0] |= (bits.take(1)? << scan.low) as i16,
            (false, false) => {
                let table = table(self.walk.ac(), part.ac)?;
                first(bits, table, scan, block, ended)?;
            }
            (false, true) => {
                let table = table(self.walk.ac(), part.ac)?;
                refine(bits, table, scan, block, ended)?;
            }
        }
        Ok(())
    }

    /// The samples of all components. Coefficients are freed as they are used.
    fn planes(self) -> Result<Vec<Plane>, String> {
        let mut planes = Vec::with_capacity(self.components.len());
        for component in self.components {
            let table = component.quantisation;
            let table = table.ok_or("is a damaged JPEG (a quantisation table is missing)")?;
            let mut samples = zeroed(component.coefficients.len())?;
            let stride = 8 * component.stride;
            let (blocks, _) = component.coefficients.as_chunks::<BLOCK>();
            let rows = samples.chunks_exact_mut((8 * stride).max(1));
            for (row, blocks) in rows.zip(blocks.chunks_exact(component.stride.max(1))) {
                for (number, block) in blocks.iter().enumerate() {
                    let decoded = samples_of(block, &table);
                    let lines = row.chunks_exact_mut(stride);
                    for (line, samples) in lines.zip(decoded.as_chunks::<8>().0) {
                        if let Some(target) = line.get_mut(8 * number..8 * number + 8) {
                            target.copy_from_slice(samples);
                        }
                    }
                }
            }
            planes.push(Plane { samples, stride });
        }
        Ok(planes)
    }
}

/// The coefficients of a block of a sequential scan, except the first.
fn sequential(bits: &mut Bits<'_>, table: &Table, block: &mut [i16; BLOCK]) -> Result<(), Fault> {
    let mut place = 1;
    while place < BLOCK {
        let symbol = bits.symbol(table)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (15, 0) => place += 16,
            (_, 0) => break,
            _ => {
                place += run;
                let value = signed(bits.take(size)?, size);
                *block.get_mut(place).ok_or(Fault::Damaged)? = value as i16;
                place += 1;
            }
        }
    }
    Ok(())
}

/// The first bits of coefficients of a band.
fn first(
    bits: &mut Bits<'_>,
    table: &Table,
    scan: &Scan,
    block: &mut [i16; BLOCK],
    ended: &mut u32,
) -> Result<(), Fault> {
    if *ended > 0 {
        *ended -= 1;
        return Ok(());
    }
    let (first, last) = scan.band;
    let mut place = first;
    while place <= last {
        let symbol = bits.symbol(table)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (15, 0) => place += 16,
            (_, 0) => {
                *ended = (1 << run) + bits.take(run)? - 1;
                break;
            }
            _ => {
                place += run;
                let value = signed(bits.take(size)?, size) << scan.low;
                *block.get_mut(place as usize).ok_or(Fault::Damaged)? = value as i16;
                place += 1;
            }
        }
    }
    Ok(())
}

/// One more bit of coefficients of a band.
fn refine(
    bits: &mut Bits<'_>,
    table: &Table,
    scan: &Scan,
    block: &mut [i16; BLOCK],
    ended: &mut u32,
) -> Result<(), Fault> {
    let (first, last) = scan.band;
    let bit = 1i16.checked_shl(scan.low.into()).ok_or(Fault::Damaged)?;
    let mut place = first as usize;
    let last = last as usize;
    while *ended == 0 && place <= last {
        let symbol = bits.symbol(table)?;
        let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
        let mut new = 0;
        if size != 0 {
            new = if bits.take(1)? == 1 { bit } else { -bit };
        } else if run != 15 {
            *ended = (1 << run) + bits.take(run)?;
            break;
        }
        while place <= last {
            let value = block.get_mut(place).ok_or(Fault::Damaged)?;
            if *value != 0 {
                more(bits, value, bit)?;
            } else if run == 0 {
                *value = new;
                break;
            } else {
                run -= 1;
            }
            place += 1;
        }
        place += 1;
    }
    if *ended > 0 {
        for value in block.get_mut(place..=last).unwrap_or_default() {
            if *value != 0 {
                more(bits, value, bit)?;
            }
        }
        *ended -= 1;
    }
    Ok(())
}

/// One more bit of a coefficient that is not 0.
fn more(bits: &mut Bits<'_>, value: &mut i16, bit: i16) -> Result<(), Fault> {
    if bits.take(1)? == 1 && *value & bit == 0 {
        *value = value.wrapping_add(if *value > 0 { bit } else { -bit });
    }
    Ok(())
}
