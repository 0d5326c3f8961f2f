//! The embedded store with a real MariaDB: its life, its deaths, and who is let in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_proxy::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedStore, StoreStatus};
use rustix::process::{Pid, Signal, kill_process};

fn options(dir: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        shim: env!("CARGO_BIN_EXE_predictsql").into(),
        connections_max: 20,
        buffer_pool_bytes: 16 << 20,
        ..EmbeddedOptions::new(dir)
    }
}

/// Runs one statement and returns its first value.
fn query(opts: OptsBuilder, sql: &str) -> mysql_async::Result<Option<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut conn = Conn::new(opts).await?;
        let value = conn.query_first(sql).await?;
        conn.disconnect().await?;
        Ok(value)
    })
}

fn server(store: &EmbeddedStore) -> Pid {
    let text = fs::read_to_string(store.data_dir().join("store.pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Kills the server and waits until its loss was seen and its status is `wanted`.
fn kill_and_wait_for(store: &EmbeddedStore, wanted: StoreStatus) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut status = store.status();
    kill_process(server(store), Signal::KILL).unwrap();
    runtime.block_on(async {
        status.changed().await.unwrap();
        status.wait_for(|status| *status == wanted).await.unwrap();
    });
}

#[test]
fn what_is_written_is_there_after_a_stop_and_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::start(&options(dir.path())).unwrap();
    query(store.root_opts(), "CREATE DATABASE shop").unwrap();
    query(store.root_opts(), "CREATE TABLE shop.t AS SELECT 7 AS n").unwrap();

    let error = EmbeddedStore::start(&options(dir.path())).err().unwrap();
    assert!(matches!(error, EmbeddedError::InUse { .. }), "{error}");

    // The server is killed: it comes back by itself.
    let killed = server(&store);
    kill_and_wait_for(&store, StoreStatus::Running);
    assert_ne!(server(&store), killed);
    let n = query(store.root_opts(), "SELECT n FROM shop.t").unwrap();
    assert_eq!(n.as_deref(), Some("7"));

    store.stop();
    assert_eq!(*store.status().borrow(), StoreStatus::Stopped);
    assert!(query(store.root_opts(), "SELECT 1").is_err());
    drop(store);

    let store = EmbeddedStore::start(&options(dir.path())).unwrap();
    let n = query(store.root_opts(), "SELECT n FROM shop.t").unwrap();
    assert_eq!(n.as_deref(), Some("7"));
}

#[test]
fn only_root_of_this_machine_exists_and_no_account_is_let_in_by_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut with_password = options(dir.path());
    with_password.root_password = Some(r"it's \ secret".to_owned());
    let store = EmbeddedStore::start(&with_password).unwrap();
    let accounts = "SELECT GROUP_CONCAT(user, '@', host ORDER BY user) FROM mysql.global_priv";
    assert_eq!(
        query(store.root_opts(), accounts).unwrap().as_deref(),
        Some("mariadb.sys@localhost,root@localhost")
    );
    assert!(query(store.root_opts().pass(None::<&str>), "SELECT 1").is_err());
    let networking = query(store.root_opts(), "SELECT @@skip_networking").unwrap();
    assert_eq!(networking.as_deref(), Some("1"));
    // The peer of the socket is always the proxy.
    let by_socket = "CREATE USER nobody@localhost IDENTIFIED VIA unix_socket";
    assert!(query(store.root_opts(), by_socket).is_err());
    drop(store);

    // Without a configured password the account keeps the one it has.
    let mut store = EmbeddedStore::start(&options(dir.path())).unwrap();
    assert!(query(store.root_opts(), "SELECT 1").is_err());
    store.stop();
    drop(store);

    // A newly configured one is set at the next start.
    with_password.root_password = Some("other".to_owned());
    let store = EmbeddedStore::start(&with_password).unwrap();
    query(store.root_opts(), "SELECT 1").unwrap();
}

#[test]
fn a_store_that_cannot_start_says_what_its_log_says() {
    let dir = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::start(&options(dir.path())).unwrap());
    fs::write(dir.path().join("store/ibdata1"), "not a tablespace").unwrap();
    let error = EmbeddedStore::start(&options(dir.path())).err().unwrap();
    assert!(matches!(error, EmbeddedError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("[ERROR]"), "{error}");
}

#[test]
fn a_store_that_cannot_be_kept_running_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::start(&options(dir.path())).unwrap();
    fs::write(dir.path().join("store/ibdata1"), "not a tablespace").unwrap();
    kill_and_wait_for(&store, StoreStatus::Failed);
    store.stop();
    assert_eq!(*store.status().borrow(), StoreStatus::Failed);
}

#[test]
fn an_interrupted_creation_starts_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("predictsql.lock"), "").unwrap();
    fs::create_dir_all(dir.path().join("store.unfinished/mysql")).unwrap();
    let store = EmbeddedStore::start(&options(dir.path())).unwrap();
    query(store.root_opts(), "SELECT 1").unwrap();
    assert!(!dir.path().join("store.unfinished").exists());
}

/// Not a test of its own: what `a_killed_proxy_takes_its_server_along` runs as the proxy.
#[test]
fn run_a_store_until_standard_input_ends() {
    let Some(dir) = std::env::var_os("PREDICTSQL_TEST_EMBEDDED_DIR") else {
        return;
    };
    let store = EmbeddedStore::start(&options(Path::new(&dir))).unwrap();
    println!("\nstarted {}", server(&store).as_raw_nonzero());
    std::io::stdout().flush().unwrap();
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

#[test]
fn a_killed_proxy_takes_its_server_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "run_a_store_until_standard_input_ends",
        ])
        .env("PREDICTSQL_TEST_EMBEDDED_DIR", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(proxy.stdout.take().unwrap()).lines();
    let started = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("started ")?.to_owned()))
        .expect("the store starts");
    proxy.kill().unwrap();
    proxy.wait().unwrap();

    // The start waits for the old server's end, and recovers.
    let store = EmbeddedStore::start(&options(dir.path())).unwrap();
    query(store.root_opts(), "SELECT 1").unwrap();
    let old = Path::new("/proc").join(started).join("cmdline");
    let gone = fs::read(old).map_or(true, |command| command.is_empty());
    assert!(gone, "the server of the killed proxy still runs");
}
