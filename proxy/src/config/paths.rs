//! Paths as settings show them.

use std::path::{Path, PathBuf};

/// The path, as far as it is text.
pub(super) fn shown_path(path: &Path) -> PathBuf {
    path.display().to_string().into()
}

/// Likewise of several.
pub(super) fn shown_paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| shown_path(path)).collect()
}
