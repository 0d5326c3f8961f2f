//! What keeps outputs longer than the process lives.

use std::fmt;

use futures_util::future::BoxFuture;
use predictsql_catalog::OutputCodec;

use super::numbers::Numbers;
use crate::identity::InputId;

/// Keeps outputs of models. Nothing of it fails: what cannot be read is not found, and what cannot
/// be stored is dropped.
pub trait OutputStore: fmt::Debug + Send + Sync {
    /// Those of `inputs` that have a stored output of `output`, which `codec` decodes. None where
    /// they are not to be had soon.
    fn read(
        &self,
        output: [u8; 16],
        codec: OutputCodec,
        inputs: Vec<InputId>,
    ) -> BoxFuture<'_, Vec<(InputId, Numbers)>>;

    /// Has an output stored. It does not wait.
    fn keep(&self, output: [u8; 16], input: InputId, numbers: Numbers);

    /// Waits, not for long, until what was kept is stored.
    fn close(&self) -> BoxFuture<'_, ()>;
}
