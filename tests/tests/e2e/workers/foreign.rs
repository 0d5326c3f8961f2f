//! Clients of the Open Inference Protocol that know nothing of PredictSQL.

use std::path::PathBuf;
use std::process::Command;

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Worker, WorkerSettings, apparel};

/// Images that are compared.
const IMAGES: usize = 40;

#[test]
fn tritons_client_loads_models_and_gets_the_scores_of_the_proxy() {
    let settings = Settings {
        schema: "workers_triton".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| name == "apparel_nano");
    let nano = apparel::zoo()
        .iter()
        .find(|model| model.name == "apparel_nano");
    let nano = nano.unwrap();
    let options =
        session.value("SELECT options FROM workers_triton.models WHERE name = 'apparel_nano'");
    let options_file = new_dir("options").join("options.json");
    std::fs::write(&options_file, options.unwrap()).unwrap();

    let root = apparel::photos().root();
    let worker = Worker::start(&WorkerSettings {
        image_roots: vec![root.to_owned()],
        ..WorkerSettings::default()
    });
    let python = std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), PathBuf::from);
    let output = Command::new(&python)
        .arg(checkout().join("tests/clients/python/triton_client.py"))
        .arg(worker.address().to_string())
        .arg(apparel::model_root().join(nano.file.file_name().unwrap()))
        .arg(&options_file)
        .args((1..=IMAGES).map(|id| root.join(apparel::Photos::path(id))))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: make setup installs it", python.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let scores: Vec<Vec<f64>> = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(scores.len(), IMAGES);
    for (index, scores) in scores.iter().enumerate() {
        let photo = apparel::Photos::path(index + 1);
        for (label, score) in nano.labels.iter().zip(scores) {
            let of_label = session.value(&format!(
                "SELECT workers_triton.predict_proba('apparel_nano', '{label}', '{photo}')"
            ));
            let of_label: f64 = of_label.unwrap().parse().unwrap();
            // SQL has six decimals.
            assert!((of_label - score).abs() <= 0.5e-6, "{photo} {label}");
        }
    }
}
