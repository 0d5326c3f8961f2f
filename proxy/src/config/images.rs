//! Limits of images in the table `[executor]`.

use super::executor::ExecutorFile;
use super::set;
use predictsql_executor::ExecutorConfig;

/// Puts what is typed over the defaults.
pub(super) fn take(config: &mut ExecutorConfig, file: &ExecutorFile) {
    set(&mut config.image_bytes_max, file.image_bytes_max);
    set(&mut config.image_pixels_max, file.image_pixels_max);
    set(
        &mut config.image_side_pixels_max,
        file.image_side_pixels_max,
    );
    set(
        &mut config.image_decode_bytes_max,
        file.image_decode_bytes_max,
    );
    set(&mut config.decoding_bytes_max, file.decoding_bytes_max);
}

/// As `SHOW CONFIG` lists them.
pub(super) fn settings(config: &ExecutorConfig) -> [(&'static str, Option<String>); 5] {
    [
        ("executor.image_bytes_max", config.image_bytes_max),
        ("executor.image_pixels_max", config.image_pixels_max),
        (
            "executor.image_side_pixels_max",
            config.image_side_pixels_max,
        ),
        (
            "executor.image_decode_bytes_max",
            config.image_decode_bytes_max,
        ),
        ("executor.decoding_bytes_max", config.decoding_bytes_max),
    ]
    .map(|(name, value)| (name, Some(value.to_string())))
}
