//! A model that is loaded in this process.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::turns::take_turn;
use crate::backend::{Description, Instance};
use crate::error::ModelError;
use crate::loads::Loads;
use crate::model::{CompileSettings, Compiled, Feed, measure_compiled};
use crate::pieces::{Form, Piece};
use crate::pipeline::{Run, WorkQueue};

/// Sessions of one model, and the pool that runs them.
#[derive(Debug)]
pub(super) struct InProcessInstance {
    description: Description,
    compiled: Arc<Compiled>,
    queue: Arc<WorkQueue>,
    loads: Arc<Loads>,
    settings: Arc<CompileSettings>,
}

impl InProcessInstance {
    pub(super) fn new(
        compiled: Compiled,
        queue: Arc<WorkQueue>,
        loads: Arc<Loads>,
        settings: Arc<CompileSettings>,
    ) -> Self {
        let form = match compiled.feed() {
            Feed::Image(spec) => Form::Tensor(spec.clone()),
            Feed::Columns(_) => Form::Rows,
        };
        Self {
            description: Description {
                form,
                batch_inputs: compiled.batch_inputs,
                chunk_inputs: compiled.chunk_inputs,
                seconds_per_input: compiled.seconds_per_image,
                load_seconds: compiled.load_seconds,
                memory_bytes: compiled.memory_bytes,
            },
            compiled: Arc::new(compiled),
            queue,
            loads,
            settings,
        }
    }
}

impl Instance for InProcessInstance {
    fn description(&self) -> &Description {
        &self.description
    }

    fn infer(&self, piece: Piece) {
        self.queue.push_run(Run::new(piece, self.compiled.clone()));
    }

    fn measure(
        &self,
        name: &str,
        batches: &[usize],
    ) -> BoxFuture<'static, Result<Vec<(u32, f64)>, ModelError>> {
        let (compiled, settings) = (self.compiled.clone(), self.settings.clone());
        let batches = batches.to_vec();
        take_turn(&self.loads, name, move |interrupt| {
            measure_compiled(&compiled, &batches, &settings, interrupt)
        })
    }

    /// Frees the memory on a separate thread: this takes milliseconds, which would delay sessions.
    fn release(self: Arc<Self>) {
        let thread = std::thread::Builder::new().name("predict-free".to_string());
        // If no thread can be started, it is freed here.
        let _ = thread.spawn(move || drop(self));
    }
}
