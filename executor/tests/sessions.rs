//! Sessions under several callers: nobody fails because others are busy.

#![allow(clippy::unwrap_used)]

mod support;

use predictsql_executor::{Executor, ExecutorConfig, Input, Outcome};
use tokio_util::sync::CancellationToken;

use support::{bmp, config, model, options};

const ROUNDS: usize = 100;

#[tokio::test]
async fn measuring_a_model_beside_its_callers_fails_nobody() {
    let executor = Executor::new(ExecutorConfig {
        threads: 2,
        ..config()
    })
    .unwrap();
    let model = model(&executor, "colour_nchw.onnx", &options()).await;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (executor, model) = (executor.clone(), model.clone());
            tokio::spawn(async move {
                let loaded = executor.load(&model).await.unwrap();
                for _ in 0..ROUNDS {
                    let inputs = vec![Input::Image(bmp(8, 8, [1, 2, 250]).into()); 70];
                    let cancel = CancellationToken::new();
                    let outcomes = executor.predict(&loaded, inputs, &cancel).await.unwrap();
                    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Scores(_))));
                }
            })
        })
        .collect();
    let loaded = executor.load(&model).await.unwrap();
    for _ in 0..ROUNDS {
        let measured = executor.measure(&loaded, &[1]).await.unwrap();
        assert_eq!(measured.len(), 1);
    }
    for caller in callers {
        caller.await.unwrap();
    }
}
