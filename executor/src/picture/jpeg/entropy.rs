//! Measures the length of a JPEG's entropy-coded data: Huffman codes and the bits after them are
//! skipped, not decoded.

/// Number of bits of a code used by one lookup.
const LOOKUP_BITS: u32 = 10;
/// Maximum length of a Huffman code, in bits.
const CODE_BITS_MAX: u32 = 16;
/// Number of coefficients of a block; also the step that ends a block.
pub(super) const BLOCK: u32 = 64;

/// Error in the data of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data end before the last block.
    Cut,
    /// The data contain a code that is in no table, or use a missing table.
    Damaged,
}

/// A Huffman table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// By the next bits: length of the code and symbol; 0 for longer codes.
    codes: Box<[u16; 1 << LOOKUP_BITS]>,
    /// The same for coefficients of sequential scans: combined length of code and value, and the
    /// number of coefficients covered (`BLOCK` at the end of a block).
    steps: Box<[u16; 1 << LOOKUP_BITS]>,
    /// The same for coefficients whose code and value fit into a lookup: value, number of
    /// coefficients passed before it, and length in bits; 0 for others.
    values: Box<[u32; 1 << LOOKUP_BITS]>,
    /// By length: the first code beyond those of that length, aligned to 16 bits.
    ends: [u32; CODE_BITS_MAX as usize + 1],
    /// By length: the number to add to a code for the index of its symbol.
    offsets: [i32; CODE_BITS_MAX as usize + 1],
    symbols: Vec<u8>,
}

fn step(length: u32, symbol: u8) -> u16 {
    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    let advance = match (size, run) {
        (0, 15) => 16,
        (0, _) => BLOCK,
        _ => run + 1,
    };
    // At most 31 bits and 64 coefficients.
    ((length + size) << 8 | advance) as u16
}

impl Table {
    /// A table built from the number of codes of each length, and their symbols.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            codes: Box::new([0; 1 << LOOKUP_BITS]),
            steps: Box::new([0; 1 << LOOKUP_BITS]),
            values: Box::new([0; 1 << LOOKUP_BITS]),
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=CODE_BITS_MAX {
            let index = length as usize;
            let count = u32::from(*counts.get(index - 1)?);
            *table.offsets.get_mut(index)? = i32::try_from(place).ok()? - code as i32;
            for _ in 0..count {
                let symbol = *symbols.get(place)?;
                if length <= LOOKUP_BITS {
                    let shift = LOOKUP_BITS - length;
                    let range = (code << shift) as usize..((code + 1) << shift) as usize;
                    let entry = (length << 8) as u16 | u16::from(symbol);
                    table.codes.get_mut(range.clone())?.fill(entry);
                    table.steps.get_mut(range)?.fill(step(length, symbol));
                }
                code += 1;
                place += 1;
            }
            if code > 1 << length {
                return None;
            }
            *table.ends.get_mut(index)? = code << (CODE_BITS_MAX - length);
            code <<= 1;
        }
        table.fill_values();
        Some(table)
    }

    /// Fills the lookup of values from that of codes.
    fn fill_values(&mut self) {
        for (bits, (entry, value)) in self.codes.iter().zip(self.values.iter_mut()).enumerate() {
            let (length, symbol) = (u32::from(entry >> 8), u32::from(entry & 0xff));
            let (run, size) = (symbol >> 4, symbol & 15);
            let whole = length + size;
            if length == 0 || size == 0 || whole > LOOKUP_BITS {
                continue;
            }
            let number = bits as u32 >> (LOOKUP_BITS - whole) & ((1 << size) - 1);
            *value = (signed(number, size) as u32) << 16 | run << 8 | whole;
        }
    }

    /// Length and symbol of a code longer than a lookup, in the top of 16 bits.
    #[cold]
    fn long(&self, bits: u32) -> Result<(u32, u8), Fault> {
        for length in LOOKUP_BITS + 1..=CODE_BITS_MAX {
            let index = length as usize;
            if bits < self.ends[index] {
                let code = (bits >> (CODE_BITS_MAX - length)) as i32;
                let place =
                    usize::try_from(code + self.offsets[index]).map_err(|_| Fault::Damaged)?;
                let symbol = self.symbols.get(place).ok_or(Fault::Damaged)?;
                return Ok((length, *symbol));
            }
        }
        Err(Fault::Damaged)
    }
}

/// Reads the bits between two markers.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Offset of the first byte that is not in `buffer`, never beyond a marker.
    at: usize,
    /// The next bits, starting at the most significant.
    buffer: u64,
    /// Number of bits in the buffer.
    left: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self {
            data,
            at,
            buffer: 0,
            left: 0,
        }
    }

    /// Offset from which to search for the next marker.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads bytes until there are at least 32 bits, or the end of the data is reached.
    #[inline]
    fn refill(&mut self) {
        let next = self.data.get(self.at..self.at + 8);
        if let Some(&[a, b, c, d, e, f, g, h]) = next {
            let word = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            // No byte is 0xff if no byte of the complement is 0.
            let complement = !word;
            if complement.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= word >> self.left;
                self.at += ((63 - self.left) >> 3) as usize;
                self.left |= 56;
                return;
            }
        }
        self.refill_bytes();
    }

    fn refill_bytes(&mut self) {
        while self.left <= 56 {
            let (byte, next) = match self.data.get(self.at) {
                Some(0xff) => {
                    let rest = self.data.get(self.at..).unwrap_or_default();
                    let fill = rest.iter().take_while(|byte| **byte == 0xff).count();
                    if rest.get(fill) != Some(&0) {
                        return;
                    }
                    (0xff, self.at + fill + 1)
                }
                Some(byte) => (*byte, self.at + 1),
                None => return,
            };
            self.buffer |= u64::from(byte) << (56 - self.left);
            self.left += 8;
            self.at = next;
        }
    }

    #[inline]
    fn ready(&mut self) {
        if self.left < 32 {
            self.refill();
        }
    }

    /// Skips bits that are in the buffer.
    #[inline]
    fn consume(&mut self, count: u32) -> Result<(), Fault> {
        self.left = self.left.checked_sub(count).ok_or(Fault::Cut)?;
        self.buffer <<= count;
        Ok(())
    }

    /// Skips any number of bits.
    pub(super) fn skip(&mut self, mut count: u32) -> Result<(), Fault> {
        while count > 0 {
            self.ready();
            let now = count.min(16);
            self.consume(now)?;
            count -= now;
        }
        Ok(())
    }

    /// Reads at most 16 bits as a number.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Fault> {
        self.ready();
        let bits = (self.buffer >> 32) as u32;
        self.consume(count)?;
        Ok(bits.checked_shr(32 - count).unwrap_or(0))
    }

    /// Reads the next code's symbol.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Fault> {
        self.ready();
        let entry = table.codes[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        let (length, symbol) = if entry == 0 {
            self.long(table)?
        } else {
            (u32::from(entry >> 8), (entry & 0xff) as u8)
        };
        self.consume(length)?;
        Ok(symbol)
    }

    #[cold]
    fn long(&self, table: &Table) -> Result<(u32, u8), Fault> {
        let found = table.long((self.buffer >> 48) as u32);
        // Zero bits after the end may look like any code.
        found.map_err(|fault| {
            if self.left < CODE_BITS_MAX {
                Fault::Cut
            } else {
                fault
            }
        })
    }

    /// Skips a block of a sequential scan.
    #[inline]
    pub(super) fn block(&mut self, dc: &Table, ac: &Table) -> Result<(), Fault> {
        let size = self.symbol(dc)?;
        self.consume(u32::from(size & 15))?;
        self.rest(ac, 1)
    }

    /// Reads a block of a sequential scan up to place `last`: returns the change of its first
    /// coefficient, and gives the places and values of others. The rest is skipped.
    #[inline]
    pub(super) fn values(
        &mut self,
        dc: &Table,
        ac: &Table,
        last: u32,
        mut give: impl FnMut(usize, i32),
    ) -> Result<i32, Fault> {
        let size = u32::from(self.symbol(dc)? & 15);
        let change = signed(self.take(size)?, size);
        let mut place = 1;
        while place <= last {
            self.ready();
            let entry = ac.values[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
            if entry != 0 {
                self.consume(entry & 0xff)?;
                place += entry >> 8 & 0xff;
                if place <= last {
                    give(place as usize, entry as i32 >> 16);
                }
                place += 1;
                continue;
            }
            let symbol = self.symbol(ac)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (run, size) {
                (15, 0) => place += 16,
                (_, 0) => return Ok(change),
                _ => {
                    place += run;
                    let value = signed(self.take(size)?, size);
                    if place <= last {
                        give(place as usize, value);
                    }
                    place += 1;
                }
            }
        }
        self.rest(ac, place)?;
        Ok(change)
    }

    /// Skips the coefficients of a block of a sequential scan from `place` on.
    #[inline]
    fn rest(&mut self, ac: &Table, mut place: u32) -> Result<(), Fault> {
        while place < BLOCK {
            self.ready();
            let mut entry = ac.steps[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
            if entry == 0 {
                let (length, symbol) = self.long(ac)?;
                entry = step(length, symbol);
            }
            self.consume(u32::from(entry >> 8))?;
            place += u32::from(entry & 0xff);
        }
        Ok(())
    }

    /// Skips the rest of an interval and restart marker `number`.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Fault> {
        let at = next_marker(self.data, self.at).ok_or(Fault::Cut)?;
        if self.data.get(at + 1) != Some(&(0xd0 + number)) {
            return Err(Fault::Cut);
        }
        *self = Self::new(self.data, at + 2);
        Ok(())
    }
}

/// The number that bits of a size stand for.
#[inline]
pub(super) fn signed(bits: u32, size: u32) -> i32 {
    let number = bits as i32;
    match size {
        0 => 0,
        size if bits >> (size - 1) == 0 => number - (1 << size) + 1,
        _ => number,
    }
}

/// Offset of the next marker: 0xff and a byte that is neither 0 nor 0xff.
pub(super) fn next_marker(data: &[u8], at: usize) -> Option<usize> {
    let pairs = data.get(at..)?.windows(2);
    let found = pairs
        .into_iter()
        .position(|pair| matches!(pair, [0xff, second] if !matches!(second, 0 | 0xff)))?;
    Some(at + found)
}
