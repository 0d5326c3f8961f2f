//! Metrics of this proxy, for Prometheus and `SHOW METRICS`.
//!
//! There is one registry, created by [`crate::serve`] and passed down. The relay's hot path does
//! not update it: sessions' counters are added when metrics are read, see
//! [`crate::live::Live::metrics_text`].

use crate::error::Outcome;
use crate::session_end::SessionEnd;
use predictsql_executor::WorkerState;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Number of histogram buckets of statement durations: 1 ms to 524 s, by factors of two.
const STATEMENT_SECONDS_BUCKETS: usize = 20;

/// All metrics. Names and meanings are those of the texts in [`Metrics::new`].
pub struct Metrics {
    registry: Registry,
    /// Sessions currently logged in.
    pub sessions: IntGauge,
    /// Sessions that have logged in since the start.
    pub sessions_opened: IntCounter,
    /// Clients that were refused because of `connections_max`.
    pub sessions_refused: IntCounter,
    /// Sessions ended by `KILL SESSION`.
    pub sessions_killed: IntCounter,
    /// Ended client connections, logged in or not, by reason.
    pub sessions_ended: IntCounterVec,
    /// Commands forwarded to the store unchanged.
    pub commands_forwarded: IntCounter,
    /// Failed connections to the store for clients.
    pub store_connect_failures: IntCounter,
    /// Commands of the predict lane by outcome.
    pub lane_commands: IntCounterVec,
    /// Running predict statements.
    pub statements_running: IntGauge,
    /// Duration of predict statements.
    pub statement_seconds: Histogram,
    /// Rows that the lane read from the store.
    pub rows_read: IntCounter,
    /// Rows that the lane sent to clients.
    pub rows_sent: IntCounter,
    /// Images processed by models.
    pub images_inferred: IntCounter,
    /// Images that could not be read or decoded.
    pub images_unreadable: IntCounter,
    /// Inputs answered without running a model.
    pub cache_hits: IntCounter,
    /// Inputs without a kept output.
    pub cache_misses: IntCounter,
    /// Outputs written to the table.
    pub cache_writes: IntCounter,
    /// Outputs that could not be written to the table.
    pub cache_dropped: IntCounter,
    /// Outputs deleted for lack of space in the table.
    pub cache_evictions: IntCounter,
    /// Bytes of outputs kept in memory.
    pub cache_memory_bytes: IntGauge,
    /// Bytes of rows and inputs that predict statements hold in memory.
    pub spool_memory_bytes: IntGauge,
    /// Bytes of rows that predict statements hold on disk.
    pub spool_disk_bytes: IntGauge,
    /// Chunks that the executor processes.
    pub executor_chunks: IntGauge,
    /// Loaded models.
    pub models_loaded: IntGauge,
    /// Memory used by loaded models.
    pub models_bytes: IntGauge,
    /// Epoch of the catalog when last read.
    pub catalog_epoch: IntGauge,
    /// Workers, by address.
    pub workers: WorkerMetrics,
    /// Observed seconds of inference for one input, by model and version.
    pub model_seconds_observed: GaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero, in a new registry.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let options = Opts::new(format!("predictsql_{name}"), help);
            registered(&registry, IntCounter::with_opts(options))
        };
        let gauge = |name: &str, help: &str| {
            let options = Opts::new(format!("predictsql_{name}"), help);
            registered(&registry, IntGauge::with_opts(options))
        };
        show_build(&registry);
        Self {
            sessions: gauge("sessions", "Sessions that are logged in."),
            sessions_opened: counter("sessions_opened_total", "Sessions that have logged in."),
            sessions_refused: counter(
                "sessions_refused_total",
                "Clients refused because of connections_max.",
            ),
            sessions_killed: counter("sessions_killed_total", "Sessions ended by KILL SESSION."),
            sessions_ended: counters_by(
                &registry,
                ("sessions_ended_total", "reason"),
                "Clients' connections that have ended, logged in or not, by why.",
                SessionEnd::LABELS,
            ),
            commands_forwarded: counter(
                "commands_forwarded_total",
                "Commands that went to the store as they were.",
            ),
            store_connect_failures: counter(
                "store_connect_failures_total",
                "Connections to the store, for clients, that failed.",
            ),
            // Present from the start, so that the first failure is visible as a ratio.
            lane_commands: counters_by(
                &registry,
                ("lane_commands_total", "outcome"),
                "Commands of the predict lane, by how they ended.",
                &[Outcome::Ok.label()],
            ),
            statements_running: gauge("statements_running", "Predict statements that run."),
            statement_seconds: statement_seconds(&registry),
            rows_read: counter(
                "rows_read_total",
                "Rows that predict statements read of the store.",
            ),
            rows_sent: counter(
                "rows_sent_total",
                "Rows that predict statements sent to clients.",
            ),
            images_inferred: counter(
                "images_inferred_total",
                "Images that models have looked at.",
            ),
            images_unreadable: counter(
                "images_unreadable_total",
                "Images that could not be read or decoded.",
            ),
            cache_hits: counter(
                "cache_hits_total",
                "Inputs that were answered without running a model.",
            ),
            cache_misses: counter("cache_misses_total", "Inputs of which no output was kept."),
            cache_writes: counter(
                "cache_writes_total",
                "Outputs of models put into the table of kept ones.",
            ),
            cache_dropped: counter(
                "cache_dropped_total",
                "Outputs of models that the store did not take, or not soon enough.",
            ),
            cache_evictions: counter(
                "cache_evictions_total",
                "Kept outputs deleted for lack of room in the table.",
            ),
            cache_memory_bytes: gauge("cache_memory_bytes", "Size of the kept outputs in memory."),
            spool_memory_bytes: gauge(
                "spool_memory_bytes",
                "Rows and inputs of predict statements in memory.",
            ),
            spool_disk_bytes: gauge("spool_disk_bytes", "Rows of predict statements on disk."),
            executor_chunks: gauge(
                "executor_chunks_in_flight",
                "Chunks of images between submission and answer.",
            ),
            models_loaded: gauge("models_loaded", "Models that are kept loaded."),
            models_bytes: gauge(
                "models_bytes",
                "About how much memory they take, a session for each thread.",
            ),
            catalog_epoch: gauge("catalog_epoch", "Epoch of the catalog as last read."),
            workers: WorkerMetrics::new(&registry),
            model_seconds_observed: registered(
                &registry,
                GaugeVec::new(
                    Opts::new(
                        "predictsql_model_observed_seconds_per_input",
                        "Seconds of inference for one input, as statements have observed them.",
                    ),
                    &["model", "version"],
                ),
            ),
            registry,
        }
    }

    /// The metrics in text exposition format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|error| format!("# {error}\n"))
    }
}

/// Metrics of the workers that run models, by address.
pub struct WorkerMetrics {
    up: IntGaugeVec,
    inputs_outstanding: IntGaugeVec,
    requests_answered: IntCounterVec,
    times_lost: IntCounterVec,
}

impl WorkerMetrics {
    fn new(registry: &Registry) -> Self {
        let options = |name: &str, help: &str| Opts::new(format!("predictsql_worker_{name}"), help);
        let gauges = |name: &str, help: &str| {
            let made = IntGaugeVec::new(options(name, help), &["worker"]);
            registered(registry, made)
        };
        let counters = |name: &str, help: &str| {
            let made = IntCounterVec::new(options(name, help), &["worker"]);
            registered(registry, made)
        };
        Self {
            up: gauges("up", "1 while the worker takes work."),
            inputs_outstanding: gauges(
                "inputs_outstanding",
                "Inputs that the worker was sent and has not answered.",
            ),
            requests_answered: counters(
                "requests_answered_total",
                "Requests that the worker has answered.",
            ),
            times_lost: counters(
                "lost_total",
                "How often the worker was given up or sent no more work.",
            ),
        }
    }

    /// Shows these workers and no others.
    pub fn show(&self, workers: &[WorkerState]) {
        self.up.reset();
        self.inputs_outstanding.reset();
        self.requests_answered.reset();
        self.times_lost.reset();
        for worker in workers {
            let address = worker.address.to_string();
            let label = [address.as_str()];
            let outstanding = i64::try_from(worker.inputs_outstanding).unwrap_or(i64::MAX);
            self.up
                .with_label_values(&label)
                .set(worker.takes_work.is_some().into());
            self.inputs_outstanding
                .with_label_values(&label)
                .set(outstanding);
            self.requests_answered
                .with_label_values(&label)
                .inc_by(worker.requests_answered);
            self.times_lost
                .with_label_values(&label)
                .inc_by(worker.times_lost);
        }
    }
}

/// Counters by the values of a label; the values in `from_start` are shown even at zero.
fn counters_by(
    registry: &Registry,
    (name, label): (&str, &str),
    help: &str,
    from_start: &[&str],
) -> IntCounterVec {
    let options = Opts::new(format!("predictsql_{name}"), help);
    let counters: IntCounterVec = registered(registry, IntCounterVec::new(options, &[label]));
    for value in from_start {
        let _ = counters.with_label_values(&[*value]);
    }
    counters
}

fn statement_seconds(registry: &Registry) -> Histogram {
    let options = HistogramOpts::new(
        "predictsql_statement_seconds",
        "Time from a predict statement's arrival to its last row.",
    )
    .buckets(
        std::iter::successors(Some(0.001), |bound| Some(bound * 2.0))
            .take(STATEMENT_SECONDS_BUCKETS)
            .collect(),
    );
    registered(registry, Histogram::with_opts(options))
}

fn show_build(registry: &Registry) {
    let options = Opts::new(
        "predictsql_build_info",
        "Always 1; the label says what runs.",
    );
    registered(registry, IntGaugeVec::new(options, &["version"]))
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
}

#[expect(
    clippy::expect_used,
    reason = "names are constants, and one registry is made of them in every test"
)]
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let metric = made.expect("a valid name");
    registry
        .register(Box::new(metric.clone()))
        .expect("a name of its own");
    metric
}

/// The samples in a text returned by [`Metrics::text`]: name, labels, value.
pub fn samples(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Some((name, labels.trim_end_matches('}'), value))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_number_is_there_from_the_start_and_reads_back() {
        let metrics = Metrics::new();
        metrics.rows_sent.inc_by(7);
        metrics.lane_commands.with_label_values(&["ok"]).inc();
        let text = metrics.text();
        let value = |name: &str, labels: &str| {
            let found = samples(&text).find(|(n, l, _)| *n == name && *l == labels);
            found.map(|(_, _, value)| value.to_owned())
        };
        assert_eq!(value("predictsql_rows_sent_total", "").unwrap(), "7");
        assert_eq!(value("predictsql_sessions", "").unwrap(), "0");
        assert_eq!(
            value("predictsql_lane_commands_total", "outcome=\"ok\"").unwrap(),
            "1"
        );
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(value("predictsql_build_info", &version).unwrap(), "1");
        let buckets = samples(&text).filter(|(name, ..)| name.ends_with("_seconds_bucket"));
        assert_eq!(buckets.count(), STATEMENT_SECONDS_BUCKETS + 1);
    }
}
