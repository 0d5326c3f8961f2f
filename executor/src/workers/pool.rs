//! The workers of a backend: which of them gets a request, and what happens when it fails.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use predictsql_catalog::Device;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::load::{self, Wanted};
use super::request::Request;
use super::served::Served;
use super::trouble::{Asked, Trouble, told};
use crate::backend::WorkerState;
use crate::error::{ModelError, PredictError};
use crate::oip::Failure;
use crate::oip::inference::{ModelInferResponse, RepositoryModelUnloadRequest};
use crate::oip::worker::{LoadResponse, MeasureRequest};
use crate::storage::{self, Location};

/// A request that this many workers were lost with is given up: it may be what ends them.
const LOST_MAX: usize = 6;
/// Time until a worker that has too many requests is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The same after it has been busy several times.
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(500);

/// What came of asking one worker.
enum Attempt {
    Answered(ModelInferResponse),
    /// The model fails, at any worker.
    Failed(PredictError),
    /// This worker cannot run the model.
    Unable(ModelError),
    Trouble(Trouble),
}

/// The workers, and the models that are wanted at them.
#[derive(Debug)]
pub(super) struct Pool {
    workers: Mutex<Vec<Arc<Served>>>,
    wanted: Mutex<HashMap<String, Weak<Wanted>>>,
    /// Counts the workers that began to take work.
    joined: watch::Sender<u64>,
    wait_max: Duration,
    /// Among equal workers, each is the first in turn.
    turn: AtomicUsize,
}

impl Pool {
    pub(super) fn new(wait_seconds_max: u64) -> Self {
        Self {
            workers: Mutex::default(),
            wanted: Mutex::default(),
            joined: watch::Sender::new(0),
            wait_max: Duration::from_secs(wait_seconds_max),
            turn: AtomicUsize::new(0),
        }
    }

    /// Adds a worker, which takes no work yet.
    pub(super) fn add(&self, served: &Arc<Served>) {
        self.workers().push(served.clone());
    }

    /// Removes a worker.
    pub(super) fn remove(&self, served: &Arc<Served>) {
        self.workers().retain(|other| !Arc::ptr_eq(other, served));
    }

    /// Begins to use a worker: the models that others have are loaded there too.
    pub(super) fn joined(self: &Arc<Self>, served: &Arc<Served>) {
        self.joined.send_modify(|count| *count += 1);
        let wanted: Vec<_> = {
            let mut wanted = self.wanted();
            wanted.retain(|_, model| model.strong_count() > 0);
            wanted.values().filter_map(Weak::upgrade).collect()
        };
        for model in wanted {
            let (pool, served) = (self.clone(), served.clone());
            tokio::spawn(async move {
                // Whoever needs it sees the failure.
                let _ = pool.load_at(&served, &model).await;
            });
        }
    }

    /// Pieces that all workers together run concurrently now.
    pub(super) fn pieces(&self) -> usize {
        let workers = self.workers();
        let pieces = workers.iter().filter_map(|served| served.capacity());
        pieces.map(|(pieces, _)| pieces).sum()
    }

    /// Whether all workers that take work read the object at this URI themselves.
    pub(super) fn reads(&self, uri: &str) -> bool {
        let Ok(Location::Object(object)) = storage::parse(uri.as_bytes()) else {
            return false;
        };
        let object = [object];
        let workers = self.workers();
        let mut up = workers.iter().filter(|served| served.is_up()).peekable();
        up.peek().is_some() && up.all(|served| served.reads(&object))
    }

    /// What is known of each worker.
    pub(super) fn states(&self) -> Vec<WorkerState> {
        let workers = self.workers();
        let mut states: Vec<_> = workers.iter().map(|served| served.report()).collect();
        states.sort_by_key(|state| state.address);
        states
    }

    /// Device of the workers.
    pub(super) fn device(&self) -> Device {
        let workers = self.workers();
        let device = workers.iter().find_map(|served| served.capacity());
        device.map(|(_, device)| device).unwrap_or_default()
    }

    /// Loads a model at all workers, and returns when the first one has it.
    ///
    /// # Errors
    /// The model's, if no worker can load it; [`ModelError::NoWorker`].
    pub(super) async fn load_everywhere(
        self: &Arc<Self>,
        wanted: &Arc<Wanted>,
    ) -> Result<LoadResponse, ModelError> {
        let name = wanted.name.clone();
        self.wanted().insert(name, Arc::downgrade(wanted));
        let until = Instant::now() + self.wait_max;
        let mut lost = 0;
        loop {
            let workers = self.wait(until).await?;
            let (sender, mut results) = mpsc::unbounded_channel();
            for served in workers {
                // What failed before is tried again.
                if let Some(Err(_)) = served.loaded(&wanted.name) {
                    served.forget(&wanted.name);
                }
                let (pool, wanted, sender) = (self.clone(), wanted.clone(), sender.clone());
                tokio::spawn(async move {
                    let _ = sender.send(pool.load_at(&served, &wanted).await);
                });
            }
            drop(sender);
            let mut failed = None;
            while let Some(result) = results.recv().await {
                match result {
                    Ok(Ok(loaded)) => return Ok(loaded),
                    Ok(Err(error)) => failed = Some(error),
                    Err(Trouble::Lost(_)) => lost += 1,
                    Err(_) => {}
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if lost >= LOST_MAX {
                let reason = format!("{lost} times a worker was lost while it loaded the model");
                return Err(ModelError::NoWorker { reason });
            }
            sleep(BUSY_PAUSE).await;
        }
    }

    /// Loads a model at a worker, unless it is loaded or being loaded there.
    async fn load_at(&self, served: &Served, wanted: &Wanted) -> Asked<LoadResponse> {
        let loading = served.loading(&wanted.name);
        let load = || load::load(served, wanted);
        let loaded = until_lost(served, loading.get_or_try_init(load)).await?;
        loaded.cloned()
    }

    /// Has a request answered: by the ready worker with the model and the least work, and by
    /// another one if that fails.
    ///
    /// # Errors
    /// The model's failure, and [`ModelError::NoWorker`].
    pub(super) async fn infer(
        &self,
        wanted: &Wanted,
        request: &Request,
    ) -> Result<ModelInferResponse, PredictError> {
        let mut until = Instant::now() + self.wait_max;
        let mut unable: Vec<(SocketAddr, ModelError)> = Vec::new();
        let (mut lost, mut busy, mut pause) = (0, None, BUSY_PAUSE);
        loop {
            let candidates = self.wait(until).await?;
            let able = |served: &Served| {
                let known = unable.iter().any(|(address, _)| *address == served.address);
                !known && served.reads(&request.objects)
            };
            let others = |served: &Served| able(served) && busy != Some(served.address);
            let chosen = self.choose(candidates.clone(), &wanted.name, others);
            let chosen = chosen.or_else(|| self.choose(candidates, &wanted.name, able));
            let Some(served) = chosen else {
                // One that takes no work now may be able.
                if (unable.is_empty() || !self.are_all_up()) && Instant::now() < until {
                    sleep(BUSY_PAUSE).await;
                    continue;
                }
                return Err(none_able(unable).into());
            };
            let failed = match self.attempt(&served, wanted, request).await {
                Attempt::Answered(response) => return Ok(response),
                Attempt::Failed(error) => return Err(error),
                Attempt::Unable(error) => {
                    unable.push((served.address, error));
                    continue;
                }
                Attempt::Trouble(trouble) => trouble,
            };
            until = Instant::now() + self.wait_max;
            match failed {
                Trouble::Refused(reason) => {
                    return Err(model_failed(
                        wanted,
                        format!("its worker refuses: {reason}"),
                    ));
                }
                Trouble::Busy => {
                    busy = Some(served.address);
                    sleep(pause).await;
                    pause = (pause * 2).min(BUSY_PAUSE_MAX);
                }
                Trouble::Lost(reason) => {
                    served.rest(&format!("was lost ({reason})"));
                    lost += 1;
                    if lost >= LOST_MAX {
                        let reason =
                            format!("{lost} workers were lost while they ran it ({reason})");
                        return Err(ModelError::NoWorker { reason }.into());
                    }
                }
            }
        }
    }

    /// Asks one worker.
    async fn attempt(&self, served: &Arc<Served>, wanted: &Wanted, request: &Request) -> Attempt {
        match self.load_at(served, wanted).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                // The next request tries again.
                served.forget(&wanted.name);
                return Attempt::Unable(error);
            }
            Err(trouble) => return Attempt::Trouble(trouble),
        }
        let _outstanding = served.take(request.inputs);
        let mut client = served.inference.clone();
        let answer = client.model_infer(request.message.clone());
        let status = match until_lost(served, answer).await {
            Ok(Ok(response)) => {
                served.count_answer();
                return Attempt::Answered(response.into_inner());
            }
            Ok(Err(status)) => status,
            Err(trouble) => return Attempt::Trouble(trouble),
        };
        match Failure::of(&status) {
            Some(Failure::Model { reason }) => Attempt::Failed(model_failed(wanted, reason)),
            Some(Failure::Load(error)) => {
                served.forget(&wanted.name);
                Attempt::Unable(error)
            }
            Some(Failure::NotLoaded) => {
                served.forget(&wanted.name);
                Attempt::Trouble(Trouble::Busy)
            }
            Some(Failure::Busy) => Attempt::Trouble(Trouble::Busy),
            None => Attempt::Trouble(Trouble::of(&status)),
        }
    }

    /// Has `ask` answered by some worker: by another one if that fails.
    ///
    /// # Errors
    /// The model's, and [`ModelError::NoWorker`].
    pub(super) async fn anywhere<'a, T>(
        &self,
        ask: impl Fn(Arc<Served>) -> BoxFuture<'a, Asked<T>>,
    ) -> Result<T, ModelError> {
        let until = Instant::now() + self.wait_max;
        let mut lost = 0;
        loop {
            let candidates = self.wait(until).await?;
            let Some(served) = self.choose(candidates, "", |_| true) else {
                continue;
            };
            let failed = match until_lost(&served, ask(served.clone())).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(trouble)) | Err(trouble) => trouble,
            };
            match failed {
                Trouble::Busy => sleep(BUSY_PAUSE).await,
                Trouble::Lost(reason) | Trouble::Refused(reason) => {
                    served.rest(&format!("was lost ({reason})"));
                    lost += 1;
                    if lost >= LOST_MAX {
                        return Err(ModelError::NoWorker { reason });
                    }
                }
            }
        }
    }

    /// Seconds of one run for each of these batch sizes that a model supports.
    ///
    /// # Errors
    /// The model's, and [`ModelError::NoWorker`].
    pub(super) async fn measure(
        &self,
        wanted: &Wanted,
        batches: &[usize],
    ) -> Result<Vec<(u32, f64)>, ModelError> {
        let request = MeasureRequest {
            name: wanted.name.clone(),
            batches: batches.iter().map(|batch| *batch as u64).collect(),
        };
        let measured = self.anywhere(|served| {
            let request = request.clone();
            Box::pin(async move {
                if let Err(error) = self.load_at(&served, wanted).await? {
                    return Ok(Err(error));
                }
                match served.worker.clone().measure(request).await {
                    Ok(measured) => Ok(Ok(measured.into_inner())),
                    Err(status) => {
                        // A worker that has unloaded it meanwhile loads it again.
                        served.forget(&wanted.name);
                        told(&status).map(Err)
                    }
                }
            })
        });
        let runs = measured.await?.runs.into_iter();
        Ok(runs.map(|run| (run.inputs, run.seconds)).collect())
    }

    /// Unloads a model at all workers that have it. Another proxy that uses it loads it again.
    pub(super) async fn unload(&self, unloaded: &Arc<Wanted>) {
        let name = unloaded.name.as_str();
        {
            // Another model of the catalog may have the same file and outputs.
            let mut wanted = self.wanted();
            let live = wanted.get(name).and_then(Weak::upgrade);
            if live.is_some_and(|live| !Arc::ptr_eq(&live, unloaded)) {
                return;
            }
            wanted.remove(name);
        }
        let workers = self.workers().clone();
        for served in workers {
            if served.loaded(name).is_none() || !served.is_up() {
                continue;
            }
            served.forget(name);
            let request = RepositoryModelUnloadRequest {
                model_name: name.to_string(),
                ..RepositoryModelUnloadRequest::default()
            };
            let mut client = served.inference.clone();
            let asked = client.repository_model_unload(request);
            if let Ok(Err(status)) = until_lost(&served, asked).await {
                tracing::debug!(worker = %served.address, %status, "a model was not unloaded");
            }
        }
    }

    /// The workers that take work; waits for the first one.
    async fn wait(&self, until: Instant) -> Result<Vec<Arc<Served>>, ModelError> {
        let mut joined = self.joined.subscribe();
        loop {
            let up: Vec<_> = {
                let workers = self.workers();
                workers.iter().filter(|s| s.is_up()).cloned().collect()
            };
            if !up.is_empty() {
                return Ok(up);
            }
            // The sender lives as long as the pool.
            if timeout_at(until, joined.changed()).await.is_err() {
                return Err(self.no_worker());
            }
        }
    }

    /// The worker with the least work among those that have the model, or else among those that
    /// may load it.
    fn choose(
        &self,
        candidates: Vec<Arc<Served>>,
        model: &str,
        able: impl Fn(&Served) -> bool,
    ) -> Option<Arc<Served>> {
        let able = candidates.into_iter().filter(|served| able(served));
        let mut able: Vec<_> = able.collect();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = able.len().max(1);
        able.rotate_left(first % count);
        let rank = |served: &Arc<Served>| match served.loaded(model) {
            Some(Ok(())) => 0,
            None => 1,
            Some(Err(_)) => 2,
        };
        able.into_iter()
            .min_by_key(|served| (rank(served), served.outstanding_per_piece()))
    }

    /// Whether all known workers take work.
    fn are_all_up(&self) -> bool {
        self.workers().iter().all(|served| served.is_up())
    }

    /// The error where no worker takes work, with what is wrong with each.
    fn no_worker(&self) -> ModelError {
        let workers = self.workers();
        let told = workers
            .iter()
            .map(|served| format!("{} {}", served.address, served.trouble()));
        let told: Vec<String> = told.collect();
        let told = match told.is_empty() {
            true => "their addresses lead to none".to_string(),
            false => told.join("; "),
        };
        let seconds = self.wait_max.as_secs();
        ModelError::NoWorker {
            reason: format!("none took work within {seconds} s (worker_wait_seconds_max): {told}"),
        }
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Arc<Served>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<String, Weak<Wanted>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error where those that take work cannot run it.
fn none_able(mut unable: Vec<(SocketAddr, ModelError)>) -> ModelError {
    let unread = || ModelError::NoWorker {
        reason: "none that takes work reads the images' roots any more".to_string(),
    };
    unable.pop().map_or_else(unread, |(_, error)| error)
}

fn model_failed(wanted: &Wanted, reason: String) -> PredictError {
    PredictError::Model {
        model: wanted.model.name.clone(),
        reason,
    }
}

/// Does work with a worker until it is given up.
async fn until_lost<T>(served: &Served, work: impl Future<Output = T>) -> Result<T, Trouble> {
    let Some(lost) = served.lost() else {
        return Err(Trouble::Lost(served.trouble()));
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = lost.cancelled() => Err(Trouble::Lost(served.trouble())),
    }
}
