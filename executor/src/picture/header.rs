//! Dimensions and memory needs of an image, computed from its header before anything is allocated.

/// Memory of decoder buffers whose size does not depend on the header: tables, read buffers,
/// states.
pub(super) const SMALL_BUFFERS_BYTES: u64 = 512 << 10;

/// Data from a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of pixels in a row.
    pub(super) width: u64,
    /// Number of rows.
    pub(super) height: u64,
    /// Maximum peak memory of decoding, including decoded samples, in bytes.
    pub(super) decode_bytes: u64,
    /// Maximum memory of the decoded samples, in bytes.
    pub(super) kept_bytes: u64,
    /// Whether pixels may be transparent.
    pub(super) transparent: bool,
}

/// Limits checked against the header before anything is allocated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum width times height.
    pub(crate) image_pixels_max: u64,
    /// Maximum width and height, each.
    pub(crate) image_side_pixels_max: u64,
    /// Maximum memory of decoding, converting and resizing, in bytes.
    pub(crate) image_decode_bytes_max: u64,
}

impl Limits {
    /// Checks a header's dimensions. The error is a clause for a warning.
    pub(super) fn check(self, width: u64, height: u64) -> Result<(), String> {
        let pixels = width.saturating_mul(height);
        if pixels == 0 {
            return Err("is an image without pixels".to_string());
        }
        if pixels > self.image_pixels_max {
            return Err(format!(
                "is too large an image ({width} x {height} pixels, limit {} pixels)",
                self.image_pixels_max
            ));
        }
        if width.max(height) > self.image_side_pixels_max {
            return Err(format!(
                "is too wide or too high an image ({width} x {height} pixels, limit {} pixels a side)",
                self.image_side_pixels_max
            ));
        }
        Ok(())
    }

    /// Checks an image's memory needs.
    pub(super) fn check_bytes(self, bytes: u64) -> Result<(), String> {
        if bytes > self.image_decode_bytes_max {
            return Err(format!(
                "is too large an image (decoding takes up to {bytes} bytes, limit {} bytes)",
                self.image_decode_bytes_max
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_do_not_overflow() {
        let limits = Limits {
            image_pixels_max: 100,
            image_side_pixels_max: 50,
            image_decode_bytes_max: 1000,
        };
        assert!(limits.check(10, 10).is_ok());
        assert!(limits.check(50, 2).is_ok());
        assert!(limits.check(u64::MAX, u64::MAX).is_err());
        assert!(limits.check(0, 10).is_err());
        assert_eq!(
            limits.check(51, 1),
            Err(
                "is too wide or too high an image (51 x 1 pixels, limit 50 pixels a side)"
                    .to_string()
            )
        );
        assert!(limits.check_bytes(1000).is_ok());
        assert!(limits.check_bytes(1001).is_err());
    }
}
