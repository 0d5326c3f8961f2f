//! Models whose file cannot be tried in any time: the statement that asks for it can be ended.

use predictsql_proxy::wire::command;
use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};

use super::admin::{PASSWORD, admin};

mod deadlines;
mod telemetry;
mod trials;

/// A proxy with a task for the executor's own models, and these tables of settings.
fn proxy(schema: &str, tables: &str) -> Proxy {
    let settings = Settings {
        schema: schema.to_owned(),
        model_roots: vec![checkout().join("executor/tests/models")],
        tables: tables.to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut root = proxy.root();
    root.run("CREATE TASK colours CLASSES ('red', 'green', 'blue')");
    proxy
}

/// Creates the model of a file, under the file's name.
fn create(file: &str) -> String {
    format!("CREATE MODEL {file} FOR TASK colours FROM '{file}.onnx' OPTIONS (size = '8x8')")
}

/// What a statement that came to nothing has left as it was.
fn catalog(session: &mut Wire, schema: &str) -> Vec<Vec<Option<String>>> {
    session.rows(&format!(
        "SELECT (SELECT epoch FROM {schema}.meta), (SELECT COUNT(*) FROM {schema}.models), \
         (SELECT COUNT(*) FROM {schema}.evaluations), (SELECT COUNT(*) FROM {schema}.model_stats)"
    ))
}

/// The first run of this model takes hours.
const ENDLESS: &str =
    "CREATE MODEL endless FOR TASK colours FROM 'endless.onnx' OPTIONS (size = '8x8')";

#[test]
fn create_model_can_be_killed_while_it_tries_the_file() {
    let settings = Settings {
        schema: "loading".to_owned(),
        model_roots: vec![checkout().join("executor/tests/models")],
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut other = proxy.root();
    other.run("CREATE TASK colours CLASSES ('red', 'green', 'blue')");
    let running = |id: u32| {
        let id = id.to_string();
        admin(&proxy, "SHOW QUERIES").iter().any(|row| row[0] == id)
    };
    let query = [&[command::QUERY], ENDLESS.as_bytes()].concat();

    let mut session = proxy.root();
    session.send(&query).unwrap();
    let id = session.connection_id();
    eventually("it runs", || running(id).then_some(()));
    other.run(&format!("KILL QUERY {id}"));
    let packets = session.read_answer(command::QUERY).unwrap();
    assert_eq!(packets[0].payload[..3], [0xff, 0x25, 0x05], "1317");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));

    session.send(&query).unwrap();
    eventually("it runs again", || running(id).then_some(()));
    drop(session);
    eventually("it has gone with its client", || {
        (!running(id)).then_some(())
    });

    // Both have given their turn back.
    other
        .run("CREATE MODEL colour FOR TASK colours FROM 'colour_nchw.onnx' OPTIONS (size = '8x8')");
    assert_eq!(
        other
            .error(ENDLESS.replace("endless.onnx", "none.onnx").as_str())
            .code,
        1017
    );
}
