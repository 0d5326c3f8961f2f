//! What models take, and that it goes back: one test, since it looks at the whole process.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use predictsql_catalog::Model;
use predictsql_executor::{
    Executor, ExecutorConfig, Input, LoadedModel, ModelError, Outcome, PredictError,
};
use tokio_util::sync::CancellationToken;

use support::{bmp, config, folder, model, options};

const WHITE: [u8; 3] = [255; 3];
const BLUE: [u8; 3] = [1, 2, 250];

/// What the models of these tests make of a white image.
const GROWN_BYTES: u64 = 160_000_000;
/// What may be left of it.
const LEFT_BYTES: u64 = GROWN_BYTES / 4;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().strip_suffix("kB").unwrap().trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

async fn colour(
    executor: &Executor,
    model: &LoadedModel,
    colour: [u8; 3],
) -> Result<usize, PredictError> {
    let inputs = vec![Input::Image(bmp(8, 8, colour).into())];
    let cancel = CancellationToken::new();
    let outcomes = executor.predict(model, inputs, &cancel).await?;
    match &outcomes[..] {
        [Outcome::Scores(scores)] => Ok(scores.best()),
        other => panic!("{other:?}"),
    }
}

fn reason(result: Result<usize, PredictError>) -> String {
    match result {
        Err(PredictError::Model { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn memory_of_models_is_bounded_and_goes_back() {
    let executor = Executor::new(ExecutorConfig {
        threads: 1,
        model_output_bytes_max: 1 << 20,
        ..config()
    })
    .unwrap();
    outputs(&executor).await;
    intermediates(&executor).await;
    let colour = model(&executor, "colour_nchw.onnx", &options()).await;
    let loaded = executor.load(&colour).await.unwrap();
    dropped(&executor, &colour, loaded).await;
    changed_files().await;
    refused().await;
}

/// The pool's only session is thrown away each time, and made anew.
async fn outputs(executor: &Executor) {
    let entry = model(executor, "grows_output.onnx", &options()).await;
    let grows = executor.load(&entry).await.unwrap();
    assert_eq!(colour(executor, &grows, BLUE).await, Ok(2));
    let before = resident_bytes();
    for _ in 0..3 {
        let reason = reason(colour(executor, &grows, WHITE).await);
        assert!(
            reason.contains("model_output_bytes_max = 1048576"),
            "{reason}"
        );
        assert_eq!(colour(executor, &grows, BLUE).await, Ok(2));
        let after = resident_bytes();
        assert!(after < before + LEFT_BYTES, "{before}, then {after}");
    }
}

/// What a run needs on the way cannot be bounded, but is not kept.
async fn intermediates(executor: &Executor) {
    let entry = model(executor, "grows_inside.onnx", &options()).await;
    let grows = executor.load(&entry).await.unwrap();
    assert_eq!(colour(executor, &grows, BLUE).await, Ok(2));
    let before = resident_bytes();
    for _ in 0..3 {
        assert!(colour(executor, &grows, WHITE).await.is_ok());
        let after = resident_bytes();
        assert!(after < before + LEFT_BYTES, "{before}, then {after}");
    }
}

/// A model that the catalog lists no more is not kept; who runs it goes on.
async fn dropped(executor: &Executor, listed: &Arc<Model>, loaded: LoadedModel) {
    let (models, bytes) = executor.models_loaded();
    assert_eq!(models, 3);
    assert!(bytes >= loaded.memory_bytes());
    executor.retain(vec![listed.clone()]);
    assert_eq!(executor.models_loaded(), (1, loaded.memory_bytes()));
    executor.retain(Vec::new());
    assert_eq!(executor.models_loaded(), (0, 0));
    assert_eq!(colour(executor, &loaded, BLUE).await, Ok(2));
    // A statement that began before the model was dropped.
    let again = executor.load(listed).await.unwrap();
    assert_eq!(colour(executor, &again, BLUE).await, Ok(2));
    assert_eq!(executor.models_loaded(), (0, 0));
}

/// A session that is made anew is made of the same content.
async fn changed_files() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("model.onnx");
    std::fs::copy(folder("models/grows_output.onnx"), &path).unwrap();
    let of_root = Executor::new(ExecutorConfig {
        threads: 1,
        model_output_bytes_max: 1 << 20,
        model_roots: vec![root.path().into()],
        ..config()
    })
    .unwrap();
    let entry = model(&of_root, "model.onnx", &options()).await;
    let grows = of_root.load(&entry).await.unwrap();
    std::fs::copy(folder("models/colour_nchw.onnx"), &path).unwrap();
    assert_eq!(colour(&of_root, &grows, BLUE).await, Ok(2));
    assert!(colour(&of_root, &grows, WHITE).await.is_err());
    let reason = reason(colour(&of_root, &grows, BLUE).await);
    assert!(reason.contains("has changed"), "{reason}");
}

async fn refused() {
    let executor = Executor::new(ExecutorConfig {
        models_bytes_max: 100,
        ..config()
    })
    .unwrap();
    let refused = executor.inspect("colour_nchw.onnx", &options()).await;
    assert!(
        matches!(refused, Err(ModelError::MemoryTooLarge { bytes, sessions: 2, bytes_max: 100 }) if bytes > 100),
        "{refused:?}"
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("models_bytes_max"), "{refused}");
}
