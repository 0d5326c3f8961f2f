//! Identity of an input's content: part of the key of a kept output.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;
use sha2::{Digest, Sha256};

/// A file changed more recently than this may change again with the same timestamps: the kernel's
/// clock for them ticks every 1 to 10 ms.
const SETTLED_AFTER: Duration = Duration::from_millis(20);

/// Same as [`SETTLED_AFTER`], for file systems that seem to store whole seconds.
const SETTLED_AFTER_WHOLE: Duration = Duration::from_secs(2);

/// Identity of an input's content: inputs with the same identity are equal for every model.
///
/// For an image in bytes it is the SHA-256 of the bytes; for a file the SHA-256 of its path,
/// inode, size and times of modification and change; for an object that of its URI, entity tag,
/// version, size and time of modification. All are truncated to 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId([u8; 16]);

impl InputId {
    /// Decodes the stored form.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Identity of an encoded image.
    pub(crate) fn of_image(encoded: &[u8]) -> Self {
        Self::cut(Sha256::new().chain_update(encoded))
    }

    /// Identity of a file by its absolute path and `stat`. `None` if it has just changed.
    pub(crate) fn of_file(path: &Path, stat: &Stat) -> Option<Self> {
        let changed = (stat.st_ctime, i128::from(stat.st_ctime_nsec));
        if !is_settled(changed.0, changed.1) {
            return None;
        }
        let mut hash = Sha256::new().chain_update(b"file");
        for component in path.components() {
            let name = component.as_os_str().as_bytes();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        let times = [
            i128::from(stat.st_mtime),
            i128::from(stat.st_mtime_nsec),
            i128::from(changed.0),
            changed.1,
        ];
        hash.update(i128::from(stat.st_ino).to_le_bytes());
        hash.update(i128::from(stat.st_size).to_le_bytes());
        for time in times {
            hash.update(time.to_le_bytes());
        }
        Some(Self::cut(hash))
    }

    /// Identity of an object by its URI, its entity tag and version as its server tells them, its
    /// size and its time of modification. `None` if nothing but that time tells versions apart and
    /// it has just changed.
    pub(crate) fn of_object(
        uri: &str,
        (tag, version): (Option<&str>, Option<&str>),
        bytes: u64,
        modified_us: i64,
    ) -> Option<Self> {
        if tag.is_none() && version.is_none() {
            let seconds = modified_us.div_euclid(1_000_000);
            if !is_settled(
                seconds,
                i128::from(modified_us.rem_euclid(1_000_000)) * 1_000,
            ) {
                return None;
            }
        }
        let mut hash = Sha256::new().chain_update(b"object");
        for text in [Some(uri), tag, version] {
            // Absent and empty differ.
            hash.update(
                text.map_or(u64::MAX, |text| text.len() as u64)
                    .to_le_bytes(),
            );
            hash.update(text.unwrap_or_default());
        }
        hash.update(bytes.to_le_bytes());
        hash.update(modified_us.to_le_bytes());
        Some(Self::cut(hash))
    }

    fn cut(hash: Sha256) -> Self {
        let mut id = [0; 16];
        for (target, source) in id.iter_mut().zip(hash.finalize()) {
            *target = source;
        }
        Self(id)
    }
}

/// Whether a change at that time is long enough ago. A future time (the clock was set back) is
/// not.
fn is_settled(seconds: i64, nanoseconds: i128) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let changed = i128::from(seconds) * 1_000_000_000 + nanoseconds;
    let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    let settled = match nanoseconds {
        0 => SETTLED_AFTER_WHOLE,
        _ => SETTLED_AFTER,
    };
    let settled = i128::try_from(settled.as_nanos()).unwrap_or(0);
    changed.saturating_add(settled) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_apart_by_their_bytes() {
        let id = InputId::of_image(b"abc");
        // The first half of SHA-256("abc"), FIPS 180-2.
        assert_eq!(id.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_ne!(id, InputId::of_image(b"abd"));
        assert_eq!(InputId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn objects_are_told_apart_by_all_that_is_told_of_them() {
        let of =
            |uri, tag, version, bytes, time| InputId::of_object(uri, (tag, version), bytes, time);
        let base = of("s3://b/k", Some("t"), None, 1, 1_000_000);
        assert!(base.is_some());
        assert_eq!(base, of("s3://b/k", Some("t"), None, 1, 1_000_000));
        for other in [
            of("s3://b/l", Some("t"), None, 1, 1_000_000),
            of("s3://b/k", Some("u"), None, 1, 1_000_000),
            of("s3://b/k", Some("t"), Some(""), 1, 1_000_000),
            of("s3://b/k", Some("t"), None, 2, 1_000_000),
            of("s3://b/k", Some("t"), None, 1, 2_000_000),
            of("s3://b/k", None, None, 1, 1_000_000),
        ] {
            assert!(other.is_some() && other != base);
        }
        assert_eq!(of("s3://b/k", None, None, 1, i64::MAX), None);
    }

    #[test]
    fn what_changed_just_now_is_not_settled() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(0);
        assert!(is_settled(seconds - 1, 1));
        assert!(!is_settled(seconds - 1, 0), "whole seconds");
        assert!(is_settled(seconds - 10, 0));
        assert!(!is_settled(seconds + 1, 1));
        assert!(!is_settled(i64::MAX, 0));
    }
}
