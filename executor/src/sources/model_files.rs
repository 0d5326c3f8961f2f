//! Reads a model's file from the sources of models once, and computes its SHA-256.

use std::thread;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::limited::Sources;
use super::model_cache::ModelCache;
use super::source::{ReadError, Wanted};
use super::wait::Waiter;
use crate::config::{ModelCacheConfig, ObjectConfig, StartError};
use crate::error::ModelError;
use crate::storage::StorageRoot;
use crate::warning::ModelWarning;

/// Properties of a model's file, determined by reading and running it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Seconds of one CPU thread for one input, inference only; `None` if it could not be
    /// measured.
    pub seconds_per_image: Option<f64>,
    /// What is suspicious of it.
    pub warnings: Vec<ModelWarning>,
}

/// Sources of models.
#[derive(Debug)]
pub(crate) struct ModelFiles {
    sources: Sources,
    model_bytes_max: u64,
    /// Files of remote storage, and those that proxies sent.
    cache: Option<ModelCache>,
}

/// Maximum concurrent reads. Threads that load and try models read their files themselves.
const READS_MAX: usize = 64;

impl ModelFiles {
    pub(crate) fn new(
        roots: &[StorageRoot],
        model_bytes_max: u64,
        objects: &ObjectConfig,
        cache: Option<&ModelCacheConfig>,
    ) -> Result<Self, StartError> {
        let cache = cache.map(|config| {
            ModelCache::open(config).map_err(|source| StartError::ModelCache {
                path: config.folder.clone(),
                source,
            })
        });
        Ok(Self {
            sources: Sources::new(roots, READS_MAX, objects)?,
            model_bytes_max,
            cache: cache.transpose()?,
        })
    }

    /// Maximum size of a file, in bytes.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.model_bytes_max
    }

    /// Keeps a file that was sent here, so that [`ModelFiles::read_pinned`] finds it. Blocks.
    pub(crate) fn keep(&self, uri: &str, sha256: &str, file: &[u8]) -> Result<(), ModelError> {
        check_sha256(uri, sha256, file)?;
        let kept = match &self.cache {
            Some(cache) => cache.keep(sha256, file),
            None => Ok(false),
        };
        let reason = match kept {
            Ok(true) => return Ok(()),
            Ok(false) if self.cache.is_none() => {
                "has no place here: set model_cache_dir".to_string()
            }
            Ok(false) => "is larger than model_cache_bytes_max".to_string(),
            Err(error) => format!("could not be kept ({error})"),
        };
        Err(ModelError::Unreadable {
            uri: uri.to_string(),
            reason,
        })
    }

    /// Content of the file at `uri`, if its SHA-256 is still the given one. Blocks.
    pub(crate) fn read_pinned(&self, uri: &str, sha256: &str) -> Result<Bytes, ModelError> {
        if let Some(file) = self.cache.as_ref().and_then(|cache| cache.read(sha256)) {
            return Ok(file);
        }
        let (file, found) = self.read(uri)?;
        is_sha256(uri, sha256, found)?;
        let location = Bytes::copy_from_slice(uri.as_bytes());
        if let Some(cache) = &self.cache
            && self.sources.runtime_of(&location, None).is_some()
            && let Err(error) = cache.keep(sha256, &file)
        {
            tracing::warn!(%error, "a model's file could not be kept in the model cache");
        }
        Ok(file)
    }

    /// Like [`ModelFiles::read_pinned`], on a separate thread while the calling thread, an
    /// inference thread, waits.
    pub(crate) fn read_elsewhere(&self, uri: &str, sha256: &str) -> Result<Bytes, ModelError> {
        thread::scope(|scope| {
            let read = thread::Builder::new()
                .name("predict-load".to_string())
                .spawn_scoped(scope, || self.read_pinned(uri, sha256));
            let failed = |reason: String| ModelError::Unreadable {
                uri: uri.to_string(),
                reason,
            };
            let read = read.map_err(|error| failed(format!("could not be read ({error})")))?;
            read.join()
                .unwrap_or_else(|_panic| Err(failed("could not be read".to_string())))
        })
    }

    /// Content and SHA-256 of the file at `uri`. Blocks.
    pub(crate) fn read(&self, uri: &str) -> Result<(Bytes, String), ModelError> {
        let wanted = Wanted {
            bytes_max: self.model_bytes_max,
            identified: false,
        };
        let location = Bytes::copy_from_slice(uri.as_bytes());
        let waiter = Waiter::new().map_err(|error| ModelError::Unreadable {
            uri: uri.to_string(),
            reason: format!("could not be read ({error})"),
        })?;
        let read = waiter.wait(self.sources.read(&location, wanted, None));
        let read = read.unwrap_or_else(|| Err(ReadError::Other("could not be read".to_string())));
        let file = read.map_err(|error| self.model_error(uri, error))?.bytes;
        let sha256 = hex::encode(Sha256::digest(&file));
        Ok((file, sha256))
    }

    /// Content of a file that belongs to a model, such as one of labels.
    pub(crate) async fn read_beside(&self, uri: &str, bytes_max: u64) -> Result<Bytes, ModelError> {
        let wanted = Wanted {
            bytes_max,
            identified: false,
        };
        let location = Bytes::copy_from_slice(uri.as_bytes());
        match self.sources.read(&location, wanted, None).await {
            Ok(object) => Ok(object.bytes),
            Err(ReadError::TooLarge { bytes }) => Err(ModelError::BesideTooLarge {
                uri: uri.to_string(),
                bytes,
                bytes_max,
            }),
            Err(error) => Err(self.model_error(uri, error)),
        }
    }

    /// Content of the model's file at `uri`.
    pub(crate) async fn read_whole(&self, uri: &str) -> Result<Bytes, ModelError> {
        let wanted = Wanted {
            bytes_max: self.model_bytes_max,
            identified: false,
        };
        let location = Bytes::copy_from_slice(uri.as_bytes());
        let read = self.sources.read(&location, wanted, None).await;
        read.map(|object| object.bytes)
            .map_err(|error| self.model_error(uri, error))
    }

    fn model_error(&self, uri: &str, error: ReadError) -> ModelError {
        let uri = uri.to_string();
        match error {
            ReadError::Location(reason) => ModelError::Uri {
                uri,
                reason: format!("it {reason}"),
            },
            ReadError::Outside => ModelError::OutsideRoots { uri },
            ReadError::NotFound => ModelError::NotFound { uri },
            ReadError::TooLarge { bytes } => ModelError::TooLarge {
                uri,
                bytes,
                bytes_max: self.model_bytes_max,
            },
            ReadError::Other(reason) => ModelError::Unreadable { uri, reason },
        }
    }
}

/// Rejects content of another SHA-256.
fn check_sha256(uri: &str, expected: &str, file: &[u8]) -> Result<(), ModelError> {
    is_sha256(uri, expected, hex::encode(Sha256::digest(file)))
}

fn is_sha256(uri: &str, expected: &str, found: String) -> Result<(), ModelError> {
    match found.eq_ignore_ascii_case(expected) {
        true => Ok(()),
        false => Err(ModelError::Changed {
            uri: uri.to_string(),
            expected: expected.to_string(),
            found,
        }),
    }
}
