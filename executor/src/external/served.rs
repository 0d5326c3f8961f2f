//! A model at an external server, and what it was when it was found.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use predictsql_catalog::{ModelInput, ModelOptions};

use super::metadata::{Described, described, only_image};
use super::model_uri::ModelUri;
use super::request::{self, Prepared};
use super::response;
use super::server::Server;
use crate::error::ModelError;
use crate::model::{Batch, Contract, Numbers, Outlet, Received, contract_of};
use crate::oip::inference::ModelInferResponse;

/// Maximum fixed batch size: batches are filled up to it.
const BATCH_FIXED_MAX: usize = 4096;

/// A model at an external server.
#[derive(Debug)]
pub(super) struct ServedModel {
    server: Arc<Server>,
    uri: ModelUri,
    contract: Contract,
    /// Names of its inputs, in the order of the contract.
    inputs: Vec<String>,
    versions: Vec<String>,
    identity: String,
    /// Maximum inputs of a request, if the server tells it.
    batch_inputs_max: Option<usize>,
    /// When its metadata was asked for.
    asked: Mutex<Instant>,
}

/// The answer to a batch.
#[derive(Debug)]
pub(super) struct Answer {
    outputs: Vec<Received>,
    /// Number of inputs of the request, and how many of them are used.
    size: usize,
    wanted: usize,
}

impl ServedModel {
    /// Asks a server for a model, and checks what it says against the options and the identity
    /// that it had before.
    ///
    /// # Errors
    /// The server's, those of a model that does not fit, and [`ModelError::ServedChanged`].
    pub(super) async fn open(
        server: &Arc<Server>,
        uri: &ModelUri,
        options: &ModelOptions,
        pinned: Option<&str>,
    ) -> Result<Self, ModelError> {
        server.check_ready(uri).await?;
        let metadata = server.metadata(uri).await?;
        let batch_inputs_max = server.batch_inputs_max(uri).await?;
        let described = described(uri, metadata)?;
        if pinned.is_some_and(|pinned| pinned != described.identity) {
            return Err(changed(uri));
        }
        let (contract, inputs) = checked(&described, options)?;
        Ok(Self {
            server: server.clone(),
            uri: uri.clone(),
            contract,
            inputs,
            versions: described.versions,
            identity: described.identity,
            batch_inputs_max,
            asked: Mutex::new(Instant::now()),
        })
    }

    /// What its outputs are kept by.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Its declared properties.
    pub(super) fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Maximum inputs of a request, if the server tells it.
    pub(super) fn batch_inputs_max(&self) -> Option<usize> {
        self.batch_inputs_max
    }

    /// The request for a batch.
    ///
    /// # Errors
    /// A batch of another kind than the model's, or with a text that is too long.
    pub(super) fn prepared(&self, batch: Batch<'_>) -> Result<Prepared, ModelError> {
        let prepared = request::of_batch(&self.uri, &self.contract, &self.inputs, batch);
        prepared.ok_or_else(|| ModelError::Options {
            reason: "an input cannot be sent to its server".to_string(),
        })
    }

    /// Runs the model on a batch.
    ///
    /// # Errors
    /// The server's, those of an answer that is none, and [`ModelError::ServedChanged`].
    pub(super) async fn run(&self, prepared: Prepared) -> Result<Answer, ModelError> {
        self.check_unchanged().await?;
        let response = self.server.infer(prepared.message).await?;
        self.check_name(&response)?;
        let outputs = response::outputs(&response, self.contract.reader.output_names());
        Ok(Answer {
            outputs: outputs.map_err(|reason| self.wrong(reason))?,
            size: prepared.size,
            wanted: prepared.wanted,
        })
    }

    /// Passes the numbers of an answer to `read`.
    ///
    /// # Errors
    /// An answer of another shape.
    pub(super) fn read<T>(
        &self,
        answer: &Answer,
        read: impl FnOnce(&Numbers<'_>) -> T,
    ) -> Result<T, ModelError> {
        let reader = &self.contract.reader;
        let read = reader.read_received(&answer.outputs, answer.size, answer.wanted, read);
        read.map_err(|error| self.of_server(error))
    }

    /// Compares the model's own label for the first answer with the label whose probability is at
    /// least `sure_min`.
    ///
    /// # Errors
    /// [`ModelError::LabelOrder`], and an answer of another shape.
    pub(super) fn check_label(&self, answer: &Answer, sure_min: f32) -> Result<(), ModelError> {
        let reader = &self.contract.reader;
        let checked = reader.check_received_label(&answer.outputs, answer.size, sure_min);
        checked.map_err(|error| self.of_server(error))
    }

    /// Asks for the metadata again when it is no longer believed.
    async fn check_unchanged(&self) -> Result<(), ModelError> {
        let asked = |asked: &Mutex<Instant>| *asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked(&self.asked).elapsed() < self.server.metadata_max() {
            return Ok(());
        }
        let described = described(&self.uri, self.server.metadata(&self.uri).await?)?;
        if described.identity != self.identity {
            return Err(changed(&self.uri));
        }
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }

    /// Checks that the answer is one of this model, as far as the server tells.
    fn check_name(&self, response: &ModelInferResponse) -> Result<(), ModelError> {
        let (name, version) = (&response.model_name, &response.model_version);
        if !name.is_empty() && *name != self.uri.model {
            return Err(self.wrong("it is one of another model".to_string()));
        }
        let is_known = match self.uri.version.as_str() {
            "" => self.versions.is_empty() || self.versions.contains(version),
            asked => asked == version,
        };
        match version.is_empty() || is_known {
            true => Ok(()),
            false => Err(changed(&self.uri)),
        }
    }

    /// An error in reading an answer is the server's.
    fn of_server(&self, error: ModelError) -> ModelError {
        match error {
            ModelError::Runtime { reason } => self.wrong(reason),
            other => other,
        }
    }

    /// The error of an answer; the reason is a clause.
    pub(super) fn wrong(&self, reason: String) -> ModelError {
        ModelError::ServerAnswer {
            address: self.server.address(),
            reason,
        }
    }
}

/// Checks what a server says of a model against the options. Also returns the names of the inputs
/// that are sent.
fn checked(
    described: &Described,
    options: &ModelOptions,
) -> Result<(Contract, Vec<String>), ModelError> {
    let inputs: &[Outlet] = match (&options.input, only_image(&described.inputs)) {
        (ModelInput::Image(_), Some(image)) => std::slice::from_ref(image),
        _ => &described.inputs,
    };
    let contract = contract_of(inputs, &described.outputs, options)?;
    if let Some(fixed) = contract.batch_fixed
        && fixed > BATCH_FIXED_MAX
    {
        return Err(ModelError::Options {
            reason: format!(
                "the model takes batches of {fixed} inputs only, more than {BATCH_FIXED_MAX}"
            ),
        });
    }
    let names = inputs.iter().map(|input| input.name().to_string());
    Ok((contract, names.collect()))
}

fn changed(uri: &ModelUri) -> ModelError {
    ModelError::ServedChanged {
        uri: uri.given.clone(),
    }
}
