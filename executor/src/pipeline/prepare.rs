//! The decode stage: from encoded images to one tensor a chunk.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Shared;
use super::chunk::{Content, Fetched, Prepared};
use crate::Outcome;
use crate::picture::{InputSpec, Preprocessor, decode};

/// What one thread keeps from chunk to chunk.
#[derive(Debug)]
pub(super) struct Worker {
    preprocessor: Preprocessor,
}

impl Worker {
    pub(super) fn new() -> Self {
        Self {
            preprocessor: Preprocessor::new(),
        }
    }

    /// Decodes and preprocesses a chunk. `None`: nobody waits for it, or there is nothing to infer
    /// and it was answered.
    pub(super) fn prepare(&mut self, chunk: Fetched, shared: &Shared) -> Option<Prepared> {
        let Fetched {
            ticket,
            model,
            contents,
        } = chunk;
        let spec = &model.compiled().spec;
        let images = contents
            .iter()
            .filter(|content| content.may_be_image())
            .count();
        let mut tensor = shared.tensors.take();
        tensor.reserve_exact(images.saturating_mul(spec.image_len()));
        let mut outcomes = Vec::with_capacity(contents.len());
        let mut rows = Vec::with_capacity(contents.len());
        for (index, content) in contents.into_iter().enumerate() {
            if ticket.is_abandoned() {
                shared.tensors.give_back(tensor);
                return None;
            }
            if matches!(content, Content::Null) {
                outcomes.push(Outcome::Null);
                continue;
            }
            match self.append(content, spec, shared, &mut tensor) {
                // A place for the scores.
                Ok(()) => {
                    outcomes.push(Outcome::Null);
                    rows.push(index);
                }
                Err(reason) => outcomes.push(Outcome::Unreadable(reason)),
            }
        }
        if rows.is_empty() {
            shared.tensors.give_back(tensor);
            ticket.reply(Ok(outcomes));
            return None;
        }
        Some(Prepared {
            ticket,
            model,
            outcomes,
            rows,
            tensor,
        })
    }

    /// Appends one image to the tensor, or leaves the tensor as it was.
    fn append(
        &mut self,
        content: Content,
        spec: &InputSpec,
        shared: &Shared,
        tensor: &mut Vec<f32>,
    ) -> Result<(), String> {
        let (encoded, _reserved) = match content {
            Content::Null => return Ok(()),
            Content::Unreadable(reason) => return Err(reason),
            Content::Given(encoded) => {
                shared.reader.check_size(&encoded)?;
                (encoded, None)
            }
            Content::Read(encoded, reserved) => (encoded, Some(reserved)),
            Content::Later(location) => (shared.reader.read(&location)?, None),
        };
        let begin = tensor.len();
        let preprocessor = &mut self.preprocessor;
        // An image that makes a decoder panic is a bad image, and no reason to fail the query.
        let appended = catch_unwind(AssertUnwindSafe(|| {
            let pixels = decode(&encoded, spec.channels(), shared.limits)?;
            preprocessor.append(pixels, spec, tensor)
        }));
        match appended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => {
                tensor.truncate(begin);
                Err(reason)
            }
            Err(_panic) => {
                tensor.truncate(begin);
                self.preprocessor = Preprocessor::new();
                Err("is a damaged image (its decoder failed)".to_string())
            }
        }
    }
}
