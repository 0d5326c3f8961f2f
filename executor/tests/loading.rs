//! Loads and runs that nobody waits for any more, and what is measured of models.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use predictsql_catalog::Model;
use predictsql_executor::{Executor, ExecutorConfig, Input, Outcome, PredictError};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use support::{bmp, config, entry, executor, folder, model, options};

/// Long enough for any load here to be under way, and far less than an endless one takes.
const MOMENT: Duration = Duration::from_millis(200);

/// Less than it takes until others no longer wait for a load that hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// The first run of this model takes hours.
fn endless() -> Arc<Model> {
    let file = std::fs::read(folder("models/endless.onnx")).unwrap();
    let sha256: String = Sha256::digest(&file)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Arc::new(entry("endless.onnx", &sha256, &options()))
}

fn image(colour: [u8; 3]) -> Input {
    Input::Image(bmp(8, 8, colour).into())
}

const WHITE: [u8; 3] = [255; 3];
const BLUE: [u8; 3] = [1, 2, 250];

async fn blue(executor: &Executor, uri: &str) -> Outcome {
    let model = model(executor, uri, &options()).await;
    let model = executor.load(&model).await.unwrap();
    let cancel = CancellationToken::new();
    let outcomes = executor.predict(&model, vec![image(BLUE)], &cancel).await;
    outcomes.unwrap().remove(0)
}

#[tokio::test]
async fn a_load_that_nobody_waits_for_ends_and_makes_room() {
    let executor = executor();
    let model = endless();
    // One who waits is enough for it to go on.
    let mut first = Box::pin(executor.load(&model));
    assert!(tokio::time::timeout(MOMENT, &mut first).await.is_err());
    let mut second = Box::pin(executor.load(&model));
    assert!(tokio::time::timeout(MOMENT, &mut second).await.is_err());
    drop(first);
    assert!(tokio::time::timeout(MOMENT, &mut second).await.is_err());
    // Another model waits for its turn, and gets it.
    let mut other = tokio::spawn({
        let executor = executor.clone();
        async move { blue(&executor, "colour_nchw.onnx").await }
    });
    assert!(tokio::time::timeout(MOMENT, &mut other).await.is_err());
    drop(second);
    let other = tokio::time::timeout(DEADLINE, other).await.unwrap();
    assert!(matches!(other.unwrap(), Outcome::Scores(_)));
    // An inspection gives its turn back, too, and the same model can be tried again.
    let options = options();
    let inspected = executor.inspect("endless.onnx", &options);
    assert!(tokio::time::timeout(MOMENT, inspected).await.is_err());
    let again = executor.load(&model);
    assert!(tokio::time::timeout(MOMENT, again).await.is_err());
    let other = blue(&executor, "colour_nchw.onnx");
    let other = tokio::time::timeout(DEADLINE, other).await.unwrap();
    assert!(matches!(other, Outcome::Scores(_)));
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_ends_and_its_session_is_used_again() {
    let executor = Executor::new(ExecutorConfig {
        threads: 1,
        ..config()
    })
    .unwrap();
    let model = model(&executor, "endless_for_white.onnx", &options()).await;
    let model = executor.load(&model).await.unwrap();
    let token = CancellationToken::new();
    let white = || vec![image(WHITE)];

    let dropped = executor.predict(&model, white(), &token);
    assert!(tokio::time::timeout(MOMENT, dropped).await.is_err());

    let cancel = CancellationToken::new();
    let mut cancelled = Box::pin(executor.predict(&model, white(), &cancel));
    assert!(tokio::time::timeout(MOMENT, &mut cancelled).await.is_err());
    cancel.cancel();
    assert_eq!(cancelled.await, Err(PredictError::Cancelled));

    let models = [model.clone()];
    let prepared = executor.prepare(&models, white(), &token).await.unwrap();
    let dropped = executor.infer(&prepared, &model, &[0], &token);
    assert!(tokio::time::timeout(MOMENT, dropped).await.is_err());

    // The only thread is free, and so is the only session.
    let outcomes = executor.predict(&model, vec![image(BLUE)], &token).await;
    assert!(matches!(&outcomes.unwrap()[..], [Outcome::Scores(scores)] if scores.best() == 2));
}

#[tokio::test]
async fn loaded_models_tell_what_they_cost() {
    let executor = executor();
    let nchw = model(&executor, "colour_nchw.onnx", &options()).await;
    let nchw = executor.load(&nchw).await.unwrap();
    assert!(nchw.load_seconds() > 0.0);
    let file = std::fs::metadata(folder("models/colour_nchw.onnx")).unwrap();
    assert!(nchw.memory_bytes() >= 2 * file.len(), "two threads");
    assert!(nchw.memory_bytes() < 1 << 30);

    let sizes = |measured: Vec<(u32, f64)>| {
        assert!(measured.iter().all(|(_, seconds)| *seconds > 0.0));
        measured
            .iter()
            .map(|(inputs, _)| *inputs)
            .collect::<Vec<_>>()
    };
    let measured = executor.measure(&nchw, &[256, 1, 8, 0, 8]).await.unwrap();
    assert_eq!(sizes(measured), [1, 8, 256]);
    for (uri, expected) in [
        ("colour_fixed_batch_4.onnx", vec![4]),
        ("mixes_batch.onnx", vec![1]),
    ] {
        let model = model(&executor, uri, &options()).await;
        let model = executor.load(&model).await.unwrap();
        let measured = executor.measure(&model, &[1, 8]).await.unwrap();
        assert_eq!(sizes(measured), expected, "{uri}");
    }
    // Limits of memory and time leave sizes out.
    let small = Executor::new(ExecutorConfig {
        tensor_bytes_max: 100 * 3 * 8 * 8 * 4,
        ..config()
    })
    .unwrap();
    let nchw = model(&small, "colour_nchw.onnx", &options()).await;
    let nchw = small.load(&nchw).await.unwrap();
    let measured = small.measure(&nchw, &[1, 100, 101]).await.unwrap();
    assert_eq!(sizes(measured), [1, 100]);
}
