//! Outputs of models that are kept: what is found again, what never is, and who may see them.

mod guard;
mod table;

use std::fs;
use std::path::PathBuf;

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::process::new_dir;
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};

/// A proxy of its own catalog and images, with `products` of some photos.
pub struct Place {
    pub proxy: Proxy,
    pub schema: String,
    pub images: PathBuf,
    settings: Settings,
}

impl Place {
    /// Photos 1 to 40 as `1.png` ..., and table `<schema>_shop.products (id, photo, blob_photo)`
    /// of them twice over. `cache` has the lines of table `[cache]`, and tables after it.
    pub fn new(schema: &str, cache: &str) -> Self {
        Self::of(Settings {
            schema: schema.to_owned(),
            tables: format!("[cache]\n{cache}\n"),
            ..Settings::default()
        })
    }

    /// The same with these settings, but for the roots.
    pub fn of(settings: Settings) -> Self {
        let schema = &settings.schema.clone();
        let images = new_dir(schema);
        let settings = Settings {
            image_roots: vec![images.clone()],
            ..settings
        };
        for id in 1..=40 {
            fs::write(images.join(format!("{id}.png")), photo(id)).unwrap();
        }
        let place = Self {
            proxy: Proxy::start(Store::shared(), &settings),
            schema: schema.to_owned(),
            images,
            settings,
        };
        let mut session = place.proxy.root();
        session.run(&apparel::create_task());
        session.run(&nano().statement());
        session.run(&format!("CREATE DATABASE {schema}_shop"));
        let mut session = place.session();
        session.run("CREATE TABLE products (id INT PRIMARY KEY, photo VARCHAR(100))");
        session.run(
            "INSERT INTO products SELECT seq, CONCAT((seq - 1) % 40 + 1, '.png') FROM seq_1_to_80",
        );
        place
    }

    /// Another proxy of the same store, with nothing in memory.
    pub fn another(&self) -> Proxy {
        Proxy::start(Store::shared(), &self.settings)
    }

    /// What another proxy answers from the table alone, and that proxy. Statements wait a second
    /// for the table at most: on a busy machine that takes more than one try.
    pub fn found_in_table(&self, sql: &str) -> (Proxy, Vec<Vec<Option<String>>>) {
        eventually("another proxy finds what is kept", || {
            let other = self.another();
            let mut session = in_shop(&other, &self.schema);
            let (rows, inferred) = rows(&other, &mut session, &self.sql(sql));
            (inferred == 0).then_some((other, rows))
        })
    }

    /// Another proxy of the same store, with these lines at the top of its settings.
    pub fn another_with(&self, top: &str) -> Proxy {
        let settings = Settings {
            top: top.to_owned(),
            ..self.settings.clone()
        };
        Proxy::start(Store::shared(), &settings)
    }

    pub fn session(&self) -> Wire {
        in_shop(&self.proxy, &self.schema)
    }

    /// The statement with the schema's name for `ml`.
    pub fn sql(&self, sql: &str) -> String {
        sql.replace("ml.", &format!("{}.", self.schema))
    }

    /// The rows of a statement, and how many images were inferred for them.
    pub fn rows(&self, session: &mut Wire, sql: &str) -> (Vec<Vec<Option<String>>>, u64) {
        rows(&self.proxy, session, &self.sql(sql))
    }

    /// Waits until a model need not look at the images any more: files that changed just now are
    /// not told from those that will.
    pub fn settle(&self, sql: &str) {
        let mut session = self.session();
        eventually("outputs are kept", || {
            (self.rows(&mut session, sql).1 == 0).then_some(())
        });
    }
}

pub fn in_shop(proxy: &Proxy, schema: &str) -> Wire {
    let mut session = proxy.root();
    session.run(&format!("USE {schema}_shop"));
    session
}

pub fn rows(proxy: &Proxy, session: &mut Wire, sql: &str) -> (Vec<Vec<Option<String>>>, u64) {
    let before = proxy.images_inferred();
    let rows = session.rows(sql);
    (rows, proxy.images_inferred() - before)
}

fn photo(id: usize) -> Vec<u8> {
    fs::read(apparel::photos().root().join(Photos::path(id))).unwrap()
}

fn nano() -> &'static apparel::ZooModel {
    let mut zoo = apparel::zoo().iter();
    zoo.find(|model| model.name == "apparel_nano").unwrap()
}

const STREAM: &str = "SELECT id, ml.apparel(photo), ml.predict_proba('apparel', 'Bag', photo) FROM products ORDER BY id";
const GROUPED: &str = "SELECT ml.apparel(photo) AS k, COUNT(*) FROM products GROUP BY k ORDER BY k";

#[test]
fn a_repeated_query_runs_no_model_on_any_proxy() {
    let place = Place::new("kept_repeat", "");
    let mut session = place.session();
    session.run("SET @ml_cache = 'off'");
    let (plain, inferred) = place.rows(&mut session, STREAM);
    assert!(inferred >= 40, "{inferred}");
    let (grouped, inferred) = place.rows(&mut session, GROUPED);
    assert_eq!(inferred, 40);
    assert_eq!(place.proxy.metric("predictsql_cache_hits_total"), 0);
    session.run("SET @ml_cache = NULL");
    place.settle(GROUPED);
    for plan in ["NULL", "'temporary'", "'inline'"] {
        session.run(&format!("SET @ml_plan = {plan}"));
        assert_eq!(place.rows(&mut session, STREAM), (plain.clone(), 0));
        assert_eq!(place.rows(&mut session, GROUPED), (grouped.clone(), 0));
    }
    assert!(place.proxy.metric("predictsql_cache_hits_total") >= 240);
    assert!(place.proxy.metric("predictsql_cache_memory_bytes") > 40 * 40);

    let written = || place.proxy.metric("predictsql_cache_writes_total");
    eventually("outputs are in the table", || {
        (written() == 40).then_some(())
    });
    let (other, found) = place.found_in_table(GROUPED);
    assert_eq!(found, grouped);
    let mut session = in_shop(&other, &place.schema);
    assert_eq!(rows(&other, &mut session, &place.sql(STREAM)), (plain, 0));
    assert!(
        !other.log().contains("loaded a model"),
        "no model is needed"
    );
}

#[test]
fn images_are_known_by_their_content() {
    let place = Place::new("kept_content", "");
    let mut session = place.session();
    let sql = "SELECT ml.apparel(photo) FROM products WHERE id = 1";
    place.settle(sql);
    let before = session.value(&place.sql(sql));
    let other = (2..=40).find(|id| {
        let sql = format!("SELECT ml.apparel('{id}.png')");
        session.value(&place.sql(&sql)) != before
    });
    let other = photo(other.unwrap());
    // Written in place, and put in its place: seen at once either way.
    fs::write(place.images.join("1.png"), &other).unwrap();
    let replaced = session.value(&place.sql(sql));
    assert_ne!(replaced, before);
    fs::write(place.images.join("new"), photo(1)).unwrap();
    fs::rename(place.images.join("new"), place.images.join("1.png")).unwrap();
    assert_eq!(session.value(&place.sql(sql)), before);
    place.settle(sql);

    // Bytes are what they are, wherever they come from.
    session.run("CREATE TABLE blobs (id INT PRIMARY KEY, photo BLOB)");
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let (first, second) = (hex(&photo(1)), hex(&other));
    session.run(&format!(
        "INSERT INTO blobs VALUES (1, x'{first}'), (2, x'{second}'), (3, x'{first}')"
    ));
    let sql = "SELECT id, ml.apparel(photo) FROM blobs ORDER BY id";
    let (answers, inferred) = place.rows(&mut session, sql);
    assert_eq!(inferred, 2);
    session.run("UPDATE blobs SET id = id + 10 ORDER BY id DESC");
    let (moved, inferred) = place.rows(&mut session, sql);
    assert_eq!(inferred, 0);
    let labels = |rows: &[Vec<Option<String>>]| -> Vec<Option<String>> {
        rows.iter().map(|row| row[1].clone()).collect()
    };
    assert_eq!(labels(&moved), labels(&answers));
    assert_eq!(labels(&answers), [before.clone(), replaced, before]);
}

#[test]
fn a_new_version_gives_no_old_answers_and_unreadable_images_are_looked_at_again() {
    let place = Place::new("kept_version", "");
    let mut session = place.session();
    place.settle(GROUPED);
    // Its numbers differ, since its pictures are paler.
    let std = nano().std[0];
    let statement = nano().statement().replace(" COVERS", " VERSION '2' COVERS");
    let paler = statement.replace(&format!("std = ({std}"), &format!("std = ({}", std + 0.75));
    assert_ne!(paler, statement);
    session.run(&paler);
    let proba = |version: &str| {
        place.sql(&format!(
            "SELECT SUM(ml.predict_proba('apparel_nano@{version}', 'Bag', photo)) FROM products"
        ))
    };
    let (old, inferred) = rows(&place.proxy, &mut session, &proba("1"));
    assert_eq!(inferred, 0, "the first version's outputs are still kept");
    let (new, inferred) = rows(&place.proxy, &mut session, &proba("2"));
    assert_eq!(inferred, 40);
    assert_ne!(new, old);

    fs::write(place.images.join("bad.png"), b"no image").unwrap();
    let bad = place.sql("SELECT ml.apparel('bad.png')");
    for _ in 0..2 {
        assert_eq!(session.value(&bad), None);
        assert_eq!(session.rows("SHOW WARNINGS").len(), 1);
    }
    fs::write(place.images.join("bad.png"), photo(3)).unwrap();
    assert!(session.value(&bad).is_some());
}

#[test]
fn sessions_choose_what_they_do_with_kept_outputs() {
    let place = Place::new("kept_modes", "mode = 'read'");
    let mut session = place.session();
    let sql = "SELECT COUNT(DISTINCT ml.apparel(photo)) FROM products WHERE id <= 10";
    for mode in ["NULL", "'read'", "'off'", "'OFF'"] {
        session.run(&format!("SET @ml_cache = {mode}"));
        assert_eq!(place.rows(&mut session, sql).1, 10, "{mode} keeps none");
    }
    session.run("SET @ml_cache = 'on'");
    eventually("outputs are kept", || {
        (place.rows(&mut session, sql).1 == 0).then_some(())
    });
    for (mode, inferred) in [("NULL", 0), ("'read'", 0), ("'off'", 10), ("'on'", 0)] {
        session.run(&format!("SET @ml_cache = {mode}"));
        assert_eq!(place.rows(&mut session, sql).1, inferred, "{mode}");
    }
    for wrong in ["'yes'", "1", "x'ff'"] {
        session.run(&format!("SET @ml_cache = {wrong}"));
        let error = session.error(&place.sql(sql));
        assert_eq!(error.code, 1231, "{wrong}: {error:?}");
    }
}
