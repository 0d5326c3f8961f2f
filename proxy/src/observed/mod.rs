//! What predict statements took, and what the next one is expected to take.
//!
//! ```text
//! plan + executor ─► Workload ─► Observed::expect ─► EXPLAIN, ANALYZE
//!                       └─ run ─► Observed::note
//! ```
//!
//! The expected seconds of a statement are those of its plan's kind, rows and work on models
//! ([`Curve`]), times what statements of its shape took over that. The work is the inputs that
//! models must process, at the pace that each model and source was observed to have. All of it is
//! corrected by every statement that ends. Nothing here can reach a decision: plans are chosen by
//! published figures alone.

mod counts;
mod curve;
mod memory;
mod paces;
mod workload;

use std::sync::{Mutex, MutexGuard, PoisonError};

use predictsql_catalog::Model;
use predictsql_optimizer::explain::Elapsed;

use curve::Curve;
pub use memory::Fingerprint;
use memory::Memory;
use paces::Paces;
use workload::Kind;
pub use workload::Workload;

/// What statements took.
#[derive(Debug, Default)]
pub struct Observed {
    paces: Paces,
    memory: Memory,
    curves: [Mutex<Curve>; Kind::COUNT],
}

impl Observed {
    /// What a statement is expected to take. `None`: the store does not estimate its rows, or the
    /// cost of a model is not known.
    #[must_use]
    pub fn expect(&self, workload: &Workload<'_>) -> Option<Elapsed> {
        let known = self.memory.of(workload.fingerprint);
        let counts = match &known.counts {
            Some(counts) => workload.again(counts),
            None => workload.estimated(|output, inputs| self.memory.kept(output, inputs))?,
        };
        let seconds = self.paces.work(workload, &counts)?;
        let loading = workload.loading_seconds(&counts, |output| self.paces.load_seconds(output));
        let curve = self.curve(workload.kind()).expect(&curve::features(
            workload.kind(),
            &counts,
            workload.elapsed(&counts, &seconds),
        ));
        Some(Elapsed {
            seconds: curve * known.ratio + loading,
            loading,
            inferences: counts.inferences(),
            fetching: seconds.fetching,
            preparing: seconds.preparing,
            inferring: seconds.inferring,
            statements_observed: known.statements,
        })
    }

    /// Seconds of inference for one input of a model, as statements have observed them.
    #[must_use]
    pub fn model_seconds(&self, model: &Model) -> Option<f64> {
        self.paces.model_seconds(model.output_id())
    }

    /// Takes account of a statement that ended after `seconds`, with these rows read of the store.
    pub fn note(&self, workload: &Workload<'_>, rows_read: u64, seconds: f64) {
        let counts = workload.counted(rows_read);
        self.paces.note(workload);
        let loading = workload.loaded_seconds();
        let elapsed = workload.elapsed(&counts, &workload.spent());
        let features = curve::features(workload.kind(), &counts, elapsed);
        let seconds = (seconds - loading).max(seconds * 0.05);
        let expected = {
            let mut curve = self.curve(workload.kind());
            let expected = curve.expect(&features);
            curve.note(&features, seconds);
            expected
        };
        workload
            .kept()
            .for_each(|(output, kept)| self.memory.keep(output, kept));
        self.memory
            .note(workload.fingerprint, counts, seconds / expected.max(1e-9));
    }

    fn curve(&self, kind: Kind) -> MutexGuard<'_, Curve> {
        let curve = match kind {
            Kind::Stream => &self.curves[0],
            Kind::Materialise => &self.curves[1],
        };
        curve.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
