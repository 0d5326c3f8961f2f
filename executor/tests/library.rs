//! A missing ONNX Runtime is an error that says what to do; installing it later needs no restart.

mod support;

use std::path::PathBuf;

use predictsql_executor::{Executor, ExecutorConfig, ModelError};

// One test, since the library is loaded once per process and the order matters.
#[tokio::test]
async fn a_missing_library_is_an_error_and_not_remembered() -> Result<(), Box<dyn std::error::Error>>
{
    let missing = PathBuf::from("/nonexistent/libonnxruntime.so");
    let executor = Executor::new(ExecutorConfig {
        ort_library: Some(missing),
        ..support::config()
    })?;
    let error = executor
        .inspect("colour_nchw.onnx", &support::options())
        .await;
    let text = match &error {
        Err(error @ ModelError::LibraryMissing { .. }) => error.to_string(),
        other => format!("{other:?}"),
    };
    assert!(
        text.contains("/nonexistent/libonnxruntime.so: no such file"),
        "{text}"
    );
    assert!(text.contains("set PREDICTSQL_ORT_LIB"), "{text}");

    // A file that is no library.
    let no_library = support::folder("models/text.onnx");
    let executor = Executor::new(ExecutorConfig {
        ort_library: Some(no_library),
        ..support::config()
    })?;
    let error = executor
        .inspect("colour_nchw.onnx", &support::options())
        .await;
    assert!(
        matches!(error, Err(ModelError::LibraryMissing { .. })),
        "{error:?}"
    );

    let executor = Executor::new(support::config())?;
    assert!(
        executor
            .inspect("colour_nchw.onnx", &support::options())
            .await
            .is_ok()
    );
    Ok(())
}
