//! `max_statement_time` and `@ml_max_seconds` end the statements that change the catalog, in each
//! of their phases, and what has not come to its end has changed nothing.

use std::fmt::Write as _;

use predictsql_proxy::wire::command;
use predictsql_tests::process::checkout;
use predictsql_tests::{Wire, eventually};
use sha2::{Digest, Sha256};

use super::trials::await_trials;
use super::{catalog, create, proxy};

/// Says that a statement ends for the time that it takes, by either limit, and changes nothing.
#[track_caller]
fn ends_in_time(session: &mut Wire, schema: &str, statement: &str) {
    let before = catalog(session, schema);
    session.run("SET max_statement_time = 1");
    let error = session.error(statement);
    assert_eq!((error.code, &*error.sqlstate), (1969, "70100"), "{error:?}");
    session.run("SET max_statement_time = 0");
    let headed = format!("SET STATEMENT max_statement_time = 1 FOR {statement}");
    assert_eq!(session.error(&headed).code, 1969);
    session.run("SET @ml_max_seconds = 1");
    let error = session.error(statement);
    assert_eq!((error.code, &*error.sqlstate), (3024, "HY000"), "{error:?}");
    session.run("SET @ml_max_seconds = NULL");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    assert_eq!(catalog(session, schema), before);
}

#[test]
fn create_model_ends_in_time() {
    let proxy = proxy("time_create", "");
    let mut session = proxy.root();
    for file in ["nested_functions", "endless"] {
        ends_in_time(&mut session, "time_create", &create(file));
        await_trials(&proxy, 0);
    }
    // Prepared over the protocol, too.
    let text = create("nested_functions");
    let prepare = [&[command::STMT_PREPARE], text.as_bytes()].concat();
    let prepared = session.command(&prepare).unwrap();
    let id = &prepared[0].payload[1..5];
    let execute = [&[command::STMT_EXECUTE], id, &[0, 1, 0, 0, 0]].concat();
    session.run("SET max_statement_time = 1");
    let packets = session.command(&execute).unwrap();
    assert_eq!(packets[0].payload[..3], [0xff, 0xb1, 0x07], "1969");
    session.run("SET max_statement_time = 0");
    // What is wrong in the head is the store's to say, and what is right is heeded.
    let headed =
        |head: &str, statement: &str| format!("/* a */ SET STATEMENT {head} FOR {statement}");
    let unknown = session.error(&headed("no_such_variable = 1", "DROP MODEL colour"));
    assert_eq!(unknown.code, 1193, "{unknown:?}");
    session.run(&headed("max_statement_time = 3600", &create("colour_nchw")));
    // What only looks like a catalog statement is the store's.
    let looks = headed("max_statement_time = 3600", "SELECT 'FOR CREATE MODEL x'");
    let text = Some("FOR CREATE MODEL x".to_owned());
    assert_eq!(session.value(&looks), text);
    let shown = session.rows(&headed("max_statement_time = 3600", "SHOW MODELS"));
    assert_eq!(shown.len(), 1);
    session.run(&headed(
        "max_statement_time = 3600",
        "DROP MODEL colour_nchw",
    ));
}

/// A white image of 8 x 8 pixels, as a literal of SQL.
fn white() -> String {
    let mut bmp =
        b"BM\xf6\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x08\0\0\0\x08\0\0\0\x01\0\x18\0".to_vec();
    bmp.extend([0; 24]);
    bmp.extend([255; 192]);
    let mut literal = "X'".to_owned();
    for byte in bmp {
        write!(literal, "{byte:02x}").unwrap();
    }
    literal + "'"
}

#[test]
fn evaluate_ends_in_time_in_each_phase() {
    let proxy = proxy("time_eval", "");
    let mut session = proxy.root();
    session.run(&create("endless_for_white"));
    session.run("CREATE DATABASE time_eval_rows");
    session.run("CREATE TABLE time_eval_rows.rows (image BLOB, label VARCHAR(9))");
    session.run(&format!(
        "INSERT INTO time_eval_rows.rows VALUES ({}, 'red')",
        white()
    ));
    let evaluate = |condition: &str| {
        format!(
            "EVALUATE TASK colours ON (SELECT image, label FROM time_eval_rows.rows WHERE {condition})"
        )
    };
    // The query.
    ends_in_time(&mut session, "time_eval", &evaluate("SLEEP(86400) = 0"));
    // Inference.
    ends_in_time(&mut session, "time_eval", &evaluate("TRUE"));
    ends_in_time(
        &mut session,
        "time_eval",
        &evaluate("TRUE").replace("TASK colours", "MODEL endless_for_white"),
    );
    // Loading: of a model that was written to the catalog by somebody who has not tried it.
    let file = std::fs::read(checkout().join("executor/tests/models/endless.onnx")).unwrap();
    let sha256: String = Sha256::digest(&file)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
    session.run(&format!(
        "UPDATE time_eval.models SET uri = 'endless.onnx', sha256 = '{sha256}'"
    ));
    session.run("UPDATE time_eval.meta SET epoch = epoch + 1");
    ends_in_time(&mut session, "time_eval", &evaluate("TRUE"));
    // As KILL does.
    let mut other = proxy.root();
    let query = [&[command::QUERY], evaluate("TRUE").as_bytes()].concat();
    let before = catalog(&mut other, "time_eval");
    session.send(&query).unwrap();
    eventually("it loads", || {
        (proxy.metric("predictsql_statements_running") > 0).then_some(())
    });
    other.run(&format!("KILL QUERY {}", session.connection_id()));
    let packets = session.read_answer(command::QUERY).unwrap();
    assert_eq!(packets[0].payload[..3], [0xff, 0x25, 0x05], "1317");
    assert_eq!(catalog(&mut other, "time_eval"), before);
}

#[test]
fn changes_of_the_catalog_wait_for_others_no_longer_than_they_may() {
    let proxy = proxy("time_locks", "");
    let (mut session, mut other) = (proxy.root(), proxy.root());
    session.run(&create("colour_nchw"));
    other.run("BEGIN");
    other.run("SELECT * FROM time_locks.meta FOR UPDATE");
    other.run("SELECT * FROM time_locks.models FOR UPDATE");
    other.run("SELECT * FROM time_locks.tasks FOR UPDATE");
    for statement in [
        "ALTER TASK colours SET accuracy_slack_points = 2",
        "ALTER MODEL colour_nchw SET accuracy = 0.5",
        "DROP MODEL colour_nchw",
    ] {
        ends_in_time(&mut session, "time_locks", statement);
    }
    other.run("COMMIT");
    session.run("DROP MODEL colour_nchw");
    session.run("DROP TASK colours");
}
