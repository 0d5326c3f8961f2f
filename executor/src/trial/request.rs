//! Request to a child, read from its standard input: length of the head, the head, the file.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use predictsql_catalog::ModelOptions;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::{Deserialize, Serialize};

use crate::model::CompileSettings;

/// First argument of a process that tries a model.
pub(super) const ARGUMENT: &str = "__try-model";

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(super) options: ModelOptions,
    /// The settings used in the proxy itself, so that a model that passes here also passes there.
    pub(super) settings: CompileSettings,
}

impl Request {
    pub(crate) fn new(options: &ModelOptions, settings: &CompileSettings) -> Self {
        Self {
            options: options.clone(),
            settings: settings.clone(),
        }
    }

    /// The request with its file, in memory that is sealed against changes.
    pub(super) fn seal(&self, file: &[u8]) -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut sealed = File::from(memfd_create("model", flags)?);
        let head = serde_json::to_vec(self)?;
        sealed.write_all(&(head.len() as u64).to_le_bytes())?;
        sealed.write_all(&head)?;
        sealed.write_all(file)?;
        sealed.rewind()?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&sealed, seals)?;
        Ok(sealed.into())
    }

    /// Reads a request and its file.
    pub(super) fn read(mut from: impl Read) -> io::Result<(Self, Bytes)> {
        let mut length = [0; size_of::<u64>()];
        from.read_exact(&mut length)?;
        let mut head = Vec::new();
        from.by_ref()
            .take(u64::from_le_bytes(length))
            .read_to_end(&mut head)?;
        let request = serde_json::from_slice(&head)?;
        let mut file = Vec::new();
        from.read_to_end(&mut file)?;
        Ok((request, file.into()))
    }
}
