//! Wrong statements, wrong images, wrong models: each gets its MySQL error, the session goes on,
//! and nothing is left behind.

mod broken;
mod images;
mod statements;

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Wire};

/// Task `colour` over images of 8 x 8 pixels, answered by the small models of the executor's
/// tests.
const CREATE_TASK: &str = "CREATE TASK colour CLASSES ('red', 'green', 'blue')";

/// A store and a proxy with its own catalog, image root and model root.
struct Place {
    store: &'static Store,
    proxy: Proxy,
    images: PathBuf,
    models: PathBuf,
    schema: &'static str,
}

impl Place {
    /// On the shared store, with catalog `schema`.
    fn new(schema: &'static str) -> Self {
        Self::with(Store::shared(), schema, "")
    }

    fn with(store: &'static Store, schema: &'static str, lane: &str) -> Self {
        let (images, models) = (new_dir("bad-images"), new_dir("bad-models"));
        let settings = Settings {
            schema: schema.to_owned(),
            lane: lane.to_owned(),
            image_roots: vec![images.clone()],
            model_roots: vec![models.clone()],
            ..Settings::default()
        };
        let proxy = Proxy::start(store, &settings);
        for id in 1..=3 {
            let photo = apparel::photos().root().join(Photos::path(id));
            fs::copy(photo, images.join(format!("{id}.png"))).unwrap();
        }
        for model in ["colour_nchw", "cut_in_half", "two_columns", "slow", "text"] {
            let file = format!("{model}.onnx");
            let from = checkout().join("executor/tests/models").join(&file);
            fs::copy(from, models.join(file)).unwrap();
        }
        let place = Self {
            store,
            proxy,
            images,
            models,
            schema,
        };
        place.session().run(CREATE_TASK);
        place
            .session()
            .run(&create_model("colours", "colour_nchw.onnx"));
        place
    }

    fn session(&self) -> Wire {
        self.proxy.root()
    }

    /// Rows of the catalog, by table.
    fn catalog(&self) -> Vec<Vec<Option<String>>> {
        let schema = self.schema;
        self.store.root().rows(&format!(
            "SELECT (SELECT COUNT(*) FROM {schema}.tasks), (SELECT COUNT(*) FROM {schema}.models), \
             (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = '{schema}')"
        ))
    }
}

fn create_model(name: &str, file: &str) -> String {
    format!(
        "CREATE MODEL {name} FOR TASK colour FROM '{file}' OPTIONS (layout = 'NCHW', size = '8x8', \
         channels = 3, mean = (0, 0, 0), std = (1, 1, 1), labels = ('red', 'green', 'blue'), output = 'logits')"
    )
}

/// The session still works, with and without predictions.
#[track_caller]
fn check_usable(session: &mut Wire, schema: &str) {
    assert_eq!(session.value("SELECT 40 + 2").as_deref(), Some("42"));
    let label = session.value(&format!("SELECT {schema}.colour('1.png') IS NOT NULL"));
    assert_eq!(label.as_deref(), Some("1"));
}

/// A place that tests share which only send wrong statements; database `bi` has table `p`.
fn shared() -> &'static Place {
    static MADE: OnceLock<Place> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = Place::new("bi_ml");
        let mut root = place.store.root();
        root.run("CREATE DATABASE bi");
        root.run(
            "CREATE TABLE bi.p (id INT PRIMARY KEY, price INT, photo VARCHAR(100), label VARCHAR(20), img BLOB)",
        );
        root.run(
            "INSERT INTO bi.p VALUES (1, 10, '1.png', 'red', NULL), (2, 20, '2.png', 'blue', 'no image'), \
             (3, 30, 'none.png', NULL, NULL), (4, 40, NULL, NULL, NULL)",
        );
        place
    })
}
