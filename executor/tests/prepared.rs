//! One preparation for several models, and the identities of what was read.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use predictsql_catalog::{Layout, ModelOptions};
use predictsql_executor::{
    Executor, ExecutorConfig, Input, InputId, LoadedModel, Outcome, PredictError, Spent,
};
use tokio_util::sync::CancellationToken;

use support::{bmp, config, executor, folder, image_of, model, options, options_of};

async fn load(executor: &Executor, uri: &str, options: &ModelOptions) -> LoadedModel {
    let model = model(executor, uri, options).await;
    executor.load(&model).await.unwrap()
}

fn none() -> CancellationToken {
    CancellationToken::new()
}

fn nhwc() -> ModelOptions {
    options_of(Layout::Nhwc, 8)
}

fn image(index: usize) -> Input {
    let value = |factor: usize| u8::try_from(index * factor % 251).unwrap();
    Input::Image(bmp(8, 8, [value(37), value(101), value(59)]).into())
}

fn location(path: &str) -> Input {
    Input::Location(Bytes::copy_from_slice(path.as_bytes()))
}

/// Images, files, NULLs and bad ones, more than a chunk of them.
fn mixed() -> Vec<Input> {
    (0..70)
        .map(|index| match index % 7 {
            3 => Input::Null,
            4 => location("none.png"),
            5 => location("rgb.jpg"),
            6 => location("grey.png"),
            _ => image(index),
        })
        .collect()
}

#[tokio::test]
async fn several_models_look_at_one_preparation_as_each_would_alone() {
    let executor = executor();
    let mut shifted = options();
    image_of(&mut shifted).normalisation.mean = vec![0.5, 0.1, 0.0];
    let models = [
        load(&executor, "colour_nchw.onnx", &options()).await,
        load(&executor, "several_outputs.onnx", &options()).await,
        load(&executor, "colour_nhwc.onnx", &nhwc()).await,
        load(&executor, "colour_nchw.onnx", &shifted).await,
    ];
    let prepared = executor.prepare(&models, mixed(), &none()).await.unwrap();
    assert_eq!(prepared.len(), 70);
    for model in &models {
        let alone = executor.predict(model, mixed(), &none()).await.unwrap();
        let all: Vec<usize> = (0..70).collect();
        let together = executor.infer(&prepared, model, &all, &none()).await;
        assert_eq!(together.unwrap(), alone);
        // Any rows, in any order, also twice, over several chunks.
        let rows = [69, 0, 33, 31, 32, 64, 3, 4, 5, 0, 12];
        let some = executor.infer(&prepared, model, &rows, &none()).await;
        let expected: Vec<_> = rows.iter().map(|row| alone[*row].clone()).collect();
        assert_eq!(some.unwrap(), expected);
        let nothing = executor.infer(&prepared, model, &[], &none()).await;
        assert_eq!(nothing.unwrap(), vec![]);
    }
}

#[tokio::test]
async fn what_work_takes_is_told_to_the_account_it_was_done_on() {
    let executor = executor();
    let models = [
        load(&executor, "colour_nchw.onnx", &options()).await,
        load(&executor, "several_outputs.onnx", &options()).await,
    ];
    let whole = Arc::new(Spent::default());
    let [preparation, first, second] = [(); 3].map(|()| Arc::new(Spent::within(&whole)));
    let on = |account| executor.on_account(account);
    let prepared = on(&preparation).prepare(&models, mixed(), &none()).await;
    let (prepared, rows) = (prepared.unwrap(), Vec::from_iter(0..70));
    for (account, model) in [&first, &second].into_iter().zip(&models) {
        let outcomes = on(account).infer(&prepared, model, &rows, &none()).await;
        assert_eq!(outcomes.unwrap().len(), 70);
    }
    // Work on no account is told to none.
    let seconds = whole.seconds();
    executor
        .predict(&models[0], mixed(), &none())
        .await
        .unwrap();
    assert_eq!(whole.seconds(), seconds);

    let prepared = preparation.seconds();
    assert!(
        prepared.fetching > 0.0 && prepared.preparing > 0.0,
        "{prepared:?}"
    );
    assert_eq!(prepared.inferring, 0.0);
    for account in [first, second] {
        let run = account.seconds();
        assert!(run.inferring > 0.0, "{run:?}");
        assert_eq!((run.fetching, run.preparing), (0.0, 0.0));
    }
}

#[tokio::test]
async fn only_what_was_prepared_can_be_run() {
    let executor = executor();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let other = load(&executor, "colour_nhwc.onnx", &nhwc()).await;
    let models = [model.clone()];
    let inputs = vec![image(1), Input::Null];
    let prepared = executor.prepare(&models, inputs, &none()).await.unwrap();
    assert_eq!(
        executor.infer(&prepared, &other, &[0], &none()).await,
        Err(PredictError::NotPrepared {
            model: "colour".into()
        })
    );
    assert_eq!(
        executor.infer(&prepared, &model, &[0, 2], &none()).await,
        Err(PredictError::NoSuchInput { row: 2, inputs: 2 })
    );
    let cancelled = none();
    cancelled.cancel();
    assert_eq!(
        executor.infer(&prepared, &model, &[0], &cancelled).await,
        Err(PredictError::Cancelled)
    );
}

/// Callers who hold all there is of preparations can run them, and make room by dropping them.
#[tokio::test]
async fn preparations_are_bounded_and_running_them_needs_no_room() {
    let executor = Executor::new(ExecutorConfig {
        queue_chunks_max: 2,
        batch_images_max: 4,
        ..config()
    })
    .unwrap();
    let models = [load(&executor, "colour_nchw.onnx", &options()).await];
    let inputs = |count| (0..count).map(image).collect::<Vec<_>>();
    let first = executor.prepare(&models, inputs(4), &none()).await.unwrap();
    let second = executor.prepare(&models, inputs(2), &none()).await.unwrap();
    assert_eq!(executor.chunks_in_flight(), 2);
    let cancel = none();
    let third = executor.prepare(&models, inputs(3), &cancel);
    let mut third = std::pin::pin!(third);
    let waits = tokio::time::timeout(Duration::from_millis(20), &mut third).await;
    assert!(waits.is_err(), "room for a third");
    for prepared in [&first, &second] {
        let outcomes = executor.infer(prepared, &models[0], &[1, 0], &none()).await;
        assert_eq!(outcomes.unwrap().len(), 2);
    }
    drop(first);
    third.await.unwrap();
    drop(second);
    // More than there is room for is taken when nobody else holds any.
    let large = executor
        .prepare(&models, inputs(50), &none())
        .await
        .unwrap();
    let rows: Vec<usize> = (0..50).collect();
    let outcomes = executor.infer(&large, &models[0], &rows, &none()).await;
    assert_eq!(outcomes.unwrap().len(), 50);
    drop(large);
    assert_eq!(executor.chunks_in_flight(), 0);
}

/// Callers with several chunks each, more than there is room for, never wait for each other's.
#[tokio::test]
async fn concurrent_preparations_come_to_an_end() {
    let executor = Executor::new(ExecutorConfig {
        queue_chunks_max: 3,
        batch_images_max: 2,
        ..config()
    })
    .unwrap();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let callers: Vec<_> = (0..12)
        .map(|caller| {
            let (executor, model) = (executor.clone(), model.clone());
            tokio::spawn(async move {
                let inputs: Vec<_> = (0..4 + caller % 3).map(image).collect();
                let rows: Vec<usize> = (0..inputs.len()).collect();
                let models = [model];
                let prepared = executor.prepare(&models, inputs, &none()).await.unwrap();
                let outcomes = executor.infer(&prepared, &models[0], &rows, &none()).await;
                assert_eq!(outcomes.unwrap().len(), rows.len());
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

/// A file written long enough ago to have an identity. Change times cannot be set, so this waits
/// until the clock has moved on.
async fn settled(executor: &Executor, path: &str) -> InputId {
    let deadline = SystemTime::now() + Duration::from_secs(10);
    loop {
        let ids = executor.identify(&[location(path)], &none()).await.unwrap();
        if let [Some(id)] = ids[..] {
            return id;
        }
        assert!(SystemTime::now() < deadline, "{path} has no identity");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn identities_follow_the_content() {
    let images = tempfile::tempdir().unwrap();
    let executor = Executor::new(ExecutorConfig {
        image_roots: vec![images.path().into()],
        ..config()
    })
    .unwrap();
    let model = load(&executor, "colour_nchw.onnx", &options()).await;
    let write = |name: &str, colour| {
        std::fs::write(images.path().join(name), bmp(8, 8, colour)).unwrap();
    };
    write("a.bmp", [200, 0, 0]);
    write("b.bmp", [200, 0, 0]);
    let (a, b) = (
        settled(&executor, "a.bmp").await,
        settled(&executor, "b.bmp").await,
    );
    assert_ne!(a, b);
    let absolute = images.path().canonicalize().unwrap().join("a.bmp");
    assert_eq!(settled(&executor, absolute.to_str().unwrap()).await, a);

    let encoded = Bytes::from(bmp(8, 8, [0, 9, 0]));
    let inputs = vec![
        location("a.bmp"),
        Input::Null,
        Input::Image(encoded.clone()),
        location("none.bmp"),
        location("s3://bucket/a.bmp"),
        location("/etc/passwd"),
        Input::Image(Bytes::from_static(b"some text")),
    ];
    let ids = executor.identify(&inputs, &none()).await.unwrap();
    assert_eq!(ids[..2], [Some(a), None]);
    assert!(ids[2].is_some() && ids[6].is_some() && ids[2] != ids[6]);
    assert_eq!(ids[3..6], [None; 3]);
    // What was read has the identity that it was found by; what could not be used has none.
    let models = [model.clone()];
    let prepared = executor.prepare(&models, inputs.clone(), &none()).await;
    let read = prepared.unwrap().ids().to_vec();
    assert_eq!(read, [ids[0], None, ids[2], None, None, None, None]);
    let (outcomes, read) = executor
        .predict_identified(&model, inputs, &none())
        .await
        .unwrap();
    assert_eq!(read, [ids[0], None, ids[2], None, None, None, None]);
    assert!(matches!(outcomes[0], Outcome::Scores(_)));

    // Other content of the same size and modification time at the same place.
    let modified = std::fs::metadata(images.path().join("a.bmp")).unwrap();
    write("a.bmp", [0, 200, 0]);
    let file = std::fs::File::options()
        .write(true)
        .open(images.path().join("a.bmp"))
        .unwrap();
    file.set_modified(modified.modified().unwrap()).unwrap();
    drop(file);
    let changed = settled(&executor, "a.bmp").await;
    assert_ne!(changed, a);
    std::fs::rename(images.path().join("b.bmp"), images.path().join("a.bmp")).unwrap();
    let replaced = settled(&executor, "a.bmp").await;
    assert!(replaced != changed && replaced != a && replaced != b);
}

#[tokio::test]
async fn a_file_that_changed_just_now_has_no_identity() {
    let images = tempfile::tempdir().unwrap();
    let executor = Executor::new(ExecutorConfig {
        image_roots: vec![images.path().into()],
        ..config()
    })
    .unwrap();
    // The next look may come late on a busy machine: one in many is soon enough.
    let mut unknown = 0;
    for index in 0..200 {
        let name = format!("{index}.bmp");
        std::fs::write(images.path().join(&name), bmp(1, 1, [1, 2, 3])).unwrap();
        let ids = executor
            .identify(&[location(&name)], &none())
            .await
            .unwrap();
        unknown += usize::from(ids[0].is_none());
    }
    assert!(unknown > 0);
}

#[tokio::test]
async fn identify_can_be_cancelled() {
    let executor = executor();
    let cancel = none();
    cancel.cancel();
    let png = folder("images/rgb.png");
    let inputs = vec![location(png.to_str().unwrap()); 500];
    assert_eq!(
        executor.identify(&inputs, &cancel).await,
        Err(PredictError::Cancelled)
    );
    assert_eq!(
        executor.identify(&inputs, &none()).await.unwrap().len(),
        500
    );
}
