//! Clients that ask nothing for long.

use super::{metric, plain, query, until_end};
use predictsql_proxy::wire::command;
use predictsql_tests::{Proxy, Store, eventually};
use rustix::process::Signal;

#[test]
fn idle_sessions_are_ended_and_busy_ones_are_not() {
    let store = Store::shared();
    let proxy = Proxy::start(store, &plain("idle_seconds_max = 0"));
    let mut root = store.root();
    let (mut idle, mut in_transaction, mut busy) = (proxy.root(), proxy.root(), proxy.root());
    in_transaction.run("BEGIN");
    root.run("DO GET_LOCK('idle', 1000)");
    busy.send(&query("SELECT GET_LOCK('idle', 1000), 'waited'"))
        .unwrap();
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {} AND state = 'User lock'",
        busy.connection_id()
    );
    eventually("the statement waits", || {
        (root.value(&waits)? == "1").then_some(())
    });
    // Only now: none of them is idle before it should be.
    proxy.rewrite_settings(|settings| {
        settings.replace("idle_seconds_max = 0", "idle_seconds_max = 1")
    });
    proxy.signal(Signal::HUP);
    let ids = [idle.connection_id(), in_transaction.connection_id()];

    assert!(until_end(&mut idle).is_empty());
    assert!(until_end(&mut in_transaction).is_empty());
    // The busy one waits as long as they did.
    root.run("DO RELEASE_LOCK('idle')");
    let answer = busy.read_answer(command::QUERY).unwrap();
    let row = b"\x011\x06waited";
    assert!(
        answer.iter().any(|packet| packet.payload == row),
        "{answer:?}"
    );
    eventually("both ends are counted", || {
        let ended = metric(&proxy, "predictsql_sessions_ended_total", "\"idle\"");
        (ended >= 2.0).then_some(())
    });
    assert!(proxy.log().contains("ending an idle session"));

    let left = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE id IN ({}, {})",
        ids[0], ids[1]
    );
    eventually("the store's sessions end", || {
        (root.value(&left)? == "0").then_some(())
    });
    // Its time has begun with the end of its statement.
    assert!(until_end(&mut busy).is_empty());
}

#[test]
fn a_command_that_is_not_sent_to_its_end_is_given_up() {
    let proxy = Proxy::start(Store::shared(), &plain("command_stall_seconds_max = 1"));
    let (mut halted, mut other) = (proxy.root(), proxy.root());
    halted.send_raw(b"\x20\0\0\0\x03SELECT").unwrap();
    assert_eq!(until_end(&mut halted), []);
    assert_eq!(other.value("SELECT 1").as_deref(), Some("1"));
}
