//! How the stored pixels of an image are turned for looking at it: EXIF's tag, values 1 to 8.

/// From stored to upright pixels: both axes may run backwards, and then be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orientation {
    /// Stored columns are upright rows.
    pub(super) swapped: bool,
    /// The first stored column is the last one in its upright direction.
    pub(super) columns_reversed: bool,
    /// The first stored row is the last one in its upright direction.
    pub(super) rows_reversed: bool,
}

impl Orientation {
    /// Meaning of a tag's value; none outside 1 to 8.
    pub(super) fn of_tag(value: u32) -> Option<Self> {
        let (swapped, columns_reversed, rows_reversed) = match value {
            1 => (false, false, false),
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => return None,
        };
        Some(Self {
            swapped,
            columns_reversed,
            rows_reversed,
        })
    }

    /// Whether the pixels are stored upright.
    pub(super) fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// A pair of the two directions, such as a size: from stored to upright, or back.
    pub(super) fn pair<T>(self, (first, second): (T, T)) -> (T, T) {
        if self.swapped {
            (second, first)
        } else {
            (first, second)
        }
    }

    /// Calls with each upright row's stored pixels: the offset of its first one, and the step from
    /// one to the next, in pixels, for stored pixels of that size.
    pub(super) fn rows(self, (width, height): (usize, usize)) -> Vec<(usize, isize)> {
        let step = |reversed: bool, step: usize| {
            let step = isize::try_from(step).unwrap_or(isize::MAX);
            if reversed { -step } else { step }
        };
        let column = step(self.columns_reversed, 1);
        let row = step(self.rows_reversed, width);
        let (_, count) = self.pair((width, height));
        let last = |reversed: bool, length: usize| match reversed {
            true => length.saturating_sub(1),
            false => 0,
        };
        let first = last(self.rows_reversed, height) * width + last(self.columns_reversed, width);
        let (across, down) = self.pair((column, row));
        let start = |number: usize| {
            let moved = isize::try_from(number).unwrap_or(0).saturating_mul(down);
            (first.saturating_add_signed(moved), across)
        };
        (0..count).map(start).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Upright pixels of a stored image with the columns a, b and the rows ab, cd, ef.
    fn upright(tag: u32) -> String {
        let stored = b"abcdef";
        let rows = Orientation::of_tag(tag).unwrap().rows((2, 3));
        let length = stored.len() / rows.len();
        let rows = rows.into_iter().map(|(start, step)| {
            let pixels = (0..isize::try_from(length).unwrap())
                .map(|number| stored[start.saturating_add_signed(number * step)]);
            String::from_utf8(pixels.collect()).unwrap()
        });
        rows.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pixels_are_turned_as_exif_says() {
        // Of TIFF 6.0: which side of the scene the first stored row and the first stored column
        // are. 6 is the right-hand side and the top: a phone held upright.
        let expected = [
            "ab cd ef", "ba dc fe", "fe dc ba", "ef cd ab", "ace bdf", "eca fdb", "fdb eca",
            "bdf ace",
        ];
        for (tag, expected) in (1..).zip(expected) {
            assert_eq!(upright(tag), expected, "{tag}");
        }
        assert_eq!(Orientation::of_tag(0), None);
        assert_eq!(Orientation::of_tag(9), None);
        assert!(Orientation::of_tag(1).unwrap().is_upright());
    }
}
