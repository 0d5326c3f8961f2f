//! Models run by workers: answers are those of the proxy's own process, whatever becomes of
//! workers meanwhile.

mod device;
mod external;
mod foreign;
mod lost;
mod secured;
mod seen;

use predictsql_tests::apparel::{self, PHOTOS};
use predictsql_tests::{Proxy, Settings, Store, Wire, Worker, WorkerSettings, workers_table};

use crate::differential::flowers;

/// A proxy whose models these workers run.
fn proxy_of(schema: &str, workers: &[Worker], more: &str) -> Proxy {
    let settings = Settings {
        schema: schema.to_owned(),
        tables: format!("{}{more}", workers_table(workers)),
        model_roots: vec![apparel::model_root(), flowers::model_root()],
        ..Settings::default()
    };
    Proxy::start(Store::shared(), &settings)
}

/// Workers without roots: files of models and images are sent to them.
fn workers(count: usize) -> Vec<Worker> {
    let settings = WorkerSettings::default();
    (0..count).map(|_| Worker::start(&settings)).collect()
}

/// The same question in another schema.
fn in_schema(sql: &str, schema: &str) -> String {
    sql.replace("ml.", &format!("{schema}."))
}

/// The rows and warnings of a statement, or its error.
fn answered(session: &mut Wire, sql: &str) -> String {
    match session.query(sql) {
        Ok(answers) => {
            let warnings = session.rows("SHOW WARNINGS");
            format!("{answers:?} {warnings:?}")
        }
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn answers_of_workers_are_those_of_the_own_process() {
    let workers = workers(2);
    let remote = proxy_of("workers_there", &workers, "");
    let settings = Settings {
        schema: "workers_here".to_owned(),
        model_roots: vec![apparel::model_root(), flowers::model_root()],
        ..Settings::default()
    };
    let own = Proxy::start(Store::shared(), &settings);
    let mut sessions = [
        (own.root(), "workers_here"),
        (remote.root(), "workers_there"),
    ];
    apparel::create_shop(&mut sessions[0].0, "workers_shop");
    flowers::create_table(&mut sessions[0].0, "workers_shop");
    for (session, _) in &mut sessions {
        apparel::create_zoo(session, |_| true);
        flowers::create_models(session);
        session.run("USE workers_shop");
    }
    let each = apparel::zoo().iter().map(|model| {
        let name = &model.name;
        let class = &model.covers[0];
        format!(
            "SELECT id, ml.predict('{name}', photo), ml.predict_proba('{name}', '{class}', photo) \
             FROM products ORDER BY id"
        )
    });
    let statements = [
        "SELECT id, ml.apparel(photo) FROM products ORDER BY id",
        "SELECT ml.apparel(photo) k, COUNT(*), SUM(stock) FROM products GROUP BY k ORDER BY k",
        "SELECT COUNT(*) FROM products WHERE ml.apparel(photo) = 'Bag' AND stock < 20",
        "SELECT id, ml.apparel(photo) FROM product_blobs ORDER BY id",
        "SELECT ml.apparel('photos/none.png'), ml.apparel(NULL), ml.apparel(x'00'), ml.apparel('')",
        "SELECT /*+ ML(strategy = all) */ id, ml.apparel(photo) FROM products ORDER BY id",
        "SELECT /*+ ML(strategy = best_per_class) */ id, ml.apparel(photo) FROM products ORDER BY id",
        "SELECT id, ml.iris(sl, sw, pl, pw), ml.predict_proba('iris', 'setosa', sl, sw, pl, pw) FROM f ORDER BY id",
        "SELECT id, ml.width(sl, sw, pl), ml.goods(colour, sl, pl, pieces), ml.total(sl, pieces) FROM f ORDER BY id",
        "SELECT id, ml.logarithm(pw - 1) FROM f ORDER BY id",
        "SELECT id FROM f WHERE ml.iris(sl, sw, pl, pw) = 'virginica' ORDER BY ml.width(sl, sw, pl), id",
    ];
    for sql in statements.into_iter().map(str::to_owned).chain(each) {
        // Without kept outputs, then with those that were kept meanwhile.
        for cache in ["off", "on", "on"] {
            let [expected, found] = sessions.each_mut().map(|(session, schema)| {
                session.run(&format!("SET @ml_cache = '{cache}'"));
                answered(session, &in_schema(&sql, schema))
            });
            assert_eq!(
                expected.replace("workers_here", "workers_there"),
                found,
                "{sql}"
            );
            assert!(!found.starts_with("SqlError"), "{sql}: {found}");
        }
    }
    assert!(remote.images_inferred() > PHOTOS as u64);
    for worker in &workers {
        let ran = worker.metric("nv_inference_count");
        assert!(ran > 0, "a worker has run nothing");
    }
}

#[test]
fn files_are_sent_once_and_models_are_unloaded_when_they_are_dropped() {
    let workers = workers(1);
    let proxy = proxy_of("workers_files", &workers, "");
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| name == "apparel_nano");
    apparel::create_shop(&mut session, "workers_files_shop");
    let count = "SELECT COUNT(*) FROM workers_files_shop.products \
                 WHERE workers_files.apparel(photo) = 'Bag'";
    let before = session.value(count);
    // Another process at the same address has neither the model nor its file.
    workers[0].signal(rustix::process::Signal::KILL);
    workers[0].wait();
    workers[0].restart();
    session.run("SET @ml_cache = 'off'");
    assert_eq!(session.value(count), before);
    assert_eq!(workers[0].metric("predictsql_worker_models_loaded"), 1);
    session.run("DROP MODEL apparel_nano");
    session.run("DROP TASK apparel");
    predictsql_tests::eventually("the model is unloaded", || {
        (workers[0].metric("predictsql_worker_models_loaded") == 0).then_some(())
    });
}

#[test]
fn images_that_wait_for_workers_do_not_wait_for_each_other() {
    let workers = workers(1);
    let settings = Settings {
        schema: "workers_ahead".to_owned(),
        tables: workers_table(&workers),
        // There is no room for a second image while one is under way.
        executor: "fetched_bytes_max = 1".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| name == "apparel_nano");
    apparel::create_shop(&mut session, "workers_ahead_shop");
    let sql = "SELECT COUNT(workers_ahead.apparel(photo)) FROM workers_ahead_shop.products";
    assert_eq!(session.value(sql), Some(PHOTOS.to_string()));
}

#[test]
fn models_that_cannot_run_are_told_by_the_worker_as_by_the_own_process() {
    let workers = workers(1);
    let models = predictsql_tests::process::checkout().join("executor/tests/models");
    let settings = |schema: &str, tables: String| Settings {
        schema: schema.to_owned(),
        tables,
        model_roots: vec![models.clone()],
        ..Settings::default()
    };
    let tables = workers_table(&workers);
    let remote = Proxy::start(Store::shared(), &settings("workers_bad_there", tables));
    let own = Proxy::start(
        Store::shared(),
        &settings("workers_bad_here", String::new()),
    );
    let mut sessions = [own.root(), remote.root()];
    for session in &mut sessions {
        session.run("CREATE TASK colour CLASSES ('red', 'green', 'blue')");
    }
    let mut files: Vec<String> = std::fs::read_dir(&models)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".onnx") && !name.contains("endless"))
        .collect();
    files.sort();
    files.push("missing.onnx".to_owned());
    for file in files {
        let name = file.replace(".onnx", "");
        let sql = format!(
            "CREATE MODEL {name} FOR TASK colour FROM '{file}' OPTIONS (size = '8x8', \
             labels = ('red', 'green', 'blue'), output = 'logits')"
        );
        let [expected, found] = sessions.each_mut().map(|session| answered(session, &sql));
        assert_eq!(expected, found, "{sql}");
    }
}
