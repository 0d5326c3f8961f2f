//! `--http`: metrics for Prometheus, and health checks for supervisors and load balancers.
//!
//! `/metrics`: Prometheus text format. `/healthz`: 200 while the process is alive. `/readyz`: 200
//! while the store answers and the proxy is not stopping, otherwise 503 with the reason.

use crate::account::{ServiceAccount, StoreAddress};
use crate::admission::{Admission, Applicant, Source};
use crate::lane::LaneContext;
use crate::live::Live;
use crate::relay::connect;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use predictsql_executor::WorkerState;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Maximum concurrent clients. A further client displaces one that has not sent its request.
const CONNECTIONS_MAX: usize = 64;
/// Maximum length of a request's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Timeout for reading a request's head.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Maximum duration of a connection: each request has one small answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause after an accept that failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the result of a check of the store is cached.
const READY_AGE_MAX: Duration = Duration::from_secs(1);
/// Timeout of a check of the store.
const READY_TIME_MAX: Duration = Duration::from_secs(2);

/// State of the proxy shown by its endpoints.
pub struct Status {
    live: Arc<Live>,
    lane: Arc<LaneContext>,
    store: StoreAddress,
    draining: CancellationToken,
    /// When the store was last checked, and the problem found.
    asked: Mutex<Option<(Instant, Option<String>)>>,
}

impl Status {
    /// The state of these parts; `draining` is cancelled when the proxy begins to stop.
    #[must_use]
    pub fn new(
        live: Arc<Live>,
        lane: Arc<LaneContext>,
        store: StoreAddress,
        draining: CancellationToken,
    ) -> Self {
        Self {
            live,
            lane,
            store,
            draining,
            asked: Mutex::new(None),
        }
    }

    /// The current sessions and statements.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The workers that run models.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerState> {
        self.lane.executor.workers()
    }

    /// Current metrics in Prometheus text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let metrics = self.live.metrics();
        if let Some(epoch) = self.lane.account.cached_epoch() {
            let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
            metrics.catalog_epoch.set(epoch);
        }
        let kept = self.lane.cache.memory_bytes();
        metrics
            .cache_memory_bytes
            .set(i64::try_from(kept).unwrap_or(i64::MAX));
        let held = &self.lane.spool.account;
        for (gauge, bytes) in [
            (&metrics.spool_memory_bytes, held.memory_bytes()),
            (&metrics.spool_disk_bytes, held.disk_bytes()),
        ] {
            gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        let chunks = self.lane.executor.chunks_in_flight();
        metrics
            .executor_chunks
            .set(i64::try_from(chunks).unwrap_or(i64::MAX));
        let (loaded, bytes) = self.lane.executor.models_loaded();
        metrics
            .models_loaded
            .set(i64::try_from(loaded).unwrap_or(i64::MAX));
        metrics
            .models_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        metrics.workers.show(&self.workers());
        let observed = &metrics.model_seconds_observed;
        observed.reset();
        if let Some(catalog) = self.lane.account.cached_snapshot() {
            for model in catalog.models() {
                if let Some(seconds) = self.lane.observed.model_seconds(model) {
                    observed
                        .with_label_values(&[&model.name, &model.version])
                        .set(seconds);
                }
            }
        }
        let (counted, inferred) = (
            metrics.images_inferred.get(),
            self.lane.executor.images_inferred(),
        );
        metrics
            .images_inferred
            .inc_by(inferred.saturating_sub(counted));
        self.live.metrics_text()
    }

    /// Why clients should use another proxy, if there is a reason.
    async fn not_ready(&self) -> Option<String> {
        if self.draining.is_cancelled() {
            return Some("the proxy is stopping".to_owned());
        }
        let mut asked = self.asked.lock().await;
        if let Some((at, trouble)) = &*asked
            && at.elapsed() < READY_AGE_MAX
        {
            return trouble.clone();
        }
        let trouble = self.trouble_with_store().await;
        *asked = Some((Instant::now(), trouble.clone()));
        trouble
    }

    async fn trouble_with_store(&self) -> Option<String> {
        let asking = sign_of_life(&self.lane.account, &self.live, &self.store);
        match tokio::time::timeout(READY_TIME_MAX, asking).await {
            Ok(true) => None,
            Ok(false) => Some(format!("the store at {} does not answer", self.store)),
            Err(_) => Some(format!(
                "the store at {} does not answer in time",
                self.store
            )),
        }
    }
}

/// Whether the store answers. Without a service account this is derived from the clients' own
/// connections: connecting without logging in would make the store block this host
/// (`max_connect_errors`).
async fn sign_of_life(account: &ServiceAccount, live: &Live, store: &StoreAddress) -> bool {
    if account.is_configured() {
        // All pooled connections may be dead after a restart of the store: try twice.
        return account.ping().await.is_ok() || account.ping().await.is_ok();
    }
    if live.was_store_reached() {
        return true;
    }
    let connected = connect(store, READY_TIME_MAX).await.is_ok();
    if connected {
        live.store_reached(true);
    }
    connected
}

/// What the endpoints of a program show.
pub trait Observed: Send + Sync + 'static {
    /// Current metrics in Prometheus text format.
    fn metrics_text(&self) -> String;

    /// Why clients should use another one, if there is a reason.
    fn not_ready(&self) -> impl Future<Output = Option<String>> + Send;
}

impl Observed for Status {
    fn metrics_text(&self) -> String {
        Self::metrics_text(self)
    }

    async fn not_ready(&self) -> Option<String> {
        Self::not_ready(self).await
    }
}

/// Serves `listener` until the task is dropped.
pub async fn serve<O: Observed>(listener: TcpListener, status: Arc<O>) {
    // A client is served as soon as it has sent a request; there is no login.
    let admission = Arc::new(Admission::default());
    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "http: cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let source = Source::from(peer.ip());
        if admission.count() >= CONNECTIONS_MAX {
            admission.make_room_anyhow(source);
        }
        let applicant = admission.enter(source);
        tokio::spawn(serve_within_limits(client, applicant, Arc::clone(&status)));
    }
}

async fn serve_within_limits<O: Observed>(client: TcpStream, applicant: Applicant, status: Arc<O>) {
    let waits_for_client = Arc::clone(applicant.waits_for_client());
    waits_for_client.store(true, Relaxed);
    tokio::select! {
        () = serve_client(client, status, waits_for_client) => {}
        () = applicant.displaced() => tracing::debug!("http: a connection gave way to another"),
        () = tokio::time::sleep(CONNECTION_TIME_MAX) => {
            tracing::debug!("http: a connection took too long");
        }
    }
}

async fn serve_client<O: Observed>(
    client: TcpStream,
    status: Arc<O>,
    waits_for_client: Arc<AtomicBool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        waits_for_client.store(false, Relaxed);
        let status = Arc::clone(&status);
        async move {
            Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &*status).await)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "http: a connection failed");
    }
}

async fn answer(method: &Method, path: &str, status: &impl Observed) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET and HEAD are understood\n",
        );
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match path {
        "/metrics" => text(StatusCode::OK, status.metrics_text()),
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match status.not_ready().await {
            None => text(StatusCode::OK, "ok\n"),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /readyz\n",
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(
        CACHE_CONTROL,
        hyper::header::HeaderValue::from_static("no-store"),
    );
    response
}
