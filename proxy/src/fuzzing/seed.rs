//! Seeds of random tests: the same for the same sources, so that a passing run stays reproducible,
//! and another with each change. Also used by the executor's fuzz targets and the end-to-end
//! tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A hash (FNV-1a) of all Rust files below some folders of the checkout.
///
/// # Panics
/// A file cannot be read.
pub fn of_sources(checkout: &Path, folders: &[&str]) -> u64 {
    let mut files = Vec::new();
    for folder in folders {
        collect(&checkout.join(folder), &mut files);
    }
    files.sort();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in &files {
        let source = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for byte in source {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
