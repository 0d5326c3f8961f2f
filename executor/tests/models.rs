//! Which models are taken, and what is said about the others.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use predictsql_catalog::{Layout, ModelOptions, Output};
use predictsql_executor::{Executor, ExecutorConfig, ModelError};

use support::{config, entry, executor, folder, image_of, model, options, options_of};

async fn refusal(uri: &str, options: &ModelOptions) -> ModelError {
    executor().inspect(uri, options).await.unwrap_err()
}

#[tokio::test]
async fn good_models_are_inspected() {
    let executor = executor();
    let file = executor
        .inspect("colour_nchw.onnx", &options())
        .await
        .unwrap();
    assert_eq!(
        file.bytes,
        std::fs::metadata(folder("models/colour_nchw.onnx"))
            .unwrap()
            .len()
    );
    assert_eq!(file.sha256.len(), 64);
    assert!(
        file.sha256
            .chars()
            .all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    );
    assert!(
        file.seconds_per_image
            .is_some_and(|seconds| seconds > 0.0 && seconds < 1.0)
    );
    let nhwc = options_of(Layout::Nhwc, 8);
    assert!(executor.inspect("colour_nhwc.onnx", &nhwc).await.is_ok());
    let softmax = ModelOptions {
        output: Output::Softmax,
        ..options()
    };
    assert!(
        executor
            .inspect("colour_softmax.onnx", &softmax)
            .await
            .is_ok()
    );
    let absolute = folder("models/colour_nchw.onnx");
    let uri = format!("file://{}", absolute.display());
    assert_eq!(
        executor.inspect(&uri, &options()).await.unwrap().sha256,
        file.sha256
    );
    for uri in [
        "several_outputs.onnx",
        "all_dynamic.onnx",
        "colour_fixed_batch.onnx",
        "colour_fixed_batch_4.onnx",
        "mixes_batch.onnx",
        "reshapes_batch.onnx",
    ] {
        let inspected = executor.inspect(uri, &options()).await;
        assert!(inspected.is_ok(), "{uri}: {inspected:?}");
    }
}

#[tokio::test]
async fn files_that_are_no_models_are_refused() {
    for uri in ["cut_in_half.onnx", "text.onnx"] {
        let error = refusal(uri, &options()).await;
        assert!(
            matches!(error, ModelError::Corrupt { .. }),
            "{uri}: {error}"
        );
    }
    assert!(matches!(
        refusal("none.onnx", &options()).await,
        ModelError::NotFound { .. }
    ));
    assert!(matches!(
        refusal("../images/rgb.png", &options()).await,
        ModelError::OutsideRoots { .. }
    ));
    assert!(matches!(
        refusal("/etc/passwd", &options()).await,
        ModelError::OutsideRoots { .. }
    ));
    assert!(matches!(
        refusal("s3://models/a.onnx", &options()).await,
        ModelError::OutsideRoots { .. }
    ));
    let error = refusal("", &options()).await;
    assert!(matches!(error, ModelError::Uri { .. }), "{error}");
    let small = Executor::new(ExecutorConfig {
        model_bytes_max: 100,
        ..config()
    })
    .unwrap();
    let error = small
        .inspect("colour_nchw.onnx", &options())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ModelError::TooLarge { bytes_max: 100, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn unknown_operators_are_named() {
    let error = refusal("unsupported_operator.onnx", &options()).await;
    assert!(
        matches!(error, ModelError::UnsupportedOperator { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("Sharpen"), "{error}");
}

#[tokio::test]
async fn weights_in_other_files_are_not_read() {
    // The file that it names is there: it must not be opened all the same.
    assert!(std::path::Path::new("Cargo.toml").is_file());
    assert_eq!(
        refusal("external_weights.onnx", &options()).await,
        ModelError::ExternalWeights
    );
}

#[tokio::test]
async fn inputs_and_outputs_must_fit_the_options() {
    let error = refusal("two_inputs.onnx", &options()).await;
    assert_eq!(
        error.to_string(),
        "the model must have exactly one input, but has 2: image, other"
    );
    let mut normalised = options();
    image_of(&mut normalised).normalisation.mean = vec![0.5; 3];
    let error = refusal("bytes_input.onnx", &normalised).await.to_string();
    assert!(error.contains("uint8") && error.contains("mean"), "{error}");
    let error = refusal("colour_nchw.onnx", &options_of(Layout::Nchw, 9)).await;
    assert_eq!(
        error.to_string(),
        "the model's input 'image' has shape [?, 3, 8, 8], but the options ask for [batch, 3, 9, 8] \
         (layout=NCHW, height=9, width=8, channels=3); change layout, height, width or channels"
    );
    let error = refusal("colour_nchw.onnx", &options_of(Layout::Nhwc, 8)).await;
    assert!(matches!(error, ModelError::InputShape { .. }), "{error}");
    let error = refusal("two_columns.onnx", &options()).await;
    assert_eq!(
        error.to_string(),
        "the model's output 'logits' has 2 columns, but 3 labels were given; give one label for each \
         column, in order"
    );
    let error = refusal("output_image.onnx", &options()).await;
    assert!(matches!(error, ModelError::OutputType { .. }), "{error}");
    let mut four = options();
    four.labels.push("white".into());
    let error = refusal("all_dynamic.onnx", &four).await;
    assert!(
        matches!(error, ModelError::OutputColumns { labels: 4, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn outputs_must_be_what_the_options_say() {
    let error = refusal(
        "colour_nchw.onnx",
        &ModelOptions {
            output: Output::Softmax,
            ..options()
        },
    )
    .await;
    assert!(error.to_string().contains("use output='logits'"), "{error}");
    assert_eq!(
        refusal("not_finite.onnx", &options()).await,
        ModelError::NotFinite
    );
    let mut wrong = options();
    image_of(&mut wrong).normalisation.std = vec![1.0];
    assert!(matches!(
        refusal("colour_nchw.onnx", &wrong).await,
        ModelError::Options { .. }
    ));
}

#[tokio::test]
async fn loading_is_shared_and_pinned_to_the_content() {
    let executor = executor();
    let model = model(&executor, "colour_nchw.onnx", &options()).await;
    let (first, second) = tokio::join!(executor.load(&model), executor.load(&model));
    // Warm-up of two loads would hardly measure the same to the last bit.
    assert_eq!(
        first.unwrap().seconds_per_image(),
        second.unwrap().seconds_per_image()
    );
    let changed = Arc::new(entry("colour_nchw.onnx", &"0".repeat(64), &options()));
    let error = executor.load(&changed).await.unwrap_err();
    assert!(matches!(error, ModelError::Changed { .. }), "{error}");
    assert!(executor.load(&model).await.is_ok());
}

#[tokio::test]
async fn a_failed_load_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let executor = Executor::new(ExecutorConfig {
        model_roots: vec![folder.path().into()],
        ..config()
    })
    .unwrap();
    let good = support::folder("models/colour_nchw.onnx");
    let sha256 = support::executor()
        .inspect("colour_nchw.onnx", &options())
        .await
        .unwrap()
        .sha256;
    let model = Arc::new(entry("m.onnx", &sha256, &options()));
    assert!(matches!(
        executor.load(&model).await,
        Err(ModelError::NotFound { .. })
    ));
    std::fs::copy(good, folder.path().join("m.onnx")).unwrap();
    let loaded = executor.load(&model).await.unwrap();
    assert_eq!(loaded.model().name, "colour");
    // Loaded is loaded: the file may go.
    std::fs::remove_file(folder.path().join("m.onnx")).unwrap();
    assert!(executor.load(&model).await.is_ok());
}

#[tokio::test]
async fn models_loaded_max_evicts_the_least_recently_used() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.onnx", "b.onnx"] {
        std::fs::copy(
            support::folder("models/colour_nchw.onnx"),
            folder.path().join(name),
        )
        .unwrap();
    }
    let executor = Executor::new(ExecutorConfig {
        model_roots: vec![folder.path().into()],
        models_loaded_max: 1,
        ..config()
    })
    .unwrap();
    let first = model(&executor, "a.onnx", &options()).await;
    let other_options = ModelOptions {
        accuracy: Some(0.5),
        ..options()
    };
    let second = model(&executor, "b.onnx", &other_options).await;
    executor.load(&first).await.unwrap();
    executor.load(&second).await.unwrap();
    std::fs::remove_file(folder.path().join("a.onnx")).unwrap();
    std::fs::remove_file(folder.path().join("b.onnx")).unwrap();
    assert!(executor.load(&second).await.is_ok());
    assert!(matches!(
        executor.load(&first).await,
        Err(ModelError::NotFound { .. })
    ));
}
