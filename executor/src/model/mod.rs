//! Preparation of ONNX Runtime models in this process: check against the options, sessions,
//! warm-up.

mod columns;
mod compile;
mod compiled;
mod contract;
mod outlets;
mod outputs;
mod reader;
mod runtime_error;
mod sessions;
mod settings;
mod warmup;

pub(crate) use columns::ColumnsSpec;
pub(crate) use compile::compile;
pub(crate) use compiled::{CHUNK_ROWS_MAX, Compiled};
pub(crate) use contract::Feed;
pub(crate) use sessions::{Batch, Lease};
pub(crate) use settings::CompileSettings;
pub(crate) use warmup::measure;
