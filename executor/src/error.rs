//! Errors of models, worded so that a model's creator can act on them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a task cannot be bound to an image root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageRootError {
    /// It is no absolute path and no URI of a root.
    #[error("Incorrect image root '{root}': it {reason}")]
    Malformed {
        /// The root as given.
        root: String,
        /// A clause.
        reason: String,
    },
    /// The statement was interrupted.
    #[error("Query execution was interrupted")]
    Interrupted,
    /// It is not below an image root of this proxy. Of a folder outside, nothing else is told.
    #[error("image root '{root}' is not below an image root of the proxy (--image-root)")]
    Outside {
        /// The root as given.
        root: String,
    },
}

/// Why a model cannot be used. Every text names the cause and, where there is one, the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum ModelError {
    /// ONNX Runtime is missing or not usable.
    #[error(
        "ONNX Runtime is not available ({reason}); set PREDICTSQL_ORT_LIB to libonnxruntime.so of \
         ONNX Runtime 1.24 or later, for example from the PyPI wheel `onnxruntime` \
         (scripts/fetch-onnxruntime.sh)"
    )]
    LibraryMissing {
        /// What was tried, and the system's error.
        reason: String,
    },
    /// Models cannot be read from a URI of this scheme or form.
    #[error("model URI '{uri}' cannot be used: {reason}")]
    Uri {
        /// The URI as given.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not below an allowed root.
    #[error("model file '{uri}' is outside the allowed model roots")]
    OutsideRoots {
        /// The URI as given.
        uri: String,
    },
    /// There is no such file.
    #[error("model file '{uri}' does not exist")]
    NotFound {
        /// The URI as given.
        uri: String,
    },
    /// The file is there but cannot be read.
    #[error("model file '{uri}' cannot be read: it {reason}")]
    Unreadable {
        /// The URI as given.
        uri: String,
        /// The reason, as a clause.
        reason: String,
    },
    /// The file is larger than the limit.
    #[error("model file '{uri}' has {bytes} bytes, more than model_bytes_max = {bytes_max}")]
    TooLarge {
        /// The URI as given.
        uri: String,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// A file that belongs to a model is larger than the limit.
    #[error("file '{uri}' has {bytes} bytes, more than beside_model_bytes_max = {bytes_max}")]
    BesideTooLarge {
        /// The URI as given.
        uri: String,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// The model uses more memory than the limit of all models together.
    #[error(
        "the model takes about {bytes} bytes of memory, {sessions} sessions together, more than \
         models_bytes_max = {bytes_max}"
    )]
    MemoryTooLarge {
        /// Memory that it uses, in bytes.
        bytes: u64,
        /// Number of sessions included: one per CPU thread.
        sessions: usize,
        /// The limit.
        bytes_max: u64,
    },
    /// The outputs of a run exceed the limit.
    #[error(
        "the outputs of one run of the model have {bytes} bytes, more than \
         model_output_bytes_max = {bytes_max}"
    )]
    OutputTooLarge {
        /// Size of the outputs in bytes.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The file is not the one recorded in the catalog.
    #[error(
        "model file '{uri}' has changed since the model was created (SHA-256 is {found}, the catalog \
         has {expected}); create a new version of the model"
    )]
    Changed {
        /// The URI as recorded.
        uri: String,
        /// Digest in the catalog.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// The file is not a complete ONNX model.
    #[error("the file is not a valid ONNX model, or is damaged or cut off: {reason}")]
    Corrupt {
        /// Message of ONNX Runtime.
        reason: String,
    },
    /// The weights are outside of the model's file, so its SHA-256 would not cover them.
    #[error("the model keeps weights in another file; save it as one file, weights included")]
    ExternalWeights,
    /// The model uses an operator that ONNX Runtime does not support.
    #[error("the model uses an operator that ONNX Runtime does not support: {reason}")]
    UnsupportedOperator {
        /// Message of ONNX Runtime.
        reason: String,
    },
    /// ONNX Runtime rejected the model for another reason, or failed to run it.
    #[error("ONNX Runtime cannot run the model: {reason}")]
    Runtime {
        /// Message of ONNX Runtime.
        reason: String,
    },
    /// The options contradict each other or exceed a limit.
    #[error("the model's options cannot be used: {reason}")]
    Options {
        /// What is wrong.
        reason: String,
    },
    /// The model does not take exactly one input.
    #[error("the model must have exactly one input, but has {count}: {names}")]
    InputCount {
        /// Number of inputs.
        count: usize,
        /// Their names.
        names: String,
    },
    /// The input is no tensor of a supported type.
    #[error(
        "the model's input '{name}' must be a tensor of float32, float16 or uint8 pixels, but is {found}"
    )]
    InputType {
        /// Name of the input.
        name: String,
        /// Its type.
        found: String,
    },
    /// The input's shape does not match the options.
    #[error(
        "the model's input '{name}' has shape {found}, but the options ask for {expected} \
         ({options}); change layout, height, width or channels"
    )]
    InputShape {
        /// Name of the input.
        name: String,
        /// Shape in the model.
        found: String,
        /// Shape according to the options.
        expected: String,
        /// Description of the options.
        options: String,
    },
    /// The model has neither one input for all columns nor one input per column.
    #[error(
        "the model has {count} inputs ({names}) for {columns} columns of the task; it must have one \
         input [batch, {columns}] for all of them, or one input [batch, 1] for each"
    )]
    ColumnInputs {
        /// Number of inputs.
        count: usize,
        /// Their names.
        names: String,
        /// Number of columns.
        columns: usize,
    },
    /// Some of the model's inputs have names of columns, others do not.
    #[error(
        "the model's inputs ({names}) are not called as the task's columns ({columns}) are; give all \
         of them the same names, in any order, or none, in the same order"
    )]
    ColumnNames {
        /// Names of the inputs.
        names: String,
        /// Names of the columns.
        columns: String,
    },
    /// The input's type cannot represent a column's values.
    #[error(
        "the model's input '{name}' is {found}, which column '{column}' of type {kind} does not fit: \
         a DOUBLE goes into a float32, float64 or int64 tensor, a VARCHAR into one of strings"
    )]
    ColumnType {
        /// Name of the input.
        name: String,
        /// Its type.
        found: String,
        /// Name of the column.
        column: String,
        /// The column's type.
        kind: String,
    },
    /// The input's shape does not match the columns.
    #[error("the model's input '{name}' has shape {found}, but the task's columns are {expected}")]
    ColumnShape {
        /// Name of the input.
        name: String,
        /// Shape in the model.
        found: String,
        /// Shape according to the columns.
        expected: String,
    },
    /// No output is usable as the value of a regression.
    #[error("the model has no float output of shape [batch, 1]; its outputs are {outputs}")]
    ValueOutput {
        /// Names and types of the outputs.
        outputs: String,
    },
    /// The output's maps do not have the labels as keys.
    #[error(
        "the model's output '{name}' gives probabilities of {keys}, but {labels} labels were given; \
         give these as labels"
    )]
    MapKeys {
        /// Name of the output.
        name: String,
        /// Keys of a map.
        keys: String,
        /// Labels of the options.
        labels: usize,
    },
    /// The model's own label for an answer differs from the label of the column with the greatest
    /// score.
    #[error(
        "the model calls '{said}' what the option labels calls '{label}'; give the labels in the order \
         of the model's classes"
    )]
    LabelOrder {
        /// Label from the model.
        said: String,
        /// Label from the options.
        label: String,
    },
    /// Several outputs could be the answer.
    #[error(
        "the model has several outputs that could be the answer: {outputs}; choose one by \
         output_name = '...'"
    )]
    AmbiguousOutput {
        /// Names and types of these outputs.
        outputs: String,
    },
    /// There is no output of the name given.
    #[error("the model has no output '{name}'; its outputs are {outputs}")]
    NoSuchOutput {
        /// The name given.
        name: String,
        /// Names and types of the outputs.
        outputs: String,
    },
    /// No output is a tensor of floats of the right shape.
    #[error("the model has no float output of shape [batch, labels]; its outputs are {outputs}")]
    OutputType {
        /// Names and types of the outputs.
        outputs: String,
    },
    /// The output's width differs from the number of labels.
    #[error(
        "the model's output '{name}' has {columns} columns, but {labels} labels were given; give \
         one label for each column, in order"
    )]
    OutputColumns {
        /// Name of the output.
        name: String,
        /// Number of columns of the model's output.
        columns: String,
        /// Labels of the options.
        labels: usize,
    },
    /// The output for a batch does not have one row per input.
    #[error(
        "the model's output '{name}' has shape {found} for a batch of {batch}, not [{batch}, {labels}]"
    )]
    OutputShape {
        /// Name of the output.
        name: String,
        /// Actual shape.
        found: String,
        /// Images in the batch.
        batch: usize,
        /// Labels of the options.
        labels: usize,
    },
    /// `output='softmax'`, but the rows are not probabilities.
    #[error(
        "the model's output is no probability distribution (a row sums to {sum}); use \
         output='logits'"
    )]
    NotProbabilities {
        /// Sum of a row.
        sum: String,
    },
    /// The outputs for all trial inputs contain NaN or infinity.
    #[error("the model's output for each of several trial images is not finite (NaN or infinity)")]
    NotFinite,
    /// Other loads hang.
    #[error(
        "the model could not be loaded: the loads of {models} hang; look whether their files can be \
         read, and restart if they do not end"
    )]
    LoadsHang {
        /// Names of their models.
        models: String,
    },
    /// The trial reached its time limit.
    #[error(
        "the model did not load and run within {seconds_max} s (trial_seconds_max): its trial was ended"
    )]
    TrialSeconds {
        /// The limit.
        seconds_max: u64,
    },
    /// The trial reached its memory limit.
    #[error(
        "the model needs more than {bytes_max} bytes of memory to load and run (trial_bytes_max)"
    )]
    TrialMemory {
        /// The limit.
        bytes_max: u64,
    },
    /// The trial process died before it reported a result.
    #[error("the model could not be tried: its process {how}")]
    TrialDied {
        /// How it ended, as a clause.
        how: String,
    },
    /// No process could be started for the trial.
    #[error("the model could not be tried: {reason}")]
    NoTrial {
        /// The system's error.
        reason: String,
    },
    /// No worker takes work, or those that did were lost.
    #[error("no worker could run the model: {reason}")]
    NoWorker {
        /// What is wrong with them.
        reason: String,
    },
    /// The operator does not allow the external server of a model.
    #[error(
        "server {address} is not among external_oip_hosts, the external servers that this proxy may \
         connect to"
    )]
    ServerNotAllowed {
        /// Its address as given, HOST:PORT.
        address: String,
    },
    /// The external server of a model does not answer, or has no time for it.
    #[error("server {address} {reason}")]
    ServerLost {
        /// Its address.
        address: String,
        /// What is wrong, as a clause.
        reason: String,
    },
    /// The external server refuses a request for the model, or the model fails there.
    #[error("server {address} refuses: {reason}")]
    ServerRefused {
        /// Its address.
        address: String,
        /// What it says.
        reason: String,
    },
    /// The external server's answer is not that of such a model.
    #[error("server {address} gave a wrong answer: {reason}")]
    ServerAnswer {
        /// Its address.
        address: String,
        /// What is wrong, as a clause.
        reason: String,
    },
    /// The external server serves another model than the one recorded in the catalog.
    #[error(
        "model '{uri}' has changed at its server since it was created: its versions, inputs or \
         outputs are others; create a new version of the model"
    )]
    ServedChanged {
        /// The URI as recorded.
        uri: String,
    },
    /// All waiting callers are gone, or the loading thread died.
    #[error("the model could not be loaded: {reason}")]
    Interrupted {
        /// Why.
        reason: String,
    },
}

impl ModelError {
    /// Whether a run of the model failed, perhaps because of its inputs.
    pub(crate) fn is_of_run(&self) -> bool {
        matches!(self, Self::Runtime { .. } | Self::ServerRefused { .. })
    }

    /// A load that was ended because all waiting callers are gone.
    pub(crate) fn abandoned() -> Self {
        Self::Interrupted {
            reason: "nobody waited for it any more".to_string(),
        }
    }

    /// The library could not be loaded from `path`, or from any default location.
    pub(crate) fn library(path: Option<&PathBuf>, reason: impl std::fmt::Display) -> Self {
        let reason = match path {
            Some(path) => format!("{}: {reason}", path.display()),
            None => reason.to_string(),
        };
        Self::LibraryMissing { reason }
    }
}

/// Why inputs could not be predicted. An unreadable image is not an error but an
/// [`Outcome`](crate::Outcome).
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PredictError {
    /// The caller cancelled.
    #[error("prediction was cancelled")]
    Cancelled,
    /// A model could not be loaded.
    #[error(transparent)]
    Load(#[from] ModelError),
    /// The model failed for these inputs.
    #[error("model {model} failed: {reason}")]
    Model {
        /// Name of the model.
        model: String,
        /// The failure.
        reason: String,
    },
    /// The caller's limit of inferences would be, or was, exceeded.
    #[error(transparent)]
    OverLimit(#[from] InferenceLimit),
    /// The inputs were prepared for models with other input specs.
    #[error("the inputs were not prepared for model {model}")]
    NotPrepared {
        /// Name of the model.
        model: String,
    },
    /// The requested row is not among the prepared ones.
    #[error("input {row} was asked for, but {inputs} were prepared")]
    NoSuchInput {
        /// Requested index, from 0.
        row: usize,
        /// Number of prepared inputs.
        inputs: usize,
    },
    /// The executor was stopped before it answered.
    #[error("the executor is stopping")]
    Stopped,
    /// An internal error of this program.
    #[error("{reason}")]
    Internal {
        /// What is wrong.
        reason: &'static str,
    },
}

/// How a limit of inferences was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum InferenceLimit {
    /// Before any inference: the forecast exceeds the limit.
    #[error("{wanted} inputs would run through models, more than {inferences_max}")]
    Forecast {
        /// The limit.
        inferences_max: u64,
        /// Inferences needed, including those already made.
        wanted: u64,
        /// Estimated seconds for them, if known.
        seconds: Option<f64>,
    },
    /// During execution.
    #[error("more than {inferences_max} inputs have to run through models")]
    Reached {
        /// The limit.
        inferences_max: u64,
    },
}
