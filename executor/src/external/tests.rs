//! Models at servers that are honest, wrong, slow or gone.
#![allow(clippy::unwrap_used)]

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use predictsql_catalog::{
    Column, ColumnKind, ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation,
    Output,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config::{ExecutorConfig, ExternalConfig};
use crate::error::{ModelError, PredictError};
use crate::input::{ColumnValue, Input, Outcome};
use crate::oip::inference::{ModelInferRequest, ModelInferResponse};
use crate::{Executor, LoadedModel};
use server::{Reply, Script, Scripted, answer, channels, tensor};

/// Colours of the images that are predicted.
const COLOURS: [[u8; 3]; 5] = [
    [250, 20, 30],
    [10, 240, 0],
    [0, 0, 255],
    [0, 0, 0],
    [90, 200, 110],
];

fn options(input: ModelInput) -> ModelOptions {
    ModelOptions {
        input,
        labels: ["red", "green", "blue"].map(String::from).to_vec(),
        other: None,
        output: Output::Logits,
        output_name: None,
        accuracy: None,
    }
}

fn image_options() -> ModelOptions {
    options(ModelInput::Image(ImageOptions {
        layout: Layout::Nchw,
        height: 8,
        width: 8,
        channels: 3,
        normalisation: Normalisation {
            mean: vec![0.0; 3],
            std: vec![1.0; 3],
        },
        preprocessing: Default::default(),
    }))
}

fn config(hosts: &[String]) -> ExecutorConfig {
    ExecutorConfig {
        threads: 1,
        external: ExternalConfig {
            external_oip_hosts: hosts.to_vec(),
            external_oip_request_seconds_max: 20,
            external_oip_metadata_seconds_max: 0,
        },
        ..ExecutorConfig::default()
    }
}

fn executor_for(server: &Scripted) -> Executor {
    Executor::new(config(&[server.address.to_string()])).unwrap()
}

fn model(uri: &str, sha256: &str, options: &ModelOptions) -> Arc<Model> {
    Arc::new(Model {
        id: 1,
        name: "colours".to_string(),
        version: "1".to_string(),
        task: "colour".to_string(),
        uri: uri.to_string(),
        sha256: sha256.to_string(),
        bytes: 0,
        covers: options.labels.clone(),
        options: options.clone(),
        seconds_per_image: None,
    })
}

/// The model of a server, tried and loaded.
async fn loaded(executor: &Executor, uri: &str, options: &ModelOptions) -> LoadedModel {
    let file = executor.inspect(uri, options).await.unwrap();
    let model = model(uri, &file.sha256, options);
    executor.load(&model).await.unwrap()
}

/// Plain images, one after another in a PNG file each.
fn images() -> Vec<Input> {
    let image = |colour: &[u8; 3]| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 8, 8);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&colour.repeat(64)).unwrap();
        writer.finish().unwrap();
        Input::Image(Bytes::from(file))
    };
    COLOURS.iter().map(image).collect()
}

async fn predict(
    executor: &Executor,
    model: &LoadedModel,
    inputs: Vec<Input>,
) -> Result<Vec<Outcome>, PredictError> {
    let never = CancellationToken::new();
    executor.predict(model, inputs, &never).await
}

/// Compares with the softmax of ten times each channel.
fn check(outcomes: &[Outcome], tolerance: f32) {
    assert_eq!(outcomes.len(), COLOURS.len());
    for (outcome, colour) in outcomes.iter().zip(COLOURS) {
        let Outcome::Scores(scores) = outcome else {
            panic!("{outcome:?}");
        };
        let raised = colour.map(|sample| (10.0 * f32::from(sample) / 255.0).exp());
        let sum: f32 = raised.iter().sum();
        for (score, raised) in scores.probabilities().iter().zip(raised) {
            assert!((score - raised / sum).abs() < tolerance, "{scores:?}");
        }
    }
}

#[tokio::test]
async fn images_are_sent_in_the_type_and_the_batches_of_the_model() {
    for (datatype, batch, max_batch_size, tolerance) in [
        ("FP32", -1, None, 1e-5),
        ("FP32", -1, Some(2), 1e-5),
        ("FP32", 4, Some(0), 1e-5),
        ("FP32", 1, None, 1e-5),
        ("FP16", -1, None, 1e-2),
        ("FP16", 3, None, 1e-2),
        ("UINT8", -1, Some(8), 1e-5),
        ("UINT8", 2, None, 1e-5),
    ] {
        let mut script = Script::colour();
        script.max_batch_size = max_batch_size;
        script.metadata.inputs = vec![tensor("pixels", datatype, &[batch, 3, 8, 8])];
        let most = match (batch, max_batch_size) {
            (-1, None | Some(0)) => i64::from(u16::MAX),
            (-1, Some(most)) => i64::from(most),
            (fixed, _) => fixed,
        };
        script.infer = Arc::new(move |request| {
            let input = &request.inputs[0];
            let fits = batch == -1 || input.shape[0] == batch;
            let is_it = input.name == "pixels" && input.datatype == datatype;
            match fits && is_it && input.shape[0] <= most {
                true => Reply::Answer(channels(request)),
                false => Reply::Fail(Status::invalid_argument("not the model's input")),
            }
        });
        let server = Scripted::start(script);
        let executor = executor_for(&server);
        let loaded = loaded(&executor, &server.uri(), &image_options()).await;
        let outcomes = predict(&executor, &loaded, images()).await;
        check(&outcomes.unwrap(), tolerance);
        let measured = executor.measure(&loaded, &[1, 2, 64]).await.unwrap();
        assert!(!measured.is_empty(), "{datatype} {batch}");
        assert_eq!(executor.images_inferred(), COLOURS.len() as u64);
    }
}

#[tokio::test]
async fn a_server_that_refuses_many_inputs_gets_fewer() {
    let mut script = Script::colour();
    script.infer = Arc::new(|request| match request.inputs[0].shape[0] > 6 {
        true => Reply::Fail(Status::resource_exhausted("at most 6 inputs")),
        false => Reply::Answer(channels(request)),
    });
    let server = Scripted::start(script);
    let executor = executor_for(&server);
    let loaded = loaded(&executor, &server.uri(), &image_options()).await;
    let many: Vec<Input> = (0..10).flat_map(|_| images()).collect();
    let outcomes = predict(&executor, &loaded, many).await.unwrap();
    outcomes
        .chunks(COLOURS.len())
        .for_each(|five| check(five, 1e-5));
    let measured = executor.measure(&loaded, &[1, 64]).await.unwrap();
    assert_eq!(measured.len(), 1);
}

/// The sum of a row's numbers, and the length of its texts, as logits of the first two labels.
fn sums(request: &ModelInferRequest) -> ModelInferResponse {
    let rows = request.inputs[0].shape[0];
    let mut logits = vec![0.0; rows as usize * 3];
    for (input, raw) in request.inputs.iter().zip(&request.raw_input_contents) {
        assert_eq!(input.shape, [rows, 1]);
        for (row, logits) in logits.chunks_mut(3).enumerate() {
            match input.datatype.as_str() {
                "FP64" => logits[0] += crate::oip::doubles(raw, rows as usize).unwrap()[row] as f32,
                "INT64" => {
                    let number = raw.as_chunks().0[row];
                    logits[0] += i64::from_le_bytes(number) as f32;
                }
                "BYTES" => {
                    let text = &crate::oip::bytes(raw, rows as usize).unwrap()[row];
                    logits[1] += text.len() as f32;
                }
                other => panic!("{other}"),
            }
        }
    }
    answer("logits", &[rows, 3], &logits)
}

#[tokio::test]
async fn rows_of_columns_are_sent_as_the_model_wants_them() {
    let mut script = Script::colour();
    script.metadata.inputs = vec![
        tensor("words", "BYTES", &[-1, 1]),
        tensor("width", "FP64", &[-1, 1]),
        tensor("count", "INT64", &[-1, 1]),
    ];
    script.infer = Arc::new(|request| Reply::Answer(sums(request)));
    let server = Scripted::start(script);
    let executor = executor_for(&server);
    let column = |name: &str, kind| Column {
        name: name.to_string(),
        kind,
    };
    let options = options(ModelInput::Columns {
        columns: vec![
            column("width", ColumnKind::Double),
            column("count", ColumnKind::Double),
            column("words", ColumnKind::Varchar),
        ],
    });
    let loaded = loaded(&executor, &server.uri(), &options).await;
    let row = |width: f64, count: f64, words: &str| {
        Input::Columns(
            [
                ColumnValue::Number(width),
                ColumnValue::Number(count),
                ColumnValue::Text(Bytes::copy_from_slice(words.as_bytes())),
            ]
            .into(),
        )
    };
    let inputs = vec![
        row(1.5, 2.0, "four"),
        row(0.0, 0.5, "no"),
        Input::Null,
        row(-3.0, 0.0, "äö"),
    ];
    let outcomes = predict(&executor, &loaded, inputs).await.unwrap();
    let expected = |logits: [f32; 3]| Outcome::Scores(crate::Scores::from_logits(&logits));
    assert_eq!(outcomes[0], expected([3.5, 4.0, 0.0]));
    assert!(matches!(&outcomes[1], Outcome::Unreadable(why) if why.contains("whole numbers")));
    assert_eq!(outcomes[2], Outcome::Null);
    assert_eq!(outcomes[3], expected([-3.0, 4.0, 0.0]));
}

/// What an error says, and what is wrong before.
type Wrong<T> = (&'static str, fn(&mut T));

/// What a server's answer can be instead of a right one.
fn wrong_answers() -> Vec<Wrong<ModelInferResponse>> {
    vec![
        ("elements", |answer| answer.outputs[0].shape[0] += 1),
        ("elements", |answer| answer.outputs[0].shape[1] = 2),
        ("no shape", |answer| answer.outputs[0].shape[1] = -3),
        ("no shape", |answer| {
            answer.outputs[0].shape = vec![i64::MAX, i64::MAX]
        }),
        ("elements", |answer| answer.outputs[0].shape = Vec::new()),
        ("'logits' did not come", |answer| {
            answer.outputs[0].name = "other".to_string()
        }),
        ("'logits' did not come", |answer| {
            answer.outputs.clear();
            answer.raw_output_contents.clear();
        }),
        ("not read", |answer| {
            answer.outputs[0].datatype = "BF16".to_string()
        }),
        ("elements", |answer| {
            answer.outputs[0].datatype = "BYTES".to_string()
        }),
        ("elements", |answer| {
            answer.outputs[0].datatype = "FP64".to_string()
        }),
        ("elements", |answer| {
            answer.raw_output_contents[0].truncate(5)
        }),
        ("elements", |answer| answer.raw_output_contents[0].clear()),
        ("contents of 2", |answer| {
            answer.raw_output_contents.push(Bytes::new())
        }),
        ("another model", |answer| {
            answer.model_name = "other".to_string()
        }),
        ("model_output_bytes_max", |answer| {
            answer.raw_output_contents[0] = vec![0; 2 << 20].into();
        }),
        ("columns", |answer| {
            let rows = answer.outputs[0].shape[0];
            answer.outputs[0].shape = vec![rows, 4];
            answer.raw_output_contents[0] = vec![0; rows as usize * 16].into();
        }),
        ("shape", |answer| {
            let rows = answer.outputs[0].shape[0] as usize;
            answer.outputs[0].shape = vec![rows as i64 - 1, 3];
            answer.raw_output_contents[0].truncate((rows - 1) * 12);
        }),
    ]
}

#[tokio::test]
async fn a_wrong_answer_is_an_error_that_names_server_and_reason() {
    let server = Scripted::start(Script::colour());
    let mut config = config(&[server.address.to_string()]);
    config.model_output_bytes_max = 1 << 20;
    let executor = Executor::new(config).unwrap();
    let model = loaded(&executor, &server.uri(), &image_options()).await;
    for (said, change) in wrong_answers() {
        server.change(|script| {
            script.infer = Arc::new(move |request| {
                let mut answer = channels(request);
                change(&mut answer);
                Reply::Answer(answer)
            });
        });
        // In a statement.
        let Err(PredictError::Model { reason, .. }) = predict(&executor, &model, images()).await
        else {
            panic!("{said}");
        };
        assert!(reason.contains(said), "{said}: {reason}");
        // At CREATE MODEL.
        let refused = executor.inspect(&server.uri(), &image_options()).await;
        assert!(refused.is_err(), "{said}");
    }
    server.change(|script| script.infer = Script::colour().infer);
    check(&predict(&executor, &model, images()).await.unwrap(), 1e-5);
}

#[tokio::test]
async fn an_answer_that_is_not_finite_is_none() {
    let server = Scripted::start(Script::colour());
    let executor = executor_for(&server);
    let model = loaded(&executor, &server.uri(), &image_options()).await;
    server.change(|script| {
        script.infer = Arc::new(|request| {
            let rows = request.inputs[0].shape[0];
            Reply::Answer(answer(
                "logits",
                &[rows, 3],
                &vec![f32::NAN; rows as usize * 3],
            ))
        });
    });
    for outcome in predict(&executor, &model, images()).await.unwrap() {
        assert!(matches!(outcome, Outcome::Unreadable(_)), "{outcome:?}");
    }
    let refused = executor.inspect(&server.uri(), &image_options()).await;
    assert_eq!(refused, Err(ModelError::NotFinite));
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up_at_the_deadline_or_with_its_caller() {
    let server = Scripted::start(Script::colour());
    let mut config = config(&[server.address.to_string()]);
    config.external.external_oip_request_seconds_max = 1;
    let hasty = Executor::new(config).unwrap();
    let patient = executor_for(&server);
    let model = loaded(&hasty, &server.uri(), &image_options()).await;
    let waiting = loaded(&patient, &server.uri(), &image_options()).await;
    server.change(|script| script.infer = Arc::new(|_| Reply::Stall));
    let error = predict(&hasty, &model, images()).await.unwrap_err();
    let said = "did not answer within 1 s (external_oip_request_seconds_max)";
    assert!(error.to_string().contains(said), "{error}");
    let error = hasty.inspect(&server.uri(), &image_options()).await;
    assert!(error.unwrap_err().to_string().contains(said));

    let before = server.inferred();
    let cancel = CancellationToken::new();
    let (killed, asked) = (cancel.clone(), server.clone());
    let kill = tokio::spawn(async move {
        while asked.inferred() == before {
            tokio::task::yield_now().await;
        }
        killed.cancel();
    });
    let error = patient.predict(&waiting, images(), &cancel).await;
    assert_eq!(error, Err(PredictError::Cancelled));
    kill.await.unwrap();
    // What it held is given back, though the server has not answered.
    while patient.chunks_in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_without_time_is_asked_again_a_few_times() {
    let server = Scripted::start(Script::colour());
    let executor = executor_for(&server);
    let model = loaded(&executor, &server.uri(), &image_options()).await;
    let busy = |times: usize| {
        let left = AtomicUsize::new(times);
        Arc::new(move |request: &ModelInferRequest| {
            let count = |left: usize| left.checked_sub(1);
            match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
                Ok(_) => Reply::Fail(Status::unavailable("the queue is full")),
                Err(_) => Reply::Answer(channels(request)),
            }
        })
    };
    server.change(|script| script.infer = busy(3));
    check(&predict(&executor, &model, images()).await.unwrap(), 1e-5);
    server.change(|script| script.infer = busy(usize::MAX));
    let before = server.inferred();
    let error = predict(&executor, &model, images()).await.unwrap_err();
    assert!(error.to_string().contains("the queue is full"), "{error}");
    // The images are one request, sent four times.
    assert_eq!(server.inferred() - before, 4);
    server.change(|script| {
        script.infer = Arc::new(|_| Reply::Fail(Status::internal("CUDA out of memory")));
    });
    let before = server.inferred();
    let error = predict(&executor, &model, images()).await.unwrap_err();
    assert!(error.to_string().contains("CUDA out of memory"), "{error}");
    assert_eq!(server.inferred() - before, 1);
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_and_found_again() {
    let mut server = Scripted::start(Script::colour());
    let executor = executor_for(&server);
    let model = loaded(&executor, &server.uri(), &image_options()).await;
    // It goes away in mid-request: the connection is closed.
    let stop = server.stop.clone();
    server.change(|script| {
        script.infer = Arc::new(move |_| {
            stop.cancel();
            Reply::Stall
        });
    });
    let error = predict(&executor, &model, images()).await.unwrap_err();
    let told = format!("server {} does not answer", server.address);
    assert!(error.to_string().contains(&told), "{error}");
    let refused = executor.inspect(&server.uri(), &image_options()).await;
    assert!(
        matches!(refused, Err(ModelError::ServerLost { .. })),
        "{refused:?}"
    );
    server.change(|script| script.infer = Script::colour().infer);
    server.restart();
    check(&predict(&executor, &model, images()).await.unwrap(), 1e-5);
}

#[tokio::test]
async fn only_servers_that_the_operator_names_are_connected_to() {
    let server = Scripted::start(Script::colour());
    let address = server.address.to_string();
    let not_allowed = Err(ModelError::ServerNotAllowed {
        address: address.clone(),
    });
    for hosts in [vec![], vec!["127.0.0.1:1".to_string()]] {
        let executor = Executor::new(config(&hosts)).unwrap();
        let uri = server.uri();
        let inspected = executor.inspect(&uri, &image_options()).await;
        assert_eq!(inspected.map(|_| ()), not_allowed);
        let head = executor.onnx_head(&uri).await;
        assert_eq!(head.map(|_| ()), not_allowed);
        let model = model(&uri, "", &image_options());
        let loaded = executor.load(&model).await;
        assert_eq!(loaded.map(|_| ()), not_allowed);
    }
    let wrong = Executor::new(config(&["triton".to_string()])).map(|_| ());
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("external_oip_hosts")
    );
}

#[tokio::test]
async fn a_model_that_changed_at_its_server_is_not_used() {
    let server = Scripted::start(Script::colour());
    let executor = executor_for(&server);
    let uri = server.uri();
    let options = image_options();
    let file = executor.inspect(&uri, &options).await.unwrap();
    let model = model(&uri, &file.sha256, &options);
    let loaded = executor.load(&model).await.unwrap();
    // A newer version answers, though the metadata are the same.
    server.change(|script| {
        script.infer = Arc::new(|request| {
            Reply::Answer(ModelInferResponse {
                model_version: "2".to_string(),
                ..channels(request)
            })
        });
    });
    let error = predict(&executor, &loaded, images()).await;
    let changed = ModelError::ServedChanged { uri: uri.clone() };
    assert_eq!(error, Err(PredictError::Load(changed.clone())));
    server.change(|script| {
        script.infer = Script::colour().infer;
        script.metadata.versions.push("2".to_string());
    });
    // While it is loaded, and when it is loaded again.
    let before = server.inferred();
    let error = predict(&executor, &loaded, images()).await;
    assert_eq!(error, Err(PredictError::Load(changed.clone())));
    assert_eq!(server.inferred(), before);
    executor.unload(&model);
    assert_eq!(executor.load(&model).await.map(|_| ()), Err(changed));
    let newer = executor.inspect(&uri, &options).await.unwrap();
    assert_ne!(newer.sha256, file.sha256);
}

#[tokio::test]
async fn what_a_server_says_of_a_model_is_checked() {
    let server = Scripted::start(Script::colour());
    let executor = executor_for(&server);
    let refused: [Wrong<Script>; 12] = [
        ("is not live", |script| script.live = false),
        ("no model 'colour' that is ready", |script| {
            script.ready = false
        }),
        ("another model", |script| {
            script.metadata.name = "other".to_string()
        }),
        ("exactly one input, but has 0", |script| {
            script.metadata.inputs.clear()
        }),
        ("has shape [?, 3, 9, 8]", |script| {
            script.metadata.inputs[0].shape[2] = 9
        }),
        ("has shape [0, 3, 8, 8]", |script| {
            script.metadata.inputs[0].shape[0] = 0
        }),
        ("must be a tensor of float32", |script| {
            script.metadata.inputs[0].datatype = "INT32".to_string();
        }),
        ("4 columns, but 3 labels", |script| {
            script.metadata.outputs[0].shape[1] = 4
        }),
        ("no float output", |script| {
            script.metadata.outputs[0].datatype = "FP8".to_string();
        }),
        ("several outputs", |script| {
            let other = tensor("logit", "FP32", &[-1, 3]);
            script.metadata.outputs.push(other);
        }),
        ("batches of 9223372036854775807", |script| {
            script.metadata.inputs[0].shape[0] = i64::MAX;
        }),
        ("message length too large", |script| {
            script.metadata.platform = "x".repeat(2 << 20);
        }),
    ];
    for (said, change) in refused {
        server.change(|script| {
            *script = Script::colour();
            change(script);
        });
        let error = executor.inspect(&server.uri(), &image_options()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
    assert_eq!(server.inferred(), 0);
}

#[tokio::test]
async fn the_only_input_of_images_is_sent_and_gives_the_size() {
    let mut script = Script::colour();
    let uris = tensor("uri", "BYTES", &[-1]);
    script.metadata.inputs.insert(0, uris);
    let server = Scripted::start(script);
    let executor = executor_for(&server);
    let head = executor.onnx_head(&server.uri()).await.unwrap();
    assert_eq!(head.input, Some(vec![None, Some(3), Some(8), Some(8)]));
    let model = loaded(&executor, &server.uri(), &image_options()).await;
    check(&predict(&executor, &model, images()).await.unwrap(), 1e-5);
}
