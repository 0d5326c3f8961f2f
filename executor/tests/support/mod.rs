//! What the executor's tests share: where the library and the files are, and models over them.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use predictsql_catalog::{
    ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation, Output,
};
use predictsql_executor::{Executor, ExecutorConfig};

/// The ONNX Runtime library of the environment, or of the repository's cache.
pub fn ort_library() -> PathBuf {
    if let Some(path) = std::env::var_os("PREDICTSQL_ORT_LIB").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join(".cache/onnxruntime/libonnxruntime.so"))
        .find(|path| path.is_file());
    found.expect("no ONNX Runtime for the tests: run scripts/fetch-onnxruntime.sh, or set PREDICTSQL_ORT_LIB")
}

/// A folder of `executor/tests`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Reads the tests' models and images.
pub fn config() -> ExecutorConfig {
    ExecutorConfig {
        ort_library: Some(ort_library()),
        image_roots: vec![folder("images").into()],
        model_roots: vec![folder("models").into()],
        threads: 2,
        ..ExecutorConfig::default()
    }
}

pub fn executor() -> Executor {
    Executor::new(config()).unwrap()
}

/// Options of `colour_nchw.onnx`: pixels as 0..=1.
pub fn options() -> ModelOptions {
    options_of(Layout::Nchw, 8)
}

/// The same for another layout or height.
pub fn options_of(layout: Layout, height: u32) -> ModelOptions {
    ModelOptions {
        input: ModelInput::Image(ImageOptions {
            layout,
            height,
            width: 8,
            channels: 3,
            normalisation: Normalisation {
                mean: vec![0.0; 3],
                std: vec![1.0; 3],
            },
            preprocessing: Default::default(),
        }),
        labels: ["red", "green", "blue"].map(String::from).to_vec(),
        other: None,
        output: Output::Logits,
        output_name: None,
        accuracy: None,
    }
}

/// How these options want their images.
pub fn image_of(options: &mut ModelOptions) -> &mut ImageOptions {
    match &mut options.input {
        ModelInput::Image(image) => image,
        ModelInput::Columns { .. } => panic!("not over images"),
    }
}

/// A catalog entry for a file of the tests' models, pinned to its content.
pub async fn model(executor: &Executor, uri: &str, options: &ModelOptions) -> Arc<Model> {
    let file = executor.inspect(uri, options).await.unwrap();
    Arc::new(entry(uri, &file.sha256, options))
}

pub fn entry(uri: &str, sha256: &str, options: &ModelOptions) -> Model {
    Model {
        id: 1,
        name: "colour".to_string(),
        version: "1".to_string(),
        task: "colours".to_string(),
        uri: uri.to_string(),
        sha256: sha256.to_string(),
        bytes: 1,
        seconds_per_image: None,
        covers: options.labels.clone(),
        options: options.clone(),
    }
}

/// A BMP of one colour: a format simple enough to write by hand (24 bits, rows padded to 4 bytes).
pub fn bmp(width: u32, height: u32, [red, green, blue]: [u8; 3]) -> Vec<u8> {
    let row = [blue, green, red].repeat(width as usize);
    let padding = (4 - row.len() % 4) % 4;
    let row = [row, vec![0; padding]].concat();
    let pixels = row.repeat(height as usize);
    let mut file = b"BM".to_vec();
    file.extend(u32::try_from(54 + pixels.len()).unwrap().to_le_bytes());
    file.extend([0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]);
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend([1, 0, 24, 0]);
    file.extend([0; 24]);
    file.extend(pixels);
    file
}

/// Softmax of ten times each channel's mean: what the tests' models answer for a plain colour.
pub fn expected([red, green, blue]: [u8; 3]) -> [f32; 3] {
    let raised = [red, green, blue].map(|c| (10.0 * f32::from(c) / 255.0).exp());
    let sum: f32 = raised.iter().sum();
    raised.map(|e| e / sum)
}
