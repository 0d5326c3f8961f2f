//! The table `[executor]`: images, models, threads.

use super::error::{ConfigError, value};
use super::over::set;
use super::paths::shown_path;
use predictsql_executor::{ExecutorConfig, ModelCacheConfig, StorageRoot};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The table as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorFile {
    ort_library: Option<PathBuf>,
    image_roots: Option<Vec<String>>,
    model_roots: Option<Vec<String>>,
    object_reads_max: Option<usize>,
    object_read_seconds_max: Option<u64>,
    object_retries_max: Option<usize>,
    object_identity_seconds_max: Option<u64>,
    object_bodies_bytes_max: Option<u64>,
    threads: Option<usize>,
    fetch_threads: Option<usize>,
    image_bytes_max: Option<u64>,
    image_pixels_max: Option<u64>,
    image_side_pixels_max: Option<u64>,
    image_decode_bytes_max: Option<u64>,
    decoding_bytes_max: Option<u64>,
    fetched_bytes_max: Option<u64>,
    model_bytes_max: Option<u64>,
    tensor_bytes_max: Option<u64>,
    batch_images_max: Option<usize>,
    queue_chunks_max: Option<usize>,
    models_loaded_max: Option<usize>,
    models_bytes_max: Option<u64>,
    model_output_bytes_max: Option<u64>,
    run_ms_max: Option<u64>,
    external_oip_hosts: Option<Vec<String>>,
    external_oip_request_seconds_max: Option<u64>,
    external_oip_metadata_seconds_max: Option<u64>,
    model_cache_dir: Option<PathBuf>,
    model_cache_bytes_max: Option<u64>,
}

/// Overrides `config` with the settings of the file; roots given by flags override both.
pub(crate) fn take(
    config: &mut ExecutorConfig,
    (image_roots, model_roots): (&[StorageRoot], &[StorageRoot]),
    file: ExecutorFile,
) -> Result<(), ConfigError> {
    set(
        &mut config.image_roots,
        roots("image_roots", image_roots, file.image_roots)?,
    );
    set(
        &mut config.model_roots,
        roots("model_roots", model_roots, file.model_roots)?,
    );
    let objects = &mut config.objects;
    set(&mut objects.object_reads_max, file.object_reads_max);
    set(
        &mut objects.object_read_seconds_max,
        file.object_read_seconds_max,
    );
    set(&mut objects.object_retries_max, file.object_retries_max);
    set(
        &mut objects.object_identity_seconds_max,
        file.object_identity_seconds_max,
    );
    set(
        &mut objects.object_bodies_bytes_max,
        file.object_bodies_bytes_max,
    );
    if file.ort_library.is_some() {
        config.ort_library = file.ort_library;
    }
    if let Some(threads) = file.threads {
        config.set_threads(threads);
    }
    set(&mut config.fetch_threads, file.fetch_threads);
    set(&mut config.fetched_bytes_max, file.fetched_bytes_max);
    set(&mut config.model_bytes_max, file.model_bytes_max);
    set(&mut config.tensor_bytes_max, file.tensor_bytes_max);
    set(&mut config.batch_images_max, file.batch_images_max);
    set(&mut config.queue_chunks_max, file.queue_chunks_max);
    set(&mut config.models_loaded_max, file.models_loaded_max);
    set(&mut config.models_bytes_max, file.models_bytes_max);
    set(
        &mut config.model_output_bytes_max,
        file.model_output_bytes_max,
    );
    set(&mut config.run_ms_max, file.run_ms_max);
    let external = &mut config.external;
    set(&mut external.external_oip_hosts, file.external_oip_hosts);
    let request_max = &mut external.external_oip_request_seconds_max;
    set(request_max, file.external_oip_request_seconds_max);
    let metadata_max = &mut external.external_oip_metadata_seconds_max;
    set(metadata_max, file.external_oip_metadata_seconds_max);
    take_cache(config, file.model_cache_dir, file.model_cache_bytes_max)?;
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
    Ok(())
}

/// Overrides the model cache.
fn take_cache(
    config: &mut ExecutorConfig,
    folder: Option<PathBuf>,
    bytes_max: Option<u64>,
) -> Result<(), ConfigError> {
    if let Some(folder) = folder {
        config.model_cache = Some(ModelCacheConfig::in_folder(folder));
    }
    match (&mut config.model_cache, bytes_max) {
        (Some(cache), Some(bytes_max)) => cache.bytes_max = bytes_max,
        (None, Some(_)) => {
            let reason = "needs model_cache_dir".to_owned();
            return Err(value("model_cache_bytes_max", reason));
        }
        (_, None) => {}
    }
    Ok(())
}

/// The roots of flags, or else those of the file.
fn roots(
    name: &'static str,
    flags: &[StorageRoot],
    file: Option<Vec<String>>,
) -> Result<Option<Vec<StorageRoot>>, ConfigError> {
    if !flags.is_empty() {
        return Ok(Some(flags.to_vec()));
    }
    let parse = |given: String| given.parse().map_err(|reason| value(name, reason));
    file.map(|file| file.into_iter().map(parse).collect())
        .transpose()
}

fn shown_roots(roots: &[StorageRoot]) -> Vec<String> {
    roots.iter().map(StorageRoot::to_string).collect()
}

/// The file table equivalent to `config`.
pub(super) fn as_typed(config: &ExecutorConfig) -> ExecutorFile {
    let cache = config.model_cache.as_ref();
    ExecutorFile {
        ort_library: config.ort_library.as_deref().map(shown_path),
        image_roots: Some(shown_roots(&config.image_roots)),
        model_roots: Some(shown_roots(&config.model_roots)),
        object_reads_max: Some(config.objects.object_reads_max),
        object_read_seconds_max: Some(config.objects.object_read_seconds_max),
        object_retries_max: Some(config.objects.object_retries_max),
        object_identity_seconds_max: Some(config.objects.object_identity_seconds_max),
        object_bodies_bytes_max: Some(config.objects.object_bodies_bytes_max),
        threads: Some(config.threads),
        fetch_threads: Some(config.fetch_threads),
        image_bytes_max: Some(config.image_bytes_max),
        image_pixels_max: Some(config.image_pixels_max),
        image_side_pixels_max: Some(config.image_side_pixels_max),
        image_decode_bytes_max: Some(config.image_decode_bytes_max),
        decoding_bytes_max: Some(config.decoding_bytes_max),
        fetched_bytes_max: Some(config.fetched_bytes_max),
        model_bytes_max: Some(config.model_bytes_max),
        tensor_bytes_max: Some(config.tensor_bytes_max),
        batch_images_max: Some(config.batch_images_max),
        queue_chunks_max: Some(config.queue_chunks_max),
        models_loaded_max: Some(config.models_loaded_max),
        models_bytes_max: Some(config.models_bytes_max),
        model_output_bytes_max: Some(config.model_output_bytes_max),
        run_ms_max: Some(config.run_ms_max),
        external_oip_hosts: Some(config.external.external_oip_hosts.clone()),
        external_oip_request_seconds_max: Some(config.external.external_oip_request_seconds_max),
        external_oip_metadata_seconds_max: Some(config.external.external_oip_metadata_seconds_max),
        model_cache_dir: cache.map(|cache| shown_path(&cache.folder)),
        model_cache_bytes_max: cache.map(|cache| cache.bytes_max),
    }
}
