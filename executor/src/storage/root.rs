//! A root: what images or models may be read.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::location::{self, Location};
use super::object_location::{ObjectLocation, Scheme};

/// Where images or models may be read, and nowhere else: a folder, or the objects of a bucket or
/// of a web server below a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRoot(pub(super) Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder(PathBuf),
    Objects(ObjectLocation),
}

impl StorageRoot {
    /// Parses a path or a URI, as settings and flags have it.
    ///
    /// # Errors
    /// A sentence that names the root and the problem.
    pub fn parse(given: &OsStr) -> Result<Self, String> {
        let refused = |reason| format!("root {} {reason}", given.to_string_lossy());
        Self::of_bytes(given.as_bytes()).map_err(refused)
    }

    /// Parses a path or a URI. The error is a clause that names the problem.
    pub(crate) fn of_bytes(given: &[u8]) -> Result<Self, String> {
        if let Some((scheme, rest)) = location::split_scheme(given)
            && let Some(scheme) = Scheme::parse(&scheme.to_ascii_lowercase())
        {
            let rest = std::str::from_utf8(rest).map_err(|_| "is not UTF-8")?;
            let objects = ObjectLocation::parse_root(scheme, rest)?;
            return Ok(Self(Kind::Objects(objects)));
        }
        match location::parse(given)? {
            Location::File(path) => Ok(Self(Kind::Folder(path.into_owned()))),
            Location::Object(objects) => Ok(Self(Kind::Objects(objects))),
        }
    }

    /// The objects, if it is remote.
    pub(crate) fn as_objects(&self) -> Option<&ObjectLocation> {
        match &self.0 {
            Kind::Folder(_) => None,
            Kind::Objects(objects) => Some(objects),
        }
    }

    /// The folder, unless it is remote.
    #[must_use]
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Folder(path) => Some(path),
            Kind::Objects(_) => None,
        }
    }
}

impl From<PathBuf> for StorageRoot {
    fn from(folder: PathBuf) -> Self {
        Self(Kind::Folder(folder))
    }
}

impl From<&Path> for StorageRoot {
    fn from(folder: &Path) -> Self {
        Self(Kind::Folder(folder.to_owned()))
    }
}

impl FromStr for StorageRoot {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        Self::parse(OsStr::new(given))
    }
}

impl TryFrom<String> for StorageRoot {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        given.parse()
    }
}

impl fmt::Display for StorageRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Folder(path) => write!(f, "{}", path.display()),
            Kind::Objects(objects) => write!(f, "{objects}"),
        }
    }
}

impl From<StorageRoot> for String {
    fn from(root: StorageRoot) -> Self {
        root.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn roots_are_folders_or_uris() {
        for (given, shown) in [
            ("/srv/images", "/srv/images"),
            ("images", "images"),
            ("file:///srv/a%20b", "/srv/a b"),
            ("s3://bucket/photos/", "s3://bucket/photos"),
            ("https://Images.example/a/", "https://images.example/a"),
            ("gs://bucket", "gs://bucket/"),
        ] {
            let root: StorageRoot = given.parse().unwrap();
            assert_eq!(root.to_string(), shown);
            assert_eq!(shown.parse::<StorageRoot>().unwrap(), root);
        }
        for given in [
            "",
            "s3://",
            "ftp://h/a",
            "http://169.254.169.254/",
            "https://u@h/",
        ] {
            assert!(given.parse::<StorageRoot>().is_err(), "{given}");
        }
    }
}
