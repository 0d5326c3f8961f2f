//! ONNX Runtime tells nobody what a proxy does: some builds write reports below the user's
//! folders, to send them.

use std::fs;

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, apparel};

use super::create;

#[test]
fn nothing_is_reported_of_what_models_do() {
    let home = new_dir("home");
    let place = |name: &str| (name.to_owned(), home.display().to_string());
    let settings = Settings {
        schema: "reports".to_owned(),
        model_roots: vec![checkout().join("executor/tests/models")],
        environment: vec![place("HOME"), place("XDG_CACHE_HOME")],
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut root = proxy.root();
    root.run("CREATE TASK colours CLASSES ('red', 'green', 'blue')");
    root.run(&create("colour_nchw"));
    let photo = apparel::Photos::path(1);
    let labels = root.rows(&format!(
        "SELECT reports.predict('colours', '{photo}') IS NOT NULL"
    ));
    assert_eq!(labels, [[Some("1".to_owned())]]);
    let found: Vec<_> = fs::read_dir(&home).unwrap().collect();
    assert!(found.is_empty(), "{found:?}");
}
