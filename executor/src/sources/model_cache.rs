//! Files of models on the local disk, by SHA-256, so that models of remote storage need not be
//! read again, and files that a proxy sends to a worker have a place.

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::ModelCacheConfig;

/// A folder of files, each with the SHA-256 of its content as name. Several processes may share
/// it.
#[derive(Debug)]
pub(crate) struct ModelCache {
    folder: PathBuf,
    bytes_max: u64,
    writing: Mutex<()>,
}

impl ModelCache {
    /// Makes the folder, for this user only.
    pub(super) fn open(config: &ModelCacheConfig) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.folder)?;
        Ok(Self {
            folder: config.folder.clone(),
            bytes_max: config.bytes_max,
            writing: Mutex::new(()),
        })
    }

    /// The file of this SHA-256, if it is there and whole.
    pub(super) fn read(&self, sha256: &str) -> Option<Bytes> {
        let path = self.path(sha256)?;
        let file = fs::read(&path).ok()?;
        if hex::encode(Sha256::digest(&file)) != sha256.to_ascii_lowercase() {
            tracing::warn!(path = %path.display(), "a file of the model cache is damaged: removed");
            let _ = fs::remove_file(&path);
            return None;
        }
        // Its time of modification says when it was used last.
        let _ = File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        Some(file.into())
    }

    /// Keeps a file of this SHA-256, and removes the least recently used ones beyond the limit. A
    /// file above the limit is not kept.
    ///
    /// # Errors
    /// The system's. Nothing is left half written under its name.
    pub(super) fn keep(&self, sha256: &str, file: &[u8]) -> io::Result<bool> {
        let Some(path) = self
            .path(sha256)
            .filter(|_| file.len() as u64 <= self.bytes_max)
        else {
            return Ok(false);
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(&path, file.len() as u64)?;
        let partial = self.folder.join(format!(
            "{sha256}.{:016x}.partial",
            RandomState::new().hash_one(())
        ));
        let written = File::create(&partial)
            .and_then(|mut to| to.write_all(file).and_then(|()| to.sync_all()))
            .and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written.map(|()| true)
    }

    /// Removes the least recently used files until `bytes` more are within the limit.
    fn make_room(&self, except: &Path, bytes: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (path, about) = (entry.path(), entry.metadata());
            let is_file = |name: &str| is_sha256(name) || name.ends_with(".partial");
            let named = entry.file_name().to_str().is_some_and(is_file);
            if let (Ok(about), true) = (about, named && path != except) {
                files.push((about.modified()?, about.len(), path));
            }
        }
        files.sort();
        let mut held: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, length, path) in files {
            if held.saturating_add(bytes) <= self.bytes_max {
                break;
            }
            match fs::remove_file(&path) {
                // Another process may have removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => held = held.saturating_sub(length),
            }
        }
        Ok(())
    }

    /// Path of the file of this SHA-256; `None` if it is no SHA-256.
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let name = sha256.to_ascii_lowercase();
        is_sha256(&name).then(|| self.folder.join(name))
    }
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes_max: u64) -> (tempfile::TempDir, ModelCache) {
        let folder = tempfile::tempdir().unwrap();
        let config = ModelCacheConfig {
            folder: folder.path().join("models"),
            bytes_max,
        };
        let cache = ModelCache::open(&config).unwrap();
        (folder, cache)
    }

    fn keep(cache: &ModelCache, content: &[u8]) -> (String, bool) {
        let sha256 = hex::encode(Sha256::digest(content));
        let kept = cache.keep(&sha256, content).unwrap();
        (sha256, kept)
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let (_folder, cache) = cache(10);
        let (first, _) = keep(&cache, b"1111");
        let (second, _) = keep(&cache, b"2222");
        let used = File::options()
            .write(true)
            .open(cache.folder.join(&second))
            .unwrap();
        used.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let (third, _) = keep(&cache, b"3333");
        assert_eq!(cache.read(&second), None);
        assert_eq!(cache.read(&first).as_deref(), Some(&b"1111"[..]));
        assert_eq!(cache.read(&third).as_deref(), Some(&b"3333"[..]));
    }

    #[test]
    fn a_damaged_file_is_removed_and_one_above_the_limit_not_kept() {
        let (_folder, cache) = cache(10);
        let (sha256, kept) = keep(&cache, b"whole");
        assert!(kept);
        fs::write(cache.folder.join(&sha256), b"who").unwrap();
        assert_eq!(cache.read(&sha256), None);
        assert!(!cache.folder.join(&sha256).exists());
        assert!(!keep(&cache, b"more than ten").1);
        for name in ["", "..", "../../etc/passwd", &"g".repeat(64)] {
            assert_eq!(cache.read(name), None, "{name}");
            assert!(!cache.keep(name, b"x").unwrap(), "{name}");
        }
    }
}
