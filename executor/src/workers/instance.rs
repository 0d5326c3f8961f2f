//! A model that workers have loaded.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use futures_util::future::BoxFuture;
use predictsql_catalog::ModelInput;

use super::load::Wanted;
use super::pool::Pool;
use super::request;
use crate::backend::{Description, Instance};
use crate::error::{ModelError, PredictError};
use crate::input::Outcome;
use crate::io_runtime::IoRuntime;
use crate::oip::worker::LoadResponse;
use crate::pieces::{Form, Piece};

/// Where this process begins to number its callers, so that those of several proxies differ.
static FIRST_CALLER: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));

/// A model that workers have loaded.
#[derive(Debug)]
pub(super) struct RemoteInstance {
    description: Description,
    wanted: Arc<Wanted>,
    pool: Arc<Pool>,
    runtime: Arc<IoRuntime>,
    inferred: Arc<AtomicU64>,
}

impl RemoteInstance {
    pub(super) fn new(
        wanted: Arc<Wanted>,
        loaded: &LoadResponse,
        pool: Arc<Pool>,
        runtime: Arc<IoRuntime>,
        inferred: Arc<AtomicU64>,
    ) -> Self {
        let inputs = |count: u64| usize::try_from(count).unwrap_or(1).max(1);
        Self {
            description: Description {
                form: match wanted.model.options.input {
                    ModelInput::Image(_) => Form::Encoded,
                    ModelInput::Columns { .. } => Form::Rows,
                },
                batch_inputs: inputs(loaded.batch_inputs),
                chunk_inputs: inputs(loaded.chunk_inputs),
                seconds_per_input: loaded.seconds_per_input,
                load_seconds: loaded.load_seconds,
                // Its memory is the workers'.
                memory_bytes: 0,
            },
            wanted,
            pool,
            runtime,
            inferred,
        }
    }
}

impl Instance for RemoteInstance {
    fn description(&self) -> &Description {
        &self.description
    }

    fn reads(&self, uri: &str) -> bool {
        self.pool.reads(uri)
    }

    fn infer(&self, piece: Piece) {
        let (pool, wanted) = (self.pool.clone(), self.wanted.clone());
        let inferred = self.inferred.clone();
        drop(
            self.runtime
                .spawn(async move { answer(&pool, &wanted, piece, &inferred).await }),
        );
    }

    fn measure(
        &self,
        _name: &str,
        batches: &[usize],
    ) -> BoxFuture<'static, Result<Vec<(u32, f64)>, ModelError>> {
        let (pool, wanted) = (self.pool.clone(), self.wanted.clone());
        let batches = batches.to_vec();
        let measuring = async move { pool.measure(&wanted, &batches).await };
        let task = tokio_util::task::AbortOnDropHandle::new(self.runtime.spawn(measuring));
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(ModelError::abandoned())) })
    }

    fn release(self: Arc<Self>) {
        let (pool, wanted) = (self.pool.clone(), self.wanted.clone());
        drop(
            self.runtime
                .spawn(async move { pool.unload(&wanted).await }),
        );
    }
}

/// Answers a piece, request after request, unless its caller is gone.
async fn answer(pool: &Pool, wanted: &Wanted, mut piece: Piece, inferred: &AtomicU64) {
    let caller = FIRST_CALLER.wrapping_add(piece.caller().number());
    let options = &wanted.model.options;
    while piece.left() > 0 {
        let Some(request) = request::next(&piece, &wanted.name, options, caller) else {
            fail(
                wanted,
                piece,
                "an input cannot be sent to a worker".to_string(),
            );
            return;
        };
        let answered = tokio::select! {
            biased;
            () = piece.reply.abandoned() => return,
            answered = pool.infer(wanted, &request) => answered,
        };
        let response = match answered {
            Ok(response) => response,
            Err(error) => return piece.reply.send(Err(error)),
        };
        let ids = match request.objects.is_empty() || !piece.is_identified() {
            true => Ok(Vec::new()),
            false => request::identities(&response, request.inputs),
        };
        let outcomes = request::outcomes(&response, options, request.inputs);
        match ids.and_then(|ids| Ok((ids, outcomes?))) {
            Ok((ids, outcomes)) => {
                piece.identify(ids.into_iter());
                let ran = |outcome: &&Outcome| !matches!(outcome, Outcome::Unreadable(_));
                let ran = outcomes.iter().filter(ran).count();
                inferred.fetch_add(ran as u64, Ordering::Relaxed);
                request::count_time(&piece, &response);
                piece.fill(&mut outcomes.into_iter());
            }
            Err(reason) => {
                fail(
                    wanted,
                    piece,
                    format!("its worker gave a wrong answer: {reason}"),
                );
                return;
            }
        }
    }
    piece.answer();
}

fn fail(wanted: &Wanted, piece: Piece, reason: String) {
    let model = wanted.model.name.clone();
    piece.reply.send(Err(PredictError::Model { model, reason }));
}
