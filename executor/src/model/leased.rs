//! Runs of a model with a session of this process that is lent for them.

use super::compiled::Compiled;
use super::reader::Numbers;
use super::runs::{Batch, Runs};
use super::sessions::{Lease, SessionPool};
use super::settings::CompileSettings;
use super::warmup;
use crate::ModelError;
use crate::interrupt::Interrupt;

/// A lent session, and what ends its runs.
pub(super) struct Leased<'l> {
    pool: &'l SessionPool,
    lease: Lease<'l>,
    interrupt: &'l Interrupt,
}

impl<'l> Leased<'l> {
    /// Runs with this lease of a session of `pool`, until `interrupt` is set.
    pub(super) fn new(pool: &'l SessionPool, lease: Lease<'l>, interrupt: &'l Interrupt) -> Self {
        Self {
            pool,
            lease,
            interrupt,
        }
    }
}

impl Runs for Leased<'_> {
    fn run(
        &mut self,
        batch: Batch<'_>,
        read: &mut dyn FnMut(&Numbers<'_>),
    ) -> Result<(), ModelError> {
        self.lease.run(batch, self.interrupt, read)
    }

    fn buckets(&self) -> &[usize] {
        self.pool.buckets()
    }

    fn check_label(&mut self, batch: Batch<'_>, sure_min: f32) -> Result<(), ModelError> {
        let reader = &self.pool.contract().reader;
        self.lease
            .run_raw(batch, self.interrupt, |outputs, size, _| {
                reader.check_label(outputs, size, sure_min)
            })
    }
}

/// Times a model at the batch sizes that it accepts, by ascending size: (inputs, seconds of a
/// run). Others use the model meanwhile.
pub(crate) fn measure(
    compiled: &Compiled,
    batches: &[usize],
    settings: &CompileSettings,
    interrupt: &Interrupt,
) -> Result<Vec<(u32, f64)>, ModelError> {
    let sessions = &compiled.sessions;
    let lease = sessions.lease_beside(interrupt)?;
    let limits = (sessions.batch_inputs_max(), settings.tensor_bytes_max);
    let mut runs = Leased::new(sessions, lease, interrupt);
    warmup::measure(&mut runs, sessions.contract(), batches, limits)
}
