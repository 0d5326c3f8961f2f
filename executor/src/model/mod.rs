//! Preparation of ONNX Runtime models in this process: check against the options, sessions,
//! warm-up.

mod choice;
mod columns;
mod compile;
mod compiled;
mod contract;
mod distribution;
mod image_input;
mod leased;
mod onnx_head;
mod onnx_operators;
mod outlets;
mod outputs;
mod pixel_range;
mod reader;
mod received;
mod runs;
mod runtime_error;
mod samples;
mod session;
mod sessions;
mod settings;
mod warmup;

pub(crate) use columns::{ColumnInput, ColumnValues, ColumnsSpec};
pub(crate) use compile::compile;
pub(crate) use compiled::{CHUNK_ROWS_MAX, Compiled};
pub(crate) use contract::{Contract, Element, Feed, check as contract_of};
pub(crate) use leased::measure as measure_compiled;
pub(crate) use onnx_head::read as onnx_head;
pub(crate) use outlets::Outlet;
pub(crate) use reader::Numbers;
pub(crate) use received::{Received, ReceivedContent};
pub(crate) use runs::{Batch, Runs};
pub(crate) use sessions::Lease;
pub(crate) use settings::{CompileSettings, tensor_bytes};
pub(crate) use warmup::{Warm, WarmUp, measure, run as warm_up};
