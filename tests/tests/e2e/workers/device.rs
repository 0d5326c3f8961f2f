//! The device that a worker runs models on.

use predictsql_tests::{Worker, WorkerSettings};

use super::{apparel, proxy_of};

/// The library of tests has no CUDA, or the machine no GPU.
fn has_gpu() -> bool {
    std::path::Path::new("/proc/driver/nvidia/gpus").is_dir()
}

#[test]
fn a_gpu_that_is_not_there_is_refused_with_the_reason() {
    if has_gpu() {
        return;
    }
    let settings = WorkerSettings {
        executor: "device = \"cuda:3\"\n".to_owned(),
        ..WorkerSettings::default()
    };
    let (status, log) = Worker::refused(&settings);
    assert_eq!(status.code(), Some(1), "{log}");
    let told = log.lines().last().unwrap_or_default();
    let expected = "predictsql: models cannot run on cuda:3: ";
    assert!(told.starts_with(expected), "{log}");
    assert!(told.contains("CUDA"), "{log}");
}

#[test]
fn a_gpu_that_is_not_there_can_be_replaced_by_the_cpu() {
    if has_gpu() {
        return;
    }
    let workers = [Worker::start(&WorkerSettings {
        executor: "device = \"cuda:0\"\ndevice_missing = \"cpu\"\n".to_owned(),
        ..WorkerSettings::default()
    })];
    let log = workers[0].log();
    assert!(log.contains("models run on the CPU instead"), "{log}");
    let proxy = proxy_of("wk_device", &workers, "");
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |_| true);
    let path = apparel::Photos::path(1);
    let class = session.rows(&format!("SELECT wk_device.apparel('{path}')"));
    assert!(class[0][0].is_some(), "{class:?}");
}
