//! Metrics of a worker: under Triton's names where the meaning is Triton's.

use predictsql_executor::{ModelCounts, Worker};
use prometheus::{CounterVec, Gauge, Opts, Registry, TextEncoder};

/// Labels of a model's metrics.
const LABELS: [&str; 3] = ["model", "version", "name"];

/// A metric of each model: name, help, value.
type OfModel = (&'static str, &'static str, fn(&ModelCounts) -> f64);

const OF_MODELS: [OfModel; 7] = [
    (
        "nv_inference_request_success",
        "Number of requests that were answered",
        |counts| counts.succeeded as f64,
    ),
    (
        "nv_inference_request_failure",
        "Number of requests that failed or were cancelled",
        |counts| counts.failed as f64,
    ),
    (
        "nv_inference_count",
        "Number of inputs that were answered",
        |counts| counts.inputs as f64,
    ),
    (
        "nv_inference_request_duration_us",
        "Time from the arrival of requests to their answers, in microseconds",
        |counts| counts.succeeded_time.as_secs_f64() * 1e6,
    ),
    (
        "nv_inference_compute_input_duration_us",
        "CPU time of decoding and preprocessing, in microseconds",
        |counts| counts.preparing_seconds * 1e6,
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "CPU time of inference, in microseconds",
        |counts| counts.inferring_seconds * 1e6,
    ),
    (
        "predictsql_worker_fetching_seconds",
        "Time of reading images by URI, in seconds",
        |counts| counts.fetching_seconds,
    ),
];

/// The metrics in Prometheus text format.
pub(super) fn metrics_text(worker: &Worker) -> String {
    let registry = Registry::new();
    // Names and labels are constants: what cannot be registered is left out.
    let statistics = worker.statistics();
    for (name, help, value) in OF_MODELS {
        let Ok(metric) = CounterVec::new(Opts::new(name, help), &LABELS) else {
            continue;
        };
        for model in &statistics {
            let labels = [model.name.as_str(), "1", model.called.as_str()];
            metric
                .with_label_values(&labels)
                .inc_by(value(&model.counts));
        }
        let _ = registry.register(Box::new(metric));
    }
    let (loaded, bytes) = worker.executor().models_loaded();
    let gauges = [
        (
            "predictsql_worker_requests",
            "Requests under way",
            worker.requests() as f64,
        ),
        (
            "predictsql_worker_models_loaded",
            "Models loaded",
            loaded as f64,
        ),
        (
            "predictsql_worker_models_bytes",
            "Memory of loaded models, in bytes",
            bytes as f64,
        ),
    ];
    for (name, help, value) in gauges {
        if let Ok(gauge) = Gauge::new(name, help) {
            gauge.set(value);
            let _ = registry.register(Box::new(gauge));
        }
    }
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}
