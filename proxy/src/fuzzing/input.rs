//! Derives choices from an input. Bytes beyond its end are zero, so that every input is valid.

use crate::wire::Capabilities;

/// The rest of an input.
#[derive(Debug, Clone)]
pub(super) struct Input<'a>(&'a [u8]);

/// One step of a conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// Side or kind, interpreted by the target.
    pub(super) tag: u8,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        for (place, byte) in array.iter_mut().zip(self.take(N)) {
            *place = *byte;
        }
        array
    }

    pub(super) fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(super) fn capabilities(&mut self) -> Capabilities {
        Capabilities(u64::from_le_bytes(self.array()))
    }

    /// At most `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// A tag, a 16-bit length, and that many bytes; `None` at the end.
    pub(super) fn record(&mut self) -> Option<Record<'a>> {
        if self.is_empty() {
            return None;
        }
        let tag = self.byte();
        let length = self.u16();
        let bytes = self.take(length.into());
        Some(Record { tag, bytes })
    }
}

/// Splits bytes like reads of a socket might: into pieces of 1 to 40 bytes, deterministic by seed.
pub(super) fn pieces(mut bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed);
    std::iter::from_fn(move || {
        // The constants of Numerical Recipes.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 16) as usize % 40 + 1;
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
