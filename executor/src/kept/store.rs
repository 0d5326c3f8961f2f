//! Interface of a persistent store of outputs.

use std::fmt;

use futures_util::future::BoxFuture;
use predictsql_catalog::OutputCodec;

use super::numbers::Numbers;
use crate::identity::InputId;

/// Persistent store of model outputs. Its methods do not fail: outputs that cannot be read count
/// as not found, and outputs that cannot be stored are dropped.
pub trait OutputStore: fmt::Debug + Send + Sync {
    /// Stored outputs of `output` for those `inputs` that have one, decoded by `codec`. Empty if
    /// they are not available soon.
    fn read(
        &self,
        output: [u8; 16],
        codec: OutputCodec,
        inputs: Vec<InputId>,
    ) -> BoxFuture<'_, Vec<(InputId, Numbers)>>;

    /// Queues an output for storage without waiting.
    fn keep(&self, output: [u8; 16], input: InputId, numbers: Numbers);

    /// Waits until kept outputs are stored, up to a timeout.
    fn close(&self) -> BoxFuture<'_, ()>;
}
