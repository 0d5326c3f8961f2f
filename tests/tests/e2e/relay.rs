//! The life of sessions: limits, ends, and what is left behind.

use predictsql_proxy::wire::command;
use predictsql_tests::apparel;
use predictsql_tests::wire::{LoginError, SqlError};
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};
use rustix::process::Signal;
use std::io;

/// Far more than the sockets between store and client hold.
const LONG_RESULT: &str = "SELECT REPEAT('x', 60000) FROM seq_1_to_3000";

fn query(sql: &str) -> Vec<u8> {
    [&[command::QUERY], sql.as_bytes()].concat()
}

fn with_top(top: &str) -> Settings {
    Settings {
        top: top.to_owned(),
        ..Settings::default()
    }
}

#[track_caller]
fn refusal(proxy: &Proxy) -> SqlError {
    match Wire::login(proxy.address(), "root", "", None) {
        Err(LoginError::Refused(error)) => error,
        Err(LoginError::Io(error)) => panic!("{error}"),
        Ok(_) => panic!("the client is let in"),
    }
}

#[test]
fn one_client_too_many_is_refused_until_another_leaves() {
    let proxy = Proxy::start(Store::shared(), &with_top("connections_max = 3"));
    let mut sessions: Vec<_> = (0..3).map(|_| proxy.root()).collect();
    let error = refusal(&proxy);
    assert_eq!((error.code, &*error.sqlstate), (1040, "08004"), "{error:?}");
    for session in &mut sessions {
        assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    }
    sessions.pop();
    eventually("a place is free", || {
        Wire::login(proxy.address(), "root", "", None).ok()
    });
}

#[test]
fn without_a_store_clients_are_told_and_later_let_in() {
    let store = Store::own();
    let proxy = Proxy::start(&store, &Settings::default());
    let mut session = proxy.root();
    store.kill();

    let lost = session.command(&[command::PING]);
    assert!(lost.is_err() || lost.is_ok_and(|packets| packets[0].payload[0] == 0xff));
    let error = refusal(&proxy);
    assert_eq!((error.code, &*error.sqlstate), (1429, "HY000"), "{error:?}");
    assert!(error.message.contains(&store.url()), "{error:?}");

    store.restart();
    assert_eq!(proxy.root().value("SELECT 1").as_deref(), Some("1"));
    // The service account comes back as well.
    apparel::create_zoo(&mut proxy.root(), |name| name == "apparel_nano");
}

#[test]
fn a_store_that_dies_in_mid_result_ends_the_session_and_nothing_else() {
    let store = Store::own();
    let proxy = Proxy::start(&store, &Settings::default());
    let mut session = Wire::login(proxy.address(), "root", "", Some("mysql")).unwrap();
    session.send(&query(LONG_RESULT)).unwrap();
    // The first rows are on their way, the last are not.
    for _ in 0..5 {
        session.read_packet().unwrap();
    }
    store.kill();
    let answer = session.read_answer(command::FIELD_LIST);
    assert!(answer.is_err(), "an answer that was cut has no end");
    store.restart();
    assert_eq!(proxy.root().value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_client_that_leaves_in_mid_result_leaves_nothing_behind() {
    let store = Store::shared();
    let proxy = Proxy::shared();
    let mut root = store.root();
    root.run("CREATE USER IF NOT EXISTS leaver@'127.0.0.1'");
    root.run("GRANT SELECT ON mysql.* TO leaver@'127.0.0.1'");
    let waiting = ["SELECT SLEEP(1000)", LONG_RESULT];
    for sql in waiting {
        let mut session = Wire::login(proxy.address(), "leaver", "", Some("mysql")).unwrap();
        session.send(&query(sql)).unwrap();
        eventually("the statement runs", || {
            (root.value(&format!(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE info = {sql:?}"
            ))? == "1")
                .then_some(())
        });
        drop(session);
        eventually("the store's session ends", || {
            (store.sessions_of(&mut root, "leaver") == 0).then_some(())
        });
    }
}

#[test]
fn an_orderly_stop_lets_statements_and_transactions_finish() {
    let store = Store::shared();
    let proxy = Proxy::start(store, &with_top("stop_seconds_max = 1000"));
    let mut root = store.root();
    root.run("CREATE OR REPLACE DATABASE stopping");
    root.run("CREATE TABLE stopping.t (a INT)");
    let mut idle = proxy.root();
    let mut working = proxy.root();
    let mut changing = proxy.root();
    changing.run("BEGIN");
    changing.run("INSERT INTO stopping.t VALUES (1)");
    root.run("SELECT GET_LOCK('stopping', 0)");
    working
        .send(&query("SELECT GET_LOCK('stopping', 1000)"))
        .unwrap();
    let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT GET_LOCK%1000)'";
    eventually("the statement waits", || {
        (root.value(waits)? == "1").then_some(())
    });

    proxy.signal(Signal::TERM);
    eventually("new clients are refused", || {
        match Wire::login(proxy.address(), "root", "", None) {
            Err(LoginError::Io(error)) => {
                (error.kind() == io::ErrorKind::ConnectionRefused).then_some(())
            }
            _ => None,
        }
    });
    // The idle session was ended; the others go on.
    assert!(idle.read_packet().is_err(), "the idle session is closed");
    changing.run("INSERT INTO stopping.t VALUES (2)");
    root.run("DO RELEASE_LOCK('stopping')");
    let answer = working.read_answer(command::QUERY).unwrap();
    assert!(
        answer.iter().any(|packet| packet.payload == b"\x011"),
        "{answer:?}"
    );
    changing.run("COMMIT");
    assert!(
        changing.read_packet().is_err(),
        "the session is closed after its transaction"
    );
    assert!(proxy.wait().success());
    assert_eq!(
        root.value("SELECT COUNT(*) FROM stopping.t").as_deref(),
        Some("2")
    );
}

#[test]
fn a_stop_that_takes_too_long_closes_what_is_busy() {
    let proxy = Proxy::start(Store::shared(), &with_top("stop_seconds_max = 1"));
    let mut busy = proxy.root();
    busy.send(&query("SELECT SLEEP(1000)")).unwrap();
    let mut root = Store::shared().root();
    let id = busy.connection_id();
    let runs = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND command = 'Query'"
    );
    eventually("the statement runs", || {
        (root.value(&runs)? == "1").then_some(())
    });
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    let told = busy.read_answer(command::QUERY).unwrap();
    // 1053, Server shutdown in progress.
    assert_eq!(told[0].payload[..3], [0xff, 0x1d, 0x04], "{told:?}");
    let left = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
    eventually("the store's session ends", || {
        (root.value(&left)? == "0").then_some(())
    });
}

#[test]
fn predictions_keep_their_place_among_pipelined_commands() {
    let mut session = Proxy::with_zoo().root();
    let photo = apparel::Photos::path(1);
    let predict = format!("SELECT ml.predict('apparel', '{photo}')");
    let commands = [
        query("SELECT 'first'"),
        query(&predict),
        vec![command::PING],
        query("SELECT 'third'"),
        query(&predict),
        query("SELECT 'last'"),
    ];
    let bytes: Vec<u8> = commands
        .iter()
        .flat_map(|command| predictsql_tests::wire::packets(command, 0))
        .collect();
    // At once, and cut at every third byte.
    for chunk_bytes in [bytes.len(), 3] {
        for chunk in bytes.chunks(chunk_bytes) {
            session.send_raw(chunk).unwrap();
        }
        let cells = ["first", "Ankle boot", "", "third", "Ankle boot", "last"];
        for (command, cell) in commands.iter().zip(cells) {
            let answer = session.read_answer(command[0]).unwrap();
            let row = [&[cell.len() as u8], cell.as_bytes()].concat();
            assert!(
                cell.is_empty() || answer.iter().any(|packet| packet.payload == row),
                "{cell}: {answer:?}"
            );
        }
    }
}
