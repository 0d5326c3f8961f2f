//! The demo's shop, set up by the demo's own code, with some of its models and labelled rows.

use predictsql_proxy::demo::dataset::{DATASET_DIR, Split};
use predictsql_proxy::demo::{pictures, shop};
use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, apparel, onnx};
use std::path::Path;

/// Labelled rows; the demo has 10,000.
const LABELLED: usize = 3_000;
/// Those that documents name.
const MODELS: [&str; 6] = [
    "apparel_nano",
    "apparel_small",
    "apparel_medium",
    "apparel_large",
    "footwear_other",
    "boot_sneaker_nano",
];

/// A store and its proxy, as `make demo` leaves them.
pub fn start() -> (Store, Proxy) {
    let dataset = Path::new(DATASET_DIR);
    let test = Split::read(dataset, "t10k").unwrap();
    let labelled = Split::read(dataset, "train").unwrap().last(LABELLED);
    let (images, models) = (new_dir("shop-images"), new_dir("shop-models"));
    pictures::write_all(&images, "test", &test).unwrap();
    pictures::write_all(&images, "labelled", &labelled).unwrap();
    copy_models(&models);
    let settings = Settings {
        image_roots: vec![images],
        model_roots: vec![models],
        ..Settings::default()
    };
    let store = Store::own();
    let proxy = Proxy::start(&store, &settings);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut conn = mysql_async::Conn::new(proxy.opts()).await.unwrap();
        shop::create(&mut conn, &test, &labelled).await.unwrap();
        conn.disconnect().await.unwrap();
    });
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| MODELS.contains(&name));
    session.run("USE shop");
    session.run("EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)");
    (store, proxy)
}

/// The zoo's files, and those that documents bring.
fn copy_models(folder: &Path) {
    for entry in std::fs::read_dir(apparel::model_root()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let columns = checkout().join("executor/tests/columns");
    for (file, name) in [
        ("iris_tensor.onnx", "iris.onnx"),
        ("width_tree.onnx", "width.onnx"),
    ] {
        std::fs::copy(columns.join(file), folder.join(name)).unwrap();
    }
    onnx::write_classifier(&folder.join("resnet.onnx"), 224, 4);
}
