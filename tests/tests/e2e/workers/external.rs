//! Models at external servers: a worker that is used as any server of the Open Inference Protocol.

use predictsql_catalog::Model;
use predictsql_tests::{
    Proxy, Settings, Store, Wire, Worker, WorkerSettings, apparel, eventually, workers_table,
};
use rustix::process::Signal;

use super::answered;
use crate::differential::flowers;

/// An error of the proxy that has no number of its own.
const OTHER: u16 = 1105;

/// A worker with models that a proxy has loaded there, and that proxy.
struct Served {
    worker: Worker,
    session: Wire,
    schema: String,
    _proxy: Proxy,
}

impl Served {
    /// Creates the catalog of `schema` and the table `schema_shop.products`.
    fn start(schema: &str) -> Self {
        let worker = Worker::start(&WorkerSettings::default());
        let settings = Settings {
            schema: schema.to_owned(),
            tables: workers_table(std::slice::from_ref(&worker)),
            model_roots: vec![apparel::model_root(), flowers::model_root()],
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        let mut session = proxy.root();
        apparel::create_shop(&mut session, &format!("{schema}_shop"));
        Self {
            worker,
            session,
            schema: schema.to_owned(),
            _proxy: proxy,
        }
    }

    /// The URI of a model of this catalog at the worker, under the name that the proxy gave it.
    fn uri(&mut self, model: &str) -> String {
        let columns = "id, name, version, task, uri, sha256, bytes, covers, options";
        let row = self.session.rows(&format!(
            "SELECT {columns} FROM {}.models WHERE name = '{model}'",
            self.schema
        ));
        let row: Vec<String> = row[0].iter().flatten().cloned().collect();
        let model = Model {
            id: row[0].parse().unwrap(),
            name: row[1].clone(),
            version: row[2].clone(),
            task: row[3].clone(),
            uri: row[4].clone(),
            sha256: row[5].clone(),
            bytes: row[6].parse().unwrap(),
            covers: serde_json::from_str(&row[7]).unwrap(),
            options: serde_json::from_str(&row[8]).unwrap(),
            seconds_per_image: None,
        };
        let hex: String = model
            .output_id()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        format!("external-oip://{}/{hex}", self.worker.address())
    }

    /// A proxy of the schema `{schema}_ext` that may use the worker as an external server.
    fn beside(&self, executor: &str) -> (Proxy, Wire, String) {
        let schema = format!("{}_ext", self.schema);
        let address = self.worker.address().to_string();
        let settings = Settings {
            schema: schema.clone(),
            executor: format!("external_oip_hosts = [{address:?}]\n{executor}\n"),
            // It needs no file of any model.
            model_roots: Vec::new(),
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        let session = proxy.root();
        (proxy, session, schema)
    }
}

/// The statement that creates a model of the zoo at its server, whose outputs are probabilities.
fn statement_at(model: &apparel::ZooModel, uri: &str) -> String {
    let file = format!("'{}'", model.file.file_name().unwrap().to_string_lossy());
    let statement = model.statement().replace(&file, &format!("'{uri}'"));
    statement.replace("output = 'logits'", "output = 'softmax'")
}

#[test]
fn answers_of_an_external_server_are_those_of_the_model_bit_for_bit() {
    let mut served = Served::start("external_same");
    let names = ["apparel_nano", "footwear_nano", "bag_tiny_other"];
    apparel::create_zoo(&mut served.session, |name| names.contains(&name));
    flowers::create_models(&mut served.session);
    flowers::create_table(&mut served.session, "external_same_shop");
    let questions = |schema: &str| {
        let of_model = |name: &&str| {
            let class = apparel::zoo().iter().find(|m| m.name == **name);
            let class = &class.unwrap().covers[0];
            format!(
                "SELECT id, {schema}.predict('{name}', photo), \
                 {schema}.predict_proba('{name}', '{class}', photo) \
                 FROM external_same_shop.products ORDER BY id"
            )
        };
        let mut questions: Vec<String> = names.iter().map(of_model).collect();
        questions.push(format!(
            "SELECT id, {schema}.width(sl, sw, pl) FROM external_same_shop.f ORDER BY id"
        ));
        questions.push(format!(
            "SELECT {schema}.predict('apparel_nano', photo) k, COUNT(*) \
             FROM external_same_shop.products GROUP BY k ORDER BY k"
        ));
        questions.push(format!(
            "SELECT {schema}.predict('apparel_nano', x'00'), {schema}.predict('apparel_nano', NULL)"
        ));
        questions
    };
    let expected: Vec<String> = questions("external_same")
        .iter()
        .map(|sql| answered(&mut served.session, sql))
        .collect();
    assert!(
        expected
            .iter()
            .all(|answer| !answer.starts_with("SqlError"))
    );

    let (proxy, mut session, schema) = served.beside("");
    session.run(&apparel::create_task());
    for model in apparel::zoo().iter().filter(|m| names.contains(&&*m.name)) {
        session.run(&statement_at(model, &served.uri(&model.name)));
    }
    session.run("CREATE TASK width KIND REGRESSION INPUT (sepal_length DOUBLE, sepal_width DOUBLE, petal_length DOUBLE)");
    let uri = served.uri("width_tree");
    session.run(&format!(
        "CREATE MODEL width_tree FOR TASK width FROM '{uri}'"
    ));
    for cache in ["off", "on", "on"] {
        session.run(&format!("SET @ml_cache = '{cache}'"));
        for (sql, expected) in questions(&schema).iter().zip(&expected) {
            let found = answered(&mut session, sql);
            assert_eq!(found.replace(&schema, "external_same"), *expected, "{sql}");
        }
    }
    assert!(proxy.images_inferred() > 3 * apparel::PHOTOS as u64);
    // Its cost is measured like that of a file.
    session.run("CREATE DATABASE external_same_labelled");
    session.run("USE external_same_labelled");
    apparel::create_labelled(&mut session);
    session.run("EVALUATE MODEL apparel_nano ON (SELECT photo, label FROM labelled LIMIT 300)");
    let costs = session.value(&format!("SELECT costs FROM {schema}.votes"));
    assert!(
        costs
            .as_ref()
            .is_some_and(|costs| costs.contains("\"cpu\"")),
        "{costs:?}"
    );
}

#[test]
fn a_server_that_the_operator_does_not_name_is_not_connected_to() {
    let proxy = Proxy::start(
        Store::shared(),
        &Settings {
            schema: "external_refused".to_owned(),
            executor: "external_oip_hosts = [\"127.0.0.1:1\"]\n".to_owned(),
            ..Settings::default()
        },
    );
    let mut session = proxy.root();
    session.run("CREATE TASK colour CLASSES ('red', 'green')");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut create = |uri: &str| {
        let sql = format!("CREATE MODEL m FOR TASK colour FROM '{uri}' OPTIONS (size = 8)");
        let error = session.error(&sql);
        (error.code, error.message)
    };
    let (code, message) = create(&format!("external-oip://{address}/m"));
    assert_eq!(code, 1290, "{message}");
    assert!(message.contains("external_oip_hosts"), "{message}");
    let nobody = listener.accept().map(|_| ());
    assert_eq!(nobody.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    for wrong in [
        "external-oip://127.0.0.1:1",
        "external-oip://127.0.0.1:1/m/",
    ] {
        let (code, message) = create(wrong);
        assert_eq!(code, 1525, "{message}");
        assert!(message.contains("HOST:PORT/MODEL"), "{message}");
    }
    // It is allowed, but there is none.
    let (code, message) = create("external-oip://127.0.0.1:1/m");
    assert_eq!(code, OTHER, "{message}");
    assert!(message.contains("127.0.0.1:1 does not answer"), "{message}");
}

#[test]
fn a_server_that_hangs_or_ends_is_told_and_a_kill_ends_the_wait() {
    let mut served = Served::start("external_gone");
    apparel::create_zoo(&mut served.session, |name| name == "apparel_nano");
    let count = |schema: &str| {
        format!(
            "SELECT COUNT(*) FROM external_gone_shop.products \
             WHERE {schema}.predict('apparel_nano', photo) = 'Bag'"
        )
    };
    let expected = served.session.value(&count("external_gone"));
    let uri = served.uri("apparel_nano");
    let model = &apparel::zoo()[0];
    let (patient, mut session, schema) = served.beside("external_oip_request_seconds_max = 500");
    session.run(&apparel::create_task());
    session.run(&statement_at(model, &uri));
    session.run("SET @ml_cache = 'off'");
    let sql = count(&schema);
    assert_eq!(session.value(&sql), expected);

    // A worker that hangs holds a statement until it is killed.
    served.worker.signal(Signal::STOP);
    let connection = session.connection_id();
    let mut other = patient.root();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| session.error(&sql));
        eventually("the statement runs", || {
            (patient.metric("predictsql_statements_running") > 0).then_some(())
        });
        other.run(&format!("KILL QUERY {connection}"));
        assert_eq!(asking.join().unwrap().code, 1317);
    });
    served.worker.signal(Signal::CONT);
    assert_eq!(session.value(&sql), expected);
    drop(other);

    // A deadline ends it as well.
    let settings = Settings {
        schema: schema.clone(),
        executor: format!(
            "external_oip_hosts = [\"{}\"]\nexternal_oip_request_seconds_max = 1\n",
            served.worker.address()
        ),
        ..Settings::default()
    };
    let hasty = Proxy::start(Store::shared(), &settings);
    let mut session = hasty.root();
    session.run("SET @ml_cache = 'off'");
    served.worker.signal(Signal::STOP);
    let error = session.error(&sql);
    assert_eq!(error.code, OTHER, "{error:?}");
    assert!(
        error.message.contains("external_oip_request_seconds_max"),
        "{error:?}"
    );
    served.worker.signal(Signal::CONT);

    served.worker.signal(Signal::KILL);
    served.worker.wait();
    let error = session.error(&sql);
    assert_eq!(error.code, OTHER, "{error:?}");
    let told = format!("server {} does not answer", served.worker.address());
    assert!(error.message.contains(&told), "{error:?}");
    // Another process at its address does not have the model.
    served.worker.restart();
    let error = session.error(&sql);
    assert!(
        error.message.contains("no such model is loaded") || error.message.contains("ready"),
        "{error:?}"
    );
}
