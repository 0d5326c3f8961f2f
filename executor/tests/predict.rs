//! Predictions end to end: real files, real sessions,
//! and what happens when callers or images go bad.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use predictsql_catalog::{Layout, ModelOptions, Output};
use predictsql_executor::{
    Executor, ExecutorConfig, Input, LoadedModel, Outcome, PredictError, Scores,
};
use tokio_util::sync::CancellationToken;

use support::{bmp, config, executor, expected, folder, image_of, model, options, options_of};

async fn load(executor: &Executor, uri: &str, options: &ModelOptions) -> LoadedModel {
    let model = model(executor, uri, options).await;
    executor.load(&model).await.unwrap()
}

async fn predict(executor: &Executor, model: &LoadedModel, inputs: Vec<Input>) -> Vec<Outcome> {
    executor
        .predict(model, inputs, &CancellationToken::new())
        .await
        .unwrap()
}

fn location(path: impl AsRef<[u8]>) -> Input {
    Input::Location(Bytes::copy_from_slice(path.as_ref()))
}

fn colour(index: usize) -> [u8; 3] {
    let value = |factor: usize| u8::try_from(index * factor % 251).unwrap();
    [value(37), value(101), value(59)]
}

fn image(colour: [u8; 3]) -> Input {
    Input::Image(bmp(8, 8, colour).into())
}

fn scores(outcome: &Outcome) -> &Scores {
    match outcome {
        Outcome::Scores(scores) => scores,
        other => panic!("{other:?}"),
    }
}

fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Unreadable(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn assert_scores(outcome: &Outcome, colour: [u8; 3]) {
    let found = scores(outcome).probabilities();
    let close = found
        .iter()
        .zip(expected(colour))
        .all(|(f, e)| (f - e).abs() < 1e-4);
    assert!(
        found.len() == 3 && close,
        "{colour:?}: {found:?} instead of {:?}",
        expected(colour)
    );
}

#[tokio::test]
async fn every_model_gives_the_known_scores_in_order() {
    let executor = executor();
    let nhwc = options_of(Layout::Nhwc, 8);
    let softmax = ModelOptions {
        output: Output::Softmax,
        ..options()
    };
    for (uri, options) in [
        ("colour_nchw.onnx", options()),
        ("colour_nhwc.onnx", nhwc),
        ("colour_softmax.onnx", softmax),
        ("colour_fixed_batch.onnx", options()),
        ("colour_fixed_batch_4.onnx", options()),
        ("several_outputs.onnx", options()),
        ("all_dynamic.onnx", options()),
        ("reshapes_batch.onnx", options()),
    ] {
        let model = load(&executor, uri, &options).await;
        // More than a chunk, and no multiple of any batch.
        let inputs: Vec<_> = (0..75).map(|i| image(colour(i))).collect();
        let outcomes = predict(&executor, &model, inputs).await;
        assert_eq!(outcomes.len(), 75, "{uri}");
        for (index, outcome) in outcomes.iter().enumerate() {
            assert_scores(outcome, colour(index));
        }
    }
}

#[tokio::test]
async fn a_model_that_mixes_its_batch_is_run_image_by_image() {
    let executor = executor();
    let model = load(&executor, "mixes_batch.onnx", &options()).await;
    assert_eq!(model.batch_images(), 1);
    let [first, second] = [[200, 10, 10], [10, 200, 10]].map(image);
    let alone = predict(&executor, &model, vec![first.clone()]).await;
    let together = predict(&executor, &model, vec![first, second]).await;
    assert_eq!(alone.first(), together.first());
}

#[tokio::test]
async fn images_are_normalised_and_resized_for_the_model() {
    let executor = executor();
    let mut shifted = options();
    let image = image_of(&mut shifted);
    image.normalisation.mean = vec![0.5, 0.0, 0.0];
    image.normalisation.std = vec![1.0, 2.0, 1.0];
    let model = load(&executor, "colour_nchw.onnx", &shifted).await;
    let outcomes = predict(
        &executor,
        &model,
        vec![Input::Image(bmp(100, 33, [200, 100, 50]).into())],
    )
    .await;
    let logits = [
        10.0 * (200.0 / 255.0 - 0.5),
        10.0 * (100.0 / 255.0 / 2.0),
        10.0 * (50.0 / 255.0),
    ];
    let sum: f32 = logits.iter().map(|l: &f32| l.exp()).sum();
    for (found, logit) in scores(&outcomes[0]).probabilities().iter().zip(logits) {
        assert!((found - logit.exp() / sum).abs() < 1e-4);
    }
}

#[tokio::test]
async fn all_formats_and_kinds_of_location_are_read() {
    let executor = executor();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let absolute = folder("images/rgb.png");
    let absolute = absolute.to_str().unwrap();
    let inputs = vec![
        location("rgb.png"),
        location(absolute),
        location(format!("file://{absolute}")),
        location(format!(
            "file://localhost{}",
            absolute.replace("rgb", "r%67b")
        )),
        Input::Image(std::fs::read(absolute).unwrap().into()),
        location("rgb.jpg"),
        location("lossy.webp"),
        location("rgb.bmp"),
        location("rgb.gif"),
        location("animated.gif"),
        location("rgb16.png"),
        location("cmyk.jpg"),
        location("progressive.jpg"),
    ];
    let outcomes = predict(&executor, &model, inputs).await;
    let first = scores(&outcomes[0]).probabilities().to_vec();
    for (index, outcome) in outcomes.iter().enumerate() {
        for (found, expected) in scores(outcome).probabilities().iter().zip(&first) {
            assert!(
                (found - expected).abs() < 0.05,
                "input {index}: {outcome:?}, {first:?}"
            );
        }
    }
}

#[tokio::test]
async fn bad_inputs_are_outcomes_beside_the_good_ones() {
    let executor = Executor::new(ExecutorConfig {
        image_bytes_max: 5000,
        ..config()
    })
    .unwrap();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let red = [250, 0, 0];
    let inputs = vec![
        Input::Null,
        image(red),
        location("text.png"),
        location("none.png"),
        location("../models/make.py"),
        location("/etc/passwd"),
        location("s3://bucket/a.png"),
        location(""),
        location(b"caf\xe9.png"),
        location("huge_header.png"),
        location("rgb.bmp"),
        location("cut_off.jpg"),
        Input::Image(Bytes::new()),
        Input::Image(vec![0; 6000].into()),
        Input::Image(Bytes::from_static(b"some text")),
        image(red),
        Input::Null,
    ];
    let outcomes = predict(&executor, &model, inputs).await;
    assert_eq!(outcomes[0], Outcome::Null);
    assert_scores(&outcomes[1], red);
    let unknown = "is not an image in a known format (PNG, JPEG, WebP, BMP, GIF)";
    let outside = "is outside the allowed image roots";
    for (outcome, expected) in outcomes[2..].iter().zip([
        unknown,
        "does not exist",
        outside,
        outside,
        "is outside the allowed image roots",
        "is an empty path",
        "does not exist",
        "is too large an image (50000 x 50000 pixels, limit 67108864 pixels)",
        "is too large (7254 bytes, limit 5000)",
        "is a JPEG that is cut off",
        "is empty",
        "is too large (6000 bytes, limit 5000)",
        unknown,
    ]) {
        assert_eq!(reason(outcome), expected);
    }
    assert_scores(&outcomes[15], red);
    assert_eq!(outcomes[16], Outcome::Null);
}

#[tokio::test]
async fn nothing_to_do_is_done_at_once() {
    let executor = executor();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    assert_eq!(predict(&executor, &model, vec![]).await, vec![]);
    assert_eq!(
        predict(&executor, &model, vec![Input::Null; 3]).await,
        vec![Outcome::Null; 3]
    );
    let outcomes = predict(&executor, &model, vec![location("none.png"), Input::Null]).await;
    assert_eq!(reason(&outcomes[0]), "does not exist");
}

#[tokio::test]
async fn without_image_roots_only_bytes_are_taken() {
    let executor = Executor::new(ExecutorConfig {
        image_roots: vec![],
        ..config()
    })
    .unwrap();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let absolute = folder("images/rgb.png");
    let inputs = vec![
        location("rgb.png"),
        location(absolute.to_str().unwrap()),
        image([9, 99, 9]),
    ];
    let outcomes = predict(&executor, &model, inputs).await;
    assert_eq!(reason(&outcomes[0]), "is outside the allowed image roots");
    assert_eq!(reason(&outcomes[1]), "is outside the allowed image roots");
    assert_scores(&outcomes[2], [9, 99, 9]);
}

/// Many callers at once over tight limits: all are answered, each with its own rows.
#[tokio::test]
async fn concurrent_callers_get_their_own_answers() {
    let executor = Executor::new(ExecutorConfig {
        queue_chunks_max: 2,
        fetched_bytes_max: 1,
        batch_images_max: 8,
        tensor_bytes_max: 5 * 3 * 8 * 8 * 4,
        ..config()
    })
    .unwrap();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let rgb = scores(&predict(&executor, &model, vec![location("rgb.png")]).await[0]).clone();
    let callers: Vec<_> = (0..12)
        .map(|caller| {
            let (executor, model, rgb) = (executor.clone(), model.clone(), rgb.clone());
            tokio::spawn(async move {
                let len = 1 + caller * 3;
                let mut inputs: Vec<_> =
                    (0..len).map(|i| image(colour(caller * 100 + i))).collect();
                inputs.push(location("rgb.png"));
                let mut outcomes = predict(&executor, &model, inputs).await;
                assert_eq!(scores(&outcomes.pop().unwrap()).best(), rgb.best());
                for (index, outcome) in outcomes.iter().enumerate() {
                    assert_scores(outcome, colour(caller * 100 + index));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn cancelled_and_dropped_work_stops_and_makes_room() {
    let executor = Executor::new(ExecutorConfig {
        queue_chunks_max: 2,
        threads: 1,
        ..config()
    })
    .unwrap();
    let slow = load(&executor, "slow.onnx", &options()).await;
    let many = || (0..20_000).map(|i| image(colour(i))).collect::<Vec<_>>();

    let cancel = CancellationToken::new();
    let canceller = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            tokio::task::yield_now().await;
            cancel.cancel();
        }
    });
    assert_eq!(
        executor.predict(&slow, many(), &cancel).await,
        Err(PredictError::Cancelled)
    );
    canceller.await.unwrap();
    assert_eq!(
        executor.predict(&slow, many(), &cancel).await,
        Err(PredictError::Cancelled)
    );

    // Polled once and dropped.
    let token = CancellationToken::new();
    let dropped =
        tokio::time::timeout(Duration::ZERO, executor.predict(&slow, many(), &token)).await;
    assert!(dropped.is_err());

    // Would wait for minutes if the work above went on.
    let outcomes = predict(&executor, &slow, vec![image([1, 2, 250])]).await;
    assert_eq!(scores(&outcomes[0]).best(), 2);
}

#[tokio::test]
async fn a_dropped_executor_leaves_nothing_behind() {
    let executor = Executor::new(ExecutorConfig {
        threads: 1,
        ..config()
    })
    .unwrap();
    let model = load(&executor, "slow.onnx", &options()).await;
    let weak = Arc::downgrade(model.model());
    drop(executor);
    // A loaded model outlives its executor without harm, and nothing else keeps it.
    drop(model);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_missing_root_stops_the_start() {
    let config = ExecutorConfig {
        image_roots: vec!["/nonexistent".parse().unwrap()],
        ..config()
    };
    let error = Executor::new(config).unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}
