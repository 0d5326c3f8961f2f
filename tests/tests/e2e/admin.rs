//! What operators see and do: metrics and health over HTTP,
//! and the admin endpoint through the stock client.

use predictsql_proxy::metrics;
use predictsql_proxy::wire::command;
use predictsql_tests::{Proxy, Settings, Store, Wire, apparel, eventually};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};

pub const PASSWORD: &str = "it's \\ more $ecret";

fn with_admin(schema: &str) -> Settings {
    Settings {
        schema: schema.to_owned(),
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    }
}

/// Status and body of `GET path`.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The value of a series of /metrics: its name, with its labels in braces if it has any.
pub fn metric(proxy: &Proxy, series: &str) -> f64 {
    let (status, text) = get(proxy.http(), "/metrics");
    assert_eq!(status, 200);
    let found = metrics::samples(&text).find_map(|(name, labels, value)| {
        let shown = if labels.is_empty() {
            name.to_owned()
        } else {
            format!("{name}{{{labels}}}")
        };
        (shown == series).then(|| value.parse().unwrap())
    });
    found.unwrap_or_else(|| panic!("no {series} in {text}"))
}

/// Runs the stock client against the admin endpoint.
fn admin_as(proxy: &Proxy, user: &str, password: &str, sql: &str) -> Output {
    let address = proxy.admin();
    Command::new("mariadb")
        .args(["--no-defaults", "--batch", "--skip-column-names", "--raw"])
        .arg(format!("--host={}", address.ip()))
        .arg(format!("--port={}", address.port()))
        .arg(format!("--user={user}"))
        .args(["--execute", sql])
        .env("MYSQL_PWD", password)
        .output()
        .unwrap()
}

/// The rows that the admin endpoint answers.
#[track_caller]
pub fn admin(proxy: &Proxy, sql: &str) -> Vec<Vec<String>> {
    let output = admin_as(proxy, "admin", PASSWORD, sql);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {error}");
    let rows = String::from_utf8(output.stdout).unwrap();
    let cells = |row: &str| row.split('\t').map(str::to_owned).collect();
    rows.lines().map(cells).collect()
}

#[track_caller]
fn admin_error(proxy: &Proxy, sql: &str) -> String {
    let output = admin_as(proxy, "admin", PASSWORD, sql);
    assert!(!output.status.success(), "{sql} is not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The row of `SHOW SESSIONS` about a session.
fn session_row(proxy: &Proxy, session: &Wire) -> Option<Vec<String>> {
    let id = session.connection_id().to_string();
    let rows = admin(proxy, "SHOW SESSIONS");
    rows.into_iter().find(|row| row[0] == id)
}

#[test]
fn counters_move_with_what_clients_do() {
    let proxy = Proxy::start(Store::shared(), &with_admin("counted"));
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| name == "apparel_nano");
    apparel::create_shop(&mut session, "counted_shop");
    assert_eq!(metric(&proxy, "predictsql_sessions"), 1.0);
    let before = |series| metric(&proxy, series);
    let forwarded = before("predictsql_commands_forwarded_total");
    let sent = before("predictsql_rows_sent_total");
    let images = before("predictsql_images_inferred_total");
    let ok = before("predictsql_lane_commands_total{outcome=\"ok\"}");
    // CREATE MODEL runs the model, so it is one, too.
    let timed = before("predictsql_statement_seconds_count");

    session.run("SELECT 1");
    session.run("DO 2");
    let sql =
        "SELECT id, counted.predict('apparel', photo) FROM counted_shop.products WHERE id <= 40";
    assert_eq!(session.rows(sql).len(), 40);
    session.error("SELECT counted.predict('no_such_task', 'x.png')");
    let missing = "SELECT counted.predict('apparel', 'no/such.png')";
    assert_eq!(session.value(missing), None);

    // Some are counted at the end of a command, which its client may know before.
    let moved = |series, by: f64, from: f64| {
        eventually(&format!("{series} grows by {by}"), || {
            (before(series) - from == by).then_some(())
        });
    };
    moved("predictsql_commands_forwarded_total", 2.0, forwarded);
    moved("predictsql_rows_sent_total", 41.0, sent);
    moved("predictsql_images_inferred_total", 40.0, images);
    moved("predictsql_lane_commands_total{outcome=\"ok\"}", 2.0, ok);
    moved("predictsql_images_unreadable_total", 1.0, 0.0);
    moved(
        "predictsql_lane_commands_total{outcome=\"unknown_name\"}",
        1.0,
        0.0,
    );
    moved("predictsql_statement_seconds_count", 2.0, timed);
    assert!(before("predictsql_catalog_epoch") > 0.0);

    // Over SQL the same numbers.
    let rows = admin(&proxy, "SHOW METRICS");
    let count = rows
        .iter()
        .find(|row| row[0] == "predictsql_rows_sent_total");
    assert_eq!(count.unwrap()[2], "41");
    drop(session);
    eventually("the session is gone", || {
        (before("predictsql_sessions") == 0.0).then_some(())
    });
}

#[test]
fn health_follows_the_store_and_the_stop() {
    let store = Store::own();
    let settings = Settings {
        top: "stop_seconds_max = 1000".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(&store, &settings);
    let http = proxy.http();
    assert_eq!(get(http, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(http, "/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(get(http, "/nothing").0, 404);

    store.kill();
    let reason = eventually("the proxy is not ready", || {
        let (status, reason) = get(http, "/readyz");
        (status == 503).then_some(reason)
    });
    assert!(reason.contains(&store.url()), "{reason}");
    assert_eq!(get(http, "/healthz").0, 200);
    assert!(Wire::login(proxy.address(), "root", "", None).is_err());
    assert_eq!(
        metric(&proxy, "predictsql_store_connect_failures_total"),
        1.0
    );

    store.restart();
    eventually("the proxy is ready again", || {
        (get(http, "/readyz").0 == 200).then_some(())
    });
    // A transaction holds the stop up.
    let mut session = proxy.root();
    session.run("BEGIN");
    proxy.signal(Signal::TERM);
    let reason = eventually("the proxy says that it stops", || {
        let (status, reason) = get(http, "/readyz");
        (status == 503).then_some(reason)
    });
    assert!(reason.contains("stopping"), "{reason}");
    session.run("COMMIT");
    assert!(proxy.wait().success());
}

#[test]
fn without_a_service_account_the_clients_connections_tell() {
    let store = Store::own();
    let settings = Settings {
        service_account: false,
        ..Settings::default()
    };
    let proxy = Proxy::start(&store, &settings);
    assert_eq!(get(proxy.http(), "/readyz").0, 200);
    store.kill();
    assert!(Wire::login(proxy.address(), "root", "", None).is_err());
    eventually("the proxy is not ready", || {
        (get(proxy.http(), "/readyz").0 == 503).then_some(())
    });
    store.restart();
    eventually("the proxy is ready again", || {
        (get(proxy.http(), "/readyz").0 == 200).then_some(())
    });
}

#[test]
fn a_request_that_does_not_end_is_refused() {
    let http = Proxy::shared().http();
    let mut stream = TcpStream::connect(http).unwrap();
    let line = [b'x'; 64 << 10];
    // The endpoint may close before all is written.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nx: ");
    let _ = stream.write_all(&line);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[test]
fn only_the_admin_with_the_password_is_let_in() {
    let proxy = Proxy::start(Store::shared(), &with_admin("ml"));
    for (user, password) in [
        ("admin", "wrong"),
        ("admin", ""),
        ("root", PASSWORD),
        ("root", ""),
    ] {
        let output = admin_as(&proxy, user, password, "SHOW SESSIONS");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(error.contains("(28000)"), "{error}");
    }
    assert!(admin(&proxy, "SHOW SESSIONS").is_empty());
    assert!(proxy.log().contains("refused a login"));
    assert!(!proxy.log().contains(PASSWORD));
}

#[test]
fn the_stock_client_sees_sessions_settings_and_what_is_understood() {
    let proxy = Proxy::start(Store::shared(), &with_admin("ml"));
    let mut session = Wire::login(proxy.address(), "root", "", Some("mysql")).unwrap();
    session.run("SELECT 1");
    session.run("BEGIN");
    let row = eventually("the session waits", || {
        session_row(&proxy, &session).filter(|row| row[4] != "forwarding")
    });
    assert_eq!((&*row[1], &*row[3]), ("root", "mysql"));
    assert_eq!((&*row[4], &*row[6]), ("in transaction", "2"));
    assert!(row[2].starts_with("127.0.0.1:"), "{row:?}");

    let config = admin(&proxy, "SHOW CONFIG");
    let setting = |name: &str| {
        let found = config.iter().find(|row| row[0] == name);
        found.map(|row| row[1].clone()).unwrap()
    };
    assert_eq!(setting("admin.password"), "(set)");
    assert_eq!(setting("service.password"), "(set)");
    assert_eq!(setting("schema"), "ml");
    assert!(!format!("{config:?}").contains("ecret"));

    assert_eq!(
        admin(&proxy, "select @@version_comment limit 1")[0][0],
        "PredictSQL admin endpoint"
    );
    assert!(admin(&proxy, "SET NAMES utf8mb4").is_empty());
    let error = admin_error(&proxy, "SELECT * FROM mysql.user");
    assert!(
        error.contains("1064") && error.contains("KILL SESSION n"),
        "{error}"
    );
    assert!(admin_error(&proxy, "KILL SESSION 4000000000").contains("1094"));
}

#[test]
fn kill_ends_a_session_in_the_middle_of_a_predict_statement() {
    let store = Store::shared();
    let proxy = Proxy::start(store, &with_admin("killed"));
    let mut other = proxy.root();
    apparel::create_zoo(&mut other, |name| name == "apparel_nano");
    apparel::create_shop(&mut other, "killed_shop");
    let mut root = store.root();
    root.run("CREATE USER IF NOT EXISTS killed@'127.0.0.1'");
    root.run("GRANT SELECT, EXECUTE ON *.* TO killed@'127.0.0.1'");

    let mut session = Wire::login(proxy.address(), "killed", "", None).unwrap();
    // Far more than the sockets on the way hold, and the client does not read it.
    let sql = "SELECT REPEAT('x', 60000), killed.predict('apparel', photo) \
               FROM killed_shop.products, mysql.help_topic WHERE photo <> 'a secret'";
    session
        .send(&[&[command::QUERY], sql.as_bytes()].concat())
        .unwrap();
    let id = session.connection_id().to_string();
    let row = eventually("rows are sent", || {
        let rows = admin(&proxy, "SHOW QUERIES");
        let row = rows.into_iter().find(|row| row[0] == id)?;
        (row[3] != "0").then_some(row)
    });
    let text = row.last().unwrap();
    assert!(text.contains("killed.predict(?, photo)"), "{row:?}");
    assert!(
        !text.contains("secret") && !text.contains("60000"),
        "{row:?}"
    );
    assert_eq!(session_row(&proxy, &session).unwrap()[4], "predicting");
    assert_eq!(metric(&proxy, "predictsql_statements_running"), 1.0);

    admin(&proxy, &format!("KILL SESSION {id}"));
    eventually("the session is gone", || {
        session_row(&proxy, &session).is_none().then_some(())
    });
    eventually("the store's session ends", || {
        (store.sessions_of(&mut root, "killed") == 0).then_some(())
    });
    // What is on its way may be read, and then the connection ends.
    while session.read_packet().is_ok() {}
    assert_eq!(metric(&proxy, "predictsql_sessions_killed_total"), 1.0);
    eventually("its statement is gone", || {
        (metric(&proxy, "predictsql_statements_running") == 0.0).then_some(())
    });
    // Others do not notice.
    assert_eq!(other.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn kill_ends_a_session_that_waits_for_the_store() {
    let proxy = Proxy::start(Store::shared(), &with_admin("ml"));
    let mut session = proxy.root();
    session
        .send(&[&[command::QUERY], &b"SELECT SLEEP(1000)"[..]].concat())
        .unwrap();
    eventually("the store works", || {
        session_row(&proxy, &session).filter(|row| row[4] == "forwarding")
    });
    admin(&proxy, &format!("KILL SESSION {}", session.connection_id()));
    let packets = session.read_answer(command::PING).unwrap();
    assert_eq!(packets[0].payload[..3], [0xff, 0x87, 0x07], "1927");
    assert!(session.read_packet().is_err(), "the connection is closed");
}

/// Starts a statement that infers for minutes after the store has sent its last row, and waits for
/// that: each row is an input of its own.
fn start_long_inference(proxy: &Proxy, store: &Store, schema: &str, user: &str) -> Wire {
    let mut root = store.root();
    root.run(&format!("CREATE USER IF NOT EXISTS {user}@'127.0.0.1'"));
    root.run(&format!(
        "GRANT SELECT, EXECUTE ON *.* TO {user}@'127.0.0.1'"
    ));
    let mut session = Wire::login(proxy.address(), user, "", None).unwrap();
    session.run("SET @ml_cache = 'off'");
    let sql = format!(
        "SELECT id FROM {schema}_shop.products, seq_1_to_300 \
         WHERE {schema}.predict('apparel', CONCAT(REPEAT('./', seq), photo)) = 'Bag'"
    );
    let mut other = proxy.root();
    other.run(&format!("USE {schema}_shop"));
    session.run(&format!("USE {schema}_shop"));
    session
        .send(&[&[command::QUERY], sql.as_bytes()].concat())
        .unwrap();
    let rows = (300 * apparel::PHOTOS).to_string();
    let id = session.connection_id().to_string();
    eventually("the store has sent all", || {
        let queries = admin(proxy, "SHOW QUERIES");
        queries
            .into_iter()
            .find(|row| row[0] == id && row[2] == rows)
    });
    session
}

#[test]
fn kill_query_through_the_proxy_ends_inference_and_leaves_the_session() {
    let store = Store::shared();
    let proxy = Proxy::start(store, &with_admin("interrupted"));
    let mut other = proxy.root();
    apparel::create_zoo(&mut other, |name| name == "apparel_large");
    apparel::create_shop(&mut other, "interrupted_shop");
    let mut session = start_long_inference(&proxy, store, "interrupted", "patient");
    let id = session.connection_id();

    // The store says who may.
    let mut root = store.root();
    root.run("CREATE USER IF NOT EXISTS stranger@'127.0.0.1'");
    let mut stranger = Wire::login(proxy.address(), "stranger", "", None).unwrap();
    assert_eq!(stranger.error(&format!("KILL QUERY {id}")).code, 1095);
    assert_eq!(metric(&proxy, "predictsql_statements_running"), 1.0);
    eventually("the executor is at it", || {
        (metric(&proxy, "predictsql_executor_chunks_in_flight") > 0.0).then_some(())
    });

    other.run(&format!("KILL QUERY {id}"));
    let packets = session.read_answer(command::QUERY).unwrap();
    let last = &packets.last().unwrap().payload;
    assert_eq!(last[..3], [0xff, 0x25, 0x05], "1317");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    assert_eq!(metric(&proxy, "predictsql_statements_running"), 0.0);
    let outcome = "predictsql_lane_commands_total{outcome=\"interrupted\"}";
    assert_eq!(metric(&proxy, outcome), 1.0);
    // One without a predict statement is the store's alone, and unknown ones are its errors.
    other.run(&format!("KILL QUERY {id}"));
    assert_eq!(session.value("SELECT 2").as_deref(), Some("2"));
    assert_eq!(other.error("KILL 4000000000").code, 1094);

    // KILL without QUERY ends the session too.
    drop(session);
    let mut session = start_long_inference(&proxy, store, "interrupted", "patient");
    other.run(&format!("KILL {}", session.connection_id()));
    while session.read_packet().is_ok() {}
    eventually("the session is gone", || {
        session_row(&proxy, &session).is_none().then_some(())
    });
}
