//! Preparation of ONNX Runtime models in this process: check against the options, sessions,
//! warm-up.

mod batch;
mod choice;
mod columns;
mod compile;
mod compiled;
mod contract;
mod distribution;
mod image_input;
mod onnx_head;
mod onnx_operators;
mod outlets;
mod outputs;
mod pixel_range;
mod reader;
mod runtime_error;
mod samples;
mod session;
mod sessions;
mod settings;
mod warmup;

pub(crate) use batch::Batch;
pub(crate) use columns::ColumnsSpec;
pub(crate) use compile::compile;
pub(crate) use compiled::{CHUNK_ROWS_MAX, Compiled};
pub(crate) use contract::Feed;
pub(crate) use onnx_head::read as onnx_head;
pub(crate) use sessions::Lease;
pub(crate) use settings::CompileSettings;
pub(crate) use warmup::measure;
