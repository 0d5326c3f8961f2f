//! Reads a model's file below the allowed roots, once, and takes its SHA-256.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::location::{self, Location};
use crate::roots::{ReadError, Roots};
use crate::{ModelError, StartError};

/// What is known of a model's file once it was read and run.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// Seconds of one CPU thread for one input, inference alone;
    /// `None` where it could not be tried.
    pub seconds_per_image: Option<f64>,
}

/// Where models may be read from.
#[derive(Debug)]
pub(crate) struct ModelFiles {
    roots: Roots,
    model_bytes_max: u64,
}

impl ModelFiles {
    pub(crate) fn new(
        roots: &[std::path::PathBuf],
        model_bytes_max: u64,
    ) -> Result<Self, StartError> {
        Ok(Self {
            roots: Roots::open(roots)?,
            model_bytes_max,
        })
    }

    /// Content of the file that `uri` names, if it is still the one with this SHA-256.
    pub(crate) fn read_pinned(&self, uri: &str, sha256: &str) -> Result<Bytes, ModelError> {
        let (file, found) = self.read(uri)?;
        if !found.eq_ignore_ascii_case(sha256) {
            let (uri, expected) = (uri.to_string(), sha256.to_string());
            return Err(ModelError::Changed {
                uri,
                expected,
                found,
            });
        }
        Ok(file)
    }

    /// Content and SHA-256 of the file that `uri` names.
    pub(crate) fn read(&self, uri: &str) -> Result<(Bytes, String), ModelError> {
        let uri_error = |reason: String| ModelError::Uri {
            uri: uri.to_string(),
            reason,
        };
        let path = match location::parse(uri.as_bytes()) {
            Ok(Location::File(path)) => path,
            Ok(Location::Remote { scheme }) => {
                return Err(uri_error(format!("scheme {scheme} is not enabled")));
            }
            Err(reason) => return Err(uri_error(format!("it {reason}"))),
        };
        let file = self
            .roots
            .read(&path, self.model_bytes_max)
            .map_err(|error| {
                let uri = uri.to_string();
                match error {
                    ReadError::Outside => ModelError::OutsideRoots { uri },
                    ReadError::NotFound => ModelError::NotFound { uri },
                    ReadError::TooLarge { bytes } => ModelError::TooLarge {
                        uri,
                        bytes,
                        bytes_max: self.model_bytes_max,
                    },
                    ReadError::Other(reason) => ModelError::Unreadable { uri, reason },
                }
            })?;
        let sha256 = hex::encode(Sha256::digest(&file));
        Ok((file, sha256))
    }
}
