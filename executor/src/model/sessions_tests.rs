//! Tests of lending sessions, with a real model.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use predictsql_catalog::{ImageOptions, Layout, ModelInput, ModelOptions, Normalisation, Output};

use super::*;
use crate::library;
use crate::model::Outlet;
use crate::model::contract;

fn pool(sessions_max: usize) -> SessionPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cached = folder.join("../.cache/onnxruntime/libonnxruntime.so");
    let environment = library::environment(cached.is_file().then_some(cached.as_path())).unwrap();
    let file = std::fs::read(folder.join("tests/models/colour_nchw.onnx")).unwrap();
    let options = ModelOptions {
        input: ModelInput::Image(ImageOptions {
            layout: Layout::Nchw,
            height: 8,
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
    };
    let provider = Provider::Cpu;
    let session = build(&environment, &provider, &file, &Interrupt::default()).unwrap();
    let contract = contract::check(
        &Outlet::all(session.inputs()),
        &Outlet::all(session.outputs()),
        &options,
    )
    .unwrap();
    let limits = (sessions_max, u64::MAX);
    let environment = (environment, provider);
    SessionPool::new(environment, file.into(), session, contract, limits).unwrap()
}

fn lease(pool: &SessionPool) -> Lease<'_> {
    pool.lease(&Interrupt::default()).unwrap()
}

fn made(pool: &SessionPool) -> usize {
    pool.shared.state().made
}

/// Waits until `count` other threads wait for a session.
fn waiting(pool: &SessionPool, count: usize) {
    while pool.shared.state().waiting.len() < count {
        std::thread::yield_now();
    }
}

#[test]
fn who_finds_no_session_waits_for_one_first_come_first_served() {
    let pool = pool(2);
    let held = [lease(&pool), lease(&pool)];
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (sender, pool) = (sender.clone(), &pool);
            scope.spawn(move || {
                let lease = lease(pool);
                sender.send(number).unwrap();
                drop(lease);
            });
            waiting(pool, number + 1);
        }
        assert!(receiver.try_recv().is_err());
        drop(held);
    });
    let mut order: Vec<usize> = receiver.try_iter().collect();
    assert_eq!(order.len(), 3);
    // Two at once for two sessions: these may report in either order.
    order[..2].sort_unstable();
    assert_eq!(order[0], 0, "{order:?}");
    assert_eq!(made(&pool), 2);
}

#[test]
fn who_is_interrupted_waits_no_longer() {
    let pool = pool(1);
    let held = lease(&pool);
    let interrupt = Interrupt::default();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| pool.lease(&interrupt).map(drop));
        waiting(&pool, 1);
        interrupt.set();
        assert_eq!(asked.join().unwrap(), Err(ModelError::abandoned()));
    });
    assert!(pool.shared.state().waiting.is_empty());
    drop(held);
    drop(lease(&pool));
}

#[test]
fn who_measures_takes_no_session_from_the_others() {
    let pool = pool(2);
    let beside = pool.lease_beside(&Interrupt::default()).unwrap();
    let held = [lease(&pool), lease(&pool)];
    assert_eq!(made(&pool), 3);
    drop(beside);
    assert_eq!(made(&pool), 2, "it went with who measured");
    drop(held);
    assert_eq!(made(&pool), 2);
    assert_eq!(pool.shared.state().idle.len(), 2);
}

#[test]
fn a_session_that_was_lost_is_made_anew() {
    let mut pool = pool(1);
    let file = pool.file().unwrap();
    let (sender, receiver) = mpsc::channel();
    pool.read_again_by(move || {
        sender.send(()).unwrap();
        Ok(file.clone())
    });
    assert!(pool.shared.state().file.is_none(), "its bytes are not kept");
    for _ in 0..3 {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _lease = lease(&pool);
            // Suppresses the panic message.
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(made(&pool), 0);
        drop(lease(&pool));
        assert_eq!(made(&pool), 1);
    }
    assert_eq!(receiver.try_iter().count(), 3);
    // Without the file, no caller waits for a session that cannot be created.
    pool.read_again_by(|| Err(ModelError::NotFound { uri: "gone".into() }));
    let mut lost = lease(&pool);
    let waits = std::thread::scope(|scope| {
        let asked = scope.spawn(|| pool.lease(&Interrupt::default()).map(drop));
        waiting(&pool, 1);
        if let Some(runner) = lost.runner.take() {
            pool.throw_away(runner);
        }
        asked.join().unwrap()
    });
    assert_eq!(waits, Err(ModelError::NotFound { uri: "gone".into() }));
    assert!(receiver.recv_timeout(Duration::ZERO).is_err());
}

/// Outputs of the model for images that differ, in one run, and the number of inputs of the run.
fn outputs(lease: &mut Lease<'_>, images: usize) -> (usize, Vec<f32>) {
    let tensor: Vec<f32> = (0..images * 8 * 8 * 3)
        .map(|index| (index % 251) as f32 + (index / 192) as f32)
        .collect();
    let read = |outputs: &SessionOutputs<'_>, size, wanted| {
        let output = outputs.values().next().unwrap();
        let (shape, numbers) = output.try_extract_tensor::<f32>().unwrap();
        let width = usize::try_from(shape[1]).unwrap();
        Ok((size, numbers[..wanted * width].to_vec()))
    };
    let interrupt = Interrupt::default();
    let ran = lease.run_raw(Batch::Images(&tensor), &interrupt, read);
    ran.unwrap()
}

#[test]
fn runs_of_a_device_with_fixed_sizes_are_padded_and_answer_the_same() {
    let plain = pool(1);
    let mut padded = pool(1);
    padded.pad_to(vec![1, 2, 4, 8]);
    let (mut as_is, mut lent) = (lease(&plain), lease(&padded));
    for (images, size) in [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 9)] {
        let (runs_of, expected) = outputs(&mut as_is, images);
        assert_eq!(runs_of, images);
        assert_eq!(outputs(&mut lent, images), (size, expected));
    }
    drop(lent);
    padded.pad_up_to(4);
    assert_eq!(outputs(&mut lease(&padded), 5).0, 5);
}

#[test]
fn a_further_session_is_run_with_each_size_before_it_is_used() {
    let mut padded = pool(2);
    // The outputs of four images have 48 bytes.
    padded.output_bytes_max = 30;
    padded.pad_to(vec![1, 2]);
    let make = |pool: &SessionPool| {
        pool.shared.state().made += 1;
        pool.make(&Interrupt::default()).map(|_| ())
    };
    assert_eq!(make(&padded), Ok(()));
    padded.pad_to(vec![1, 2, 4]);
    let too_large = ModelError::OutputTooLarge {
        bytes: 48,
        bytes_max: 30,
    };
    assert_eq!(make(&padded), Err(too_large));
}
