//! The Open Inference Protocol, and what proxies ask of workers beside it: messages and services
//! generated from `executor/proto`, and the encoding of tensors.

mod failure;
mod names;
mod raw;

pub(crate) use failure::Failure;
pub(crate) use names::{
    CALLER, ERROR, FETCHING_NS, IDENTIFIED, IDENTITY, IMAGE, INFERRING_NS, PREPARING_NS, SCORES,
    TENSOR, URI, VALUE,
};
pub(crate) use raw::{BytesWriter, Malformed, bytes, doubles, of_doubles, of_singles, singles};

/// The Open Inference Protocol.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub(crate) mod inference {
    tonic::include_proto!("inference");
}

/// What a proxy asks of a worker beside it.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub(crate) mod worker {
    tonic::include_proto!("predictsql.worker.v1");
}
