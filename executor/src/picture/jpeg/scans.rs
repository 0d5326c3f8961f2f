//! Checks that the data of a JPEG's scans are complete up to the last block.
//!
//! Decoders fill in missing data: a truncated image with an end marker appended, or one whose
//! header claims too many rows, would be predicted from half a picture. So the codes of every scan
//! are skipped through first, which costs a small part of decoding, and every block must have its
//! own codes. A progressive image must have all bits of all its coefficients.

use super::entropy::{Bits, Fault, Table, next_marker};
use super::segments::{APP0, Component, DHT, DRI, EOI, Frame, SOS, next_segment};
use super::standard;

/// Checks all scans.
pub(super) fn check(encoded: &[u8], frame: &Frame) -> Result<(), String> {
    let mut walk = Walk::new(frame)?;
    let checked = walk.segments(encoded);
    checked.map_err(|fault| match fault {
        Fault::Cut => "is a JPEG that is cut off".to_string(),
        Fault::Damaged => "is a damaged JPEG (its entropy-coded data)".to_string(),
    })
}

/// Data seen so far of one component.
#[derive(Debug)]
struct Seen {
    /// Lowest bit position sent of each coefficient.
    precision: [Option<u8>; 64],
    /// For a progressive frame: one bit per coefficient of each block, set if it is not 0.
    coefficients: Vec<u64>,
    /// Number of blocks in a row of `coefficients`.
    stride: usize,
}

#[derive(Debug)]
pub(super) struct Walk<'f> {
    frame: &'f Frame,
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// Number of units between restart markers; 0 for none.
    interval: usize,
    seen: Vec<Seen>,
}

/// One component's part in a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) component: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// A scan header.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) parts: Vec<Part>,
    /// First and last coefficient.
    pub(super) band: (u32, u32),
    /// Bit position down to which the coefficients were sent before; none for coefficients sent
    /// for the first time.
    pub(super) before: Option<u8>,
    /// Bit position of this scan.
    pub(super) low: u8,
}

impl<'f> Walk<'f> {
    fn new(frame: &'f Frame) -> Result<Self, String> {
        let (columns, rows) = frame.units();
        let mut seen = Vec::with_capacity(frame.components.len());
        for component in &frame.components {
            let stride = columns * component.horizontal;
            let blocks = stride * rows * component.vertical;
            let mut coefficients = Vec::new();
            if frame.progressive {
                let got = coefficients.try_reserve_exact(blocks);
                got.map_err(|_| crate::picture::OUT_OF_MEMORY.to_string())?;
                coefficients.resize(blocks, 0);
            }
            seen.push(Seen {
                precision: [None; 64],
                coefficients,
                stride,
            });
        }
        Ok(Self {
            seen,
            ..Self::of_headers(frame)
        })
    }

    /// One that only reads headers and tables.
    pub(super) fn of_headers(frame: &'f Frame) -> Self {
        Self {
            frame,
            dc: [None, None, None, None],
            ac: [None, None, None, None],
            interval: 0,
            seen: Vec::new(),
        }
    }

    fn segments(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        let mut at = 2;
        let mut scans = 0;
        while let Some(segment) = next_segment(encoded, at) {
            at = segment.end;
            match segment.marker {
                DHT => self.tables(segment.payload)?,
                DRI => self.restarts(segment.payload)?,
                APP0 if segment.payload.starts_with(b"AVI1\0") => self.standard_tables(),
                SOS => {
                    scans += 1;
                    let end = self.scan(segment.payload, encoded, at)?;
                    // The decoder stops here, whatever follows.
                    if scans == 1 && !self.frame.progressive && self.is_complete() {
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

    /// Sets the restart interval.
    pub(super) fn restarts(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let bytes = payload.first_chunk().ok_or(Fault::Damaged)?;
        self.interval = usize::from(u16::from_be_bytes(*bytes));
        Ok(())
    }

    /// Number of units between restart markers; 0 for none.
    pub(super) fn interval(&self) -> usize {
        self.interval
    }

    /// Tables of first coefficients.
    pub(super) fn dc(&self) -> &[Option<Table>; 4] {
        &self.dc
    }

    /// Tables of the other coefficients.
    pub(super) fn ac(&self) -> &[Option<Table>; 4] {
        &self.ac
    }

    /// Whether all bits of all coefficients of all components were sent.
    fn is_complete(&self) -> bool {
        let mut precisions = self.seen.iter().flat_map(|seen| &seen.precision);
        precisions.all(|precision| *precision == Some(0))
    }

    pub(super) fn tables(&mut self, mut payload: &[u8]) -> Result<(), Fault> {
        while let Some((&[head], rest)) = payload.split_first_chunk() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Fault::Damaged)?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(count).ok_or(Fault::Damaged)?;
            let table = Table::new(counts, symbols).ok_or(Fault::Damaged)?;
            let tables = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Fault::Damaged),
            };
            *tables
                .get_mut(usize::from(head & 15))
                .ok_or(Fault::Damaged)? = Some(table);
            payload = rest;
        }
        Ok(())
    }

    /// Frames of videos omit tables that are the same for all frames.
    pub(super) fn standard_tables(&mut self) {
        for (place, table) in self.dc.iter_mut().zip(standard::dc()) {
            *place = place.take().or(table);
        }
        for (place, table) in self.ac.iter_mut().zip(standard::ac()) {
            *place = place.take().or(table);
        }
    }

    /// Skips through a scan whose data begin at an offset, and returns their end.
    fn scan(&mut self, header: &[u8], encoded: &[u8], at: usize) -> Result<usize, Fault> {
        let scan = self.read_scan(header).ok_or(Fault::Damaged)?;
        let bits = Bits::new(encoded, at);
        let end = if self.frame.progressive {
            self.progressive(&scan, bits)?
        } else {
            self.sequential(&scan, bits)?
        };
        let (first, last) = scan.band;
        for part in &scan.parts {
            let seen = self.seen.get_mut(part.component).ok_or(Fault::Damaged)?;
            let band = seen.precision.get_mut(first as usize..=last as usize);
            let band = band.ok_or(Fault::Damaged)?;
            // Each bit is sent once, in order; otherwise the image would not be complete before
            // its last scan.
            if band.iter().any(|precision| *precision != scan.before) {
                return Err(Fault::Damaged);
            }
            band.fill(Some(scan.low));
        }
        Ok(end)
    }

    pub(super) fn read_scan(&self, header: &[u8]) -> Option<Scan> {
        let (&[count], rest) = header.split_first_chunk()?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, position] = rest.first_chunk()?;
        let part = |bytes: &[u8]| match *bytes {
            [id, tables] => Some(Part {
                component: self.frame.components.iter().position(|c| c.id == id)?,
                dc: usize::from(tables >> 4),
                ac: usize::from(tables & 15),
            }),
            _ => None,
        };
        let parts: Vec<Part> = parts.chunks_exact(2).map(part).collect::<Option<_>>()?;
        if parts.is_empty() || last > 63 || first > last {
            return None;
        }
        if !self.frame.progressive {
            return Some(Scan {
                parts,
                band: (0, 63),
                before: None,
                low: 0,
            });
        }
        // Coefficients other than the first are sent for one component at a time.
        if first == 0 && last != 0 || first > 0 && parts.len() > 1 {
            return None;
        }
        let (high, low) = (position >> 4, position & 15);
        if high != 0 && high != low + 1 {
            return None;
        }
        Some(Scan {
            parts,
            band: (first.into(), last.into()),
            before: Some(high).filter(|high| *high != 0),
            low,
        })
    }

    /// The component of a part.
    pub(super) fn component(&self, part: &Part) -> Option<&'f Component> {
        self.frame.components.get(part.component)
    }

    /// Columns and rows of units of a scan.
    pub(super) fn grid(&self, scan: &Scan) -> (usize, usize) {
        let frame = self.frame;
        if let [part] = scan.parts.as_slice()
            && let Some(component) = frame.components.get(part.component)
        {
            let samples =
                |side: usize, own: usize, max: usize| (side * own).div_ceil(max).div_ceil(8);
            return (
                samples(frame.width, component.horizontal, frame.horizontal_max()),
                samples(frame.height, component.vertical, frame.vertical_max()),
            );
        }
        frame.units()
    }

    /// Blocks of each part in one unit, across and down: a single component is not interleaved.
    pub(super) fn blocks(&self, scan: &Scan, part: &Part) -> (usize, usize) {
        match self.frame.components.get(part.component) {
            Some(component) if scan.parts.len() > 1 => (component.horizontal, component.vertical),
            _ => (1, 1),
        }
    }

    fn sequential(&self, scan: &Scan, mut bits: Bits<'_>) -> Result<usize, Fault> {
        let mut parts = Vec::with_capacity(scan.parts.len());
        for part in &scan.parts {
            let (across, down) = self.blocks(scan, part);
            parts.push((
                table(&self.dc, part.dc)?,
                table(&self.ac, part.ac)?,
                across * down,
            ));
        }
        let (columns, rows) = self.grid(scan);
        let mut restarts = Restarts::new(self.interval);
        for _ in 0..columns * rows {
            restarts.step(&mut bits)?;
            for (dc, ac, blocks) in &parts {
                for _ in 0..*blocks {
                    bits.block(dc, ac)?;
                }
            }
        }
        Ok(bits.at())
    }

    fn progressive(&mut self, scan: &Scan, bits: Bits<'_>) -> Result<usize, Fault> {
        match (scan.band.0, scan.before.is_some()) {
            (0, true) => self.refine_dc(scan, bits),
            (0, false) => self.first_dc(scan, bits),
            (_, refines) => self.coefficients(scan, bits, refines),
        }
    }

    fn refine_dc(&self, scan: &Scan, mut bits: Bits<'_>) -> Result<usize, Fault> {
        let blocks = scan.parts.iter().map(|part| self.blocks(scan, part));
        let count = blocks.map(|(across, down)| across * down).sum::<usize>();
        let count = u32::try_from(count).map_err(|_| Fault::Damaged)?;
        let (columns, rows) = self.grid(scan);
        let mut restarts = Restarts::new(self.interval);
        for _ in 0..columns * rows {
            restarts.step(&mut bits)?;
            bits.skip(count)?;
        }
        Ok(bits.at())
    }

    fn first_dc(&self, scan: &Scan, mut bits: Bits<'_>) -> Result<usize, Fault> {
        let mut parts = Vec::with_capacity(scan.parts.len());
        for part in &scan.parts {
            let (across, down) = self.blocks(scan, part);
            parts.push((table(&self.dc, part.dc)?, across * down));
        }
        let (columns, rows) = self.grid(scan);
        let mut restarts = Restarts::new(self.interval);
        for _ in 0..columns * rows {
            restarts.step(&mut bits)?;
            for (dc, blocks) in &parts {
                for _ in 0..*blocks {
                    let size = bits.symbol(dc)?;
                    bits.skip((size & 15).into())?;
                }
            }
        }
        Ok(bits.at())
    }

    /// A scan of coefficients other than the first, of one component.
    fn coefficients(
        &mut self,
        scan: &Scan,
        mut bits: Bits<'_>,
        refines: bool,
    ) -> Result<usize, Fault> {
        let (columns, rows) = self.grid(scan);
        let part = scan.parts.first().ok_or(Fault::Damaged)?;
        let table = table(&self.ac, part.ac)?;
        let seen = self.seen.get_mut(part.component).ok_or(Fault::Damaged)?;
        let mut restarts = Restarts::new(self.interval);
        // Number of blocks without new data, according to an end-of-band code.
        let mut ended = 0u32;
        for row in 0..rows {
            for column in 0..columns {
                if restarts.step(&mut bits)? {
                    ended = 0;
                }
                if ended > 0 && !refines {
                    ended -= 1;
                    continue;
                }
                let place = row * seen.stride + column;
                let block = seen.coefficients.get_mut(place).ok_or(Fault::Damaged)?;
                if refines {
                    refine_block(&mut bits, table, scan.band, block, &mut ended)?;
                } else {
                    first_block(&mut bits, table, scan.band, block, &mut ended)?;
                }
            }
        }
        Ok(bits.at())
    }
}

/// Skips a block's coefficients of a band, sent for the first time.
fn first_block(
    bits: &mut Bits<'_>,
    table: &Table,
    (first, last): (u32, u32),
    block: &mut u64,
    ended: &mut u32,
) -> Result<(), Fault> {
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
                *block |= 1u64.checked_shl(place).ok_or(Fault::Damaged)?;
                bits.skip(size)?;
                place += 1;
            }
        }
    }
    Ok(())
}

/// Skips one more bit of a block's coefficients of a band: each nonzero coefficient has its own
/// bit, and some become nonzero.
fn refine_block(
    bits: &mut Bits<'_>,
    table: &Table,
    (first, last): (u32, u32),
    block: &mut u64,
    ended: &mut u32,
) -> Result<(), Fault> {
    let known = *block;
    let mut place = first;
    while *ended == 0 && place <= last {
        let symbol = bits.symbol(table)?;
        let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
        if size != 0 {
            bits.skip(1)?;
        } else if run != 15 {
            *ended = (1 << run) + bits.take(run)?;
            break;
        }
        // Skips `run` zeros, and the known nonzero coefficients among them.
        while place <= last {
            if known >> place & 1 == 1 {
                bits.skip(1)?;
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            place += 1;
        }
        if size != 0 {
            *block |= 1u64.checked_shl(place).unwrap_or(0);
        }
        place += 1;
    }
    if *ended > 0 {
        let band =
            known.checked_shr(place).unwrap_or(0) & (u64::MAX >> (63 - (last.max(place) - place)));
        if place <= last {
            bits.skip(band.count_ones())?;
        }
        *ended -= 1;
    }
    Ok(())
}

/// Counts units up to the next restart marker.
#[derive(Debug)]
pub(super) struct Restarts {
    interval: usize,
    left: usize,
    number: u8,
}

impl Restarts {
    pub(super) fn new(interval: usize) -> Self {
        Self {
            interval,
            left: interval,
            number: 0,
        }
    }

    /// Called before each unit. Returns whether a marker was passed.
    #[inline]
    pub(super) fn step(&mut self, bits: &mut Bits<'_>) -> Result<bool, Fault> {
        if self.interval == 0 {
            return Ok(false);
        }
        if self.left > 0 {
            self.left -= 1;
            return Ok(false);
        }
        bits.restart(self.number)?;
        self.number = (self.number + 1) % 8;
        self.left = self.interval - 1;
        Ok(true)
    }
}

pub(super) fn table(tables: &[Option<Table>; 4], number: usize) -> Result<&Table, Fault> {
    let table = tables.get(number).and_then(Option::as_ref);
    table.ok_or(Fault::Damaged)
}

/// Start of the segment that follows a scan, after restart markers without data.
pub(super) fn after_scan(encoded: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = next_marker(encoded, at)?;
        match encoded.get(at + 1) {
            Some(0xd0..=0xd7) => at += 2,
            _ => return Some(at),
        }
    }
}

/// Whether there is an end marker after the last scan. Bytes after the end are allowed.
pub(super) fn has_end(encoded: &[u8], at: usize) -> Result<(), Fault> {
    let data = encoded.get(at..).unwrap_or_default();
    let found = data.windows(2).any(|pair| pair == [0xff, EOI]);
    if found { Ok(()) } else { Err(Fault::Cut) }
}
