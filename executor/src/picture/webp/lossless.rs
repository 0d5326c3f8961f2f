//! Memory for decoding a lossless picture. Its number of Huffman tables does not depend on its
//! size: a few megabytes may define some 300,000 tables. So its data are parsed up to the tables.

use super::super::header::SMALL_BUFFERS_BYTES;

/// Bytes of one node of a table's tree, for codes longer than a lookup.
const NODE_BYTES: u64 = 16;
/// Number of bits of a lookup.
const LOOKUP_BITS: usize = 10;
/// Bytes of a group of tables, excluding the tables, in a buffer that doubles.
const GROUP_BYTES: u64 = 3 * 5 * 64;
/// Number of symbols of the five codes of a group; the colour cache adds to the first.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
/// Order of the lengths of the code-length code.
const LENGTH_ORDER: [usize; 19] = [
    17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

/// Memory for decoding besides the pixels; `None` for damaged or truncated data. `is_alpha`: the
/// data of an alpha channel have no header.
pub(super) fn bytes(data: &[u8], width: u64, height: u64, is_alpha: bool) -> Option<u64> {
    let mut bits = Bits { data, at: 0 };
    if !is_alpha {
        bits.skip(40);
    }
    let (mut columns, rows) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    // Two transforms, and the picture of tables twice, with at least one value per block of 4 x 4.
    let mut total = 4 * 4 * width.div_ceil(4) * height.div_ceil(4) + SMALL_BUFFERS_BYTES;
    let mut seen = [false; 4];
    while bits.flag()? {
        let kind = bits.take(2)?;
        if std::mem::replace(seen.get_mut(kind)?, true) {
            return None;
        }
        match kind {
            0 | 1 => {
                let size = bits.take(3)? + 2;
                picture(
                    &mut bits,
                    columns.div_ceil(1 << size),
                    rows.div_ceil(1 << size),
                )?;
            }
            3 => {
                let colours = bits.take(8)? + 1;
                picture(&mut bits, colours, 1)?;
                let packed = match colours {
                    0..=2 => 8,
                    3..=4 => 4,
                    5..=16 => 2,
                    _ => 1,
                };
                columns = columns.div_ceil(packed);
            }
            _ => {}
        }
    }
    let cache = cache(&mut bits)?;
    let mut groups = 1;
    if bits.flag()? {
        let size = bits.take(3)? + 2;
        let last = picture(
            &mut bits,
            columns.div_ceil(1 << size),
            rows.div_ceil(1 << size),
        )?;
        groups = last + 1;
    }
    for _ in 0..groups {
        total += GROUP_BYTES;
        for code in group(&mut bits, cache)? {
            total += code.decoder_bytes();
        }
    }
    Some(total)
}

/// Number of symbols added by the colour cache.
fn cache(bits: &mut Bits<'_>) -> Option<usize> {
    if !bits.flag()? {
        return Some(0);
    }
    match bits.take(4)? {
        size @ 1..=11 => Some(1 << size),
        _ => None,
    }
}

fn group(bits: &mut Bits<'_>, cache: usize) -> Option<[Code; 5]> {
    let [green, red, blue, alpha, distance] = ALPHABETS;
    Some([
        Code::read(bits, green + cache)?,
        Code::read(bits, red)?,
        Code::read(bits, blue)?,
        Code::read(bits, alpha)?,
        Code::read(bits, distance)?,
    ])
}

/// Skips a picture that is part of the header. Returns the maximum value of its first two
/// channels, which is all that a picture of tables is used for: copies and cached colours add no
/// new values.
fn picture(bits: &mut Bits<'_>, columns: usize, rows: usize) -> Option<usize> {
    let cache = cache(bits)?;
    let [green, red, blue, alpha, distance] = group(bits, cache)?;
    let pixels = columns.checked_mul(rows)?;
    let single = [&green, &red, &blue, &alpha].map(|code| code.single);
    if let [Some(green @ 0..256), Some(red), Some(_), Some(_)] = single {
        return Some(red << 8 | green);
    }
    let mut greatest = 0;
    let mut pixel = 0;
    while pixel < pixels {
        match green.symbol(bits)? {
            green @ 0..256 => {
                greatest = greatest.max(red.symbol(bits)? << 8 | green);
                blue.symbol(bits)?;
                alpha.symbol(bits)?;
                pixel += 1;
            }
            length @ 256..280 => {
                pixel += distance_of(bits, length - 256)?;
                let symbol = distance.symbol(bits)?;
                distance_of(bits, symbol)?;
            }
            _ => pixel += 1,
        }
    }
    Some(greatest)
}

/// A length or distance from its symbol and the following bits.
fn distance_of(bits: &mut Bits<'_>, symbol: usize) -> Option<usize> {
    if symbol < 4 {
        return Some(symbol + 1);
    }
    let extra = (symbol - 2) >> 1;
    let offset = (2 + (symbol & 1)) << extra;
    Some(offset + bits.take(extra)? + 1)
}

/// A Huffman code: number of codes of each length, and their symbols in order.
#[derive(Debug)]
struct Code {
    /// The only symbol, which uses no bits.
    single: Option<usize>,
    counts: [usize; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn read(bits: &mut Bits<'_>, alphabet: usize) -> Option<Self> {
        if bits.flag()? {
            return Self::read_simple(bits, alphabet);
        }
        let mut of_lengths = [0u8; 19];
        let count = bits.take(4)? + 4;
        for place in LENGTH_ORDER.iter().take(count) {
            *of_lengths.get_mut(*place)? = u8::try_from(bits.take(3)?).ok()?;
        }
        let code = Self::new(&of_lengths)?;
        let mut lengths = vec![0u8; alphabet];
        let mut left = alphabet;
        if bits.flag()? {
            let size = 2 + 2 * bits.take(3)?;
            left = 2 + bits.take(size)?;
        }
        let (mut symbol, mut previous) = (0, 8);
        while symbol < alphabet && left > 0 {
            left -= 1;
            let (repeat, length) = match code.symbol(bits)? {
                length @ 0..16 => (1, u8::try_from(length).ok()?),
                16 => (bits.take(2)? + 3, previous),
                17 => (bits.take(3)? + 3, 0),
                _ => (bits.take(7)? + 11, 0),
            };
            lengths.get_mut(symbol..symbol + repeat)?.fill(length);
            symbol += repeat;
            if length != 0 {
                previous = length;
            }
        }
        Self::new(&lengths)
    }

    /// One symbol, or two in their order.
    fn read_simple(bits: &mut Bits<'_>, alphabet: usize) -> Option<Self> {
        let has_two = bits.flag()?;
        let size = if bits.flag()? { 8 } else { 1 };
        let mut symbols = vec![u16::try_from(bits.take(size)?).ok()?];
        if has_two {
            symbols.push(u16::try_from(bits.take(8)?).ok()?);
        }
        if symbols
            .iter()
            .any(|symbol| usize::from(*symbol) >= alphabet)
        {
            return None;
        }
        let mut counts = [0; 16];
        counts[1] = symbols.len();
        Some(Self {
            single: symbols
                .first()
                .filter(|_| !has_two)
                .map(|s| usize::from(*s)),
            counts,
            symbols,
        })
    }

    /// The canonical code with these lengths; it must be complete.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0usize; 16];
        let mut ordered: Vec<(u8, u16)> = Vec::new();
        for (symbol, length) in lengths.iter().enumerate() {
            if *length > 0 {
                *counts.get_mut(usize::from(*length))? += 1;
                ordered.push((*length, u16::try_from(symbol).ok()?));
            }
        }
        let single = match ordered.as_slice() {
            [] => return None,
            [(_, symbol)] => Some(usize::from(*symbol)),
            _ => None,
        };
        let used = counts
            .iter()
            .enumerate()
            .map(|(length, count)| count << (15 - length));
        if single.is_none() && used.sum::<usize>() != 1 << 15 {
            return None;
        }
        ordered.sort_unstable();
        Some(Self {
            single,
            counts,
            symbols: ordered.into_iter().map(|(_, symbol)| symbol).collect(),
        })
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        if let Some(symbol) = self.single {
            return Some(symbol);
        }
        let (mut code, mut first, mut place) = (0, 0, 0);
        for count in self.counts.iter().skip(1) {
            code |= bits.take(1)?;
            if code < first + count {
                return self
                    .symbols
                    .get(place + code - first)
                    .map(|s| usize::from(*s));
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    /// Memory of the decoder's tables for this code.
    fn decoder_bytes(&self) -> u64 {
        if self.single.is_some() {
            return 0;
        }
        let longest = self
            .counts
            .iter()
            .rposition(|count| *count > 0)
            .unwrap_or(0);
        let in_tree: usize = self.counts.iter().skip(LOOKUP_BITS + 1).sum();
        let table = 4u64 << longest.min(LOOKUP_BITS);
        // For two symbols the decoder always uses three nodes.
        table + NODE_BYTES * (2 * in_tree as u64).max(3)
    }
}

/// Reads bits, least significant first.
#[derive(Debug)]
struct Bits<'a> {
    data: &'a [u8],
    /// Offset of the next bit.
    at: usize,
}

impl Bits<'_> {
    fn skip(&mut self, count: usize) {
        self.at += count;
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// Reads at most 24 bits.
    fn take(&mut self, count: usize) -> Option<usize> {
        let end = self.at + count;
        if end > 8 * self.data.len() {
            return None;
        }
        let mut number = 0u32;
        let bytes = self.data.get(self.at / 8..).unwrap_or_default();
        for (place, byte) in bytes.iter().take(4).enumerate() {
            number |= u32::from(*byte) << (8 * place);
        }
        let taken = number >> (self.at % 8) & ((1 << count) - 1);
        self.at = end;
        Some(taken as usize)
    }
}
