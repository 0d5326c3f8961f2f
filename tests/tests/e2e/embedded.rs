//! `serve --embedded`: its data, its server's life and death,
//! and directories that are not its own.

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::binary::binary_command;
use predictsql_tests::process::{is_running, new_dir};
use predictsql_tests::proxy::NotStarted;
use predictsql_tests::wire::LoginError;
use predictsql_tests::{Proxy, Settings, Wire, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

const MODEL: &str = "apparel_small";

/// An embedded proxy that must come up.
#[track_caller]
fn start(dir: &Path) -> Proxy {
    Proxy::embedded(dir, &Settings::default()).unwrap()
}

#[track_caller]
fn refused(dir: &Path) -> NotStarted {
    match Proxy::embedded(dir, &Settings::default()) {
        Ok(_) => panic!("the proxy starts on {}", dir.display()),
        Err(not_started) => not_started,
    }
}

/// The server of the embedded store.
fn server(dir: &Path) -> Option<Pid> {
    let pid = fs::read_to_string(dir.join("store.pid")).ok()?;
    Pid::from_raw(pid.trim().parse().ok()?)
}

/// Puts a photo and a model where an embedded store's roots are, and makes them known.
fn set_up(session: &mut Wire, dir: &Path) {
    let photo = Photos::path(1);
    fs::create_dir_all(dir.join("images/photos")).unwrap();
    fs::copy(
        apparel::photos().root().join(&photo),
        dir.join("images").join(&photo),
    )
    .unwrap();
    let model = apparel::zoo()
        .iter()
        .find(|model| model.name == MODEL)
        .unwrap();
    let file = model.file.file_name().unwrap();
    fs::copy(
        apparel::model_root().join(file),
        dir.join("models").join(file),
    )
    .unwrap();
    apparel::create_zoo(session, |name| name == MODEL);
    session.run("CREATE DATABASE shop");
    session.run(&format!(
        "CREATE TABLE shop.p AS SELECT 1 AS id, '{photo}' AS photo"
    ));
}

#[track_caller]
fn assert_predicts(session: &mut Wire) {
    let class = session.value("SELECT ml.apparel(photo) FROM shop.p WHERE id = 1");
    assert_eq!(class.as_deref(), Some("Ankle boot"));
}

#[test]
fn data_and_catalog_survive_stops_and_crashes_of_either_process() {
    let dir = new_dir("embedded");
    let proxy = start(&dir);
    set_up(&mut proxy.root(), &dir);
    assert_predicts(&mut proxy.root());

    // A second instance is refused, and names the first.
    let second = refused(&dir);
    let pid = proxy.pid().as_raw_nonzero();
    let sentence = format!("is in use by another instance (pid {pid})");
    assert!(second.log.contains(&sentence), "{}", second.log);
    assert!(!second.status.success());

    // An orderly stop takes the server along.
    let first_server = server(&dir).unwrap();
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    assert!(!is_running(first_server));

    // A killed server comes back; the session that used it does not.
    let proxy = start(&dir);
    let mut session = proxy.root();
    assert_predicts(&mut session);
    let killed = server(&dir).unwrap();
    assert_ne!(killed, first_server);
    kill_process(killed, Signal::KILL).unwrap();
    let lost = eventually("the session ends", || session.command(b"\x0e").err());
    drop(lost);
    let mut session = eventually("the store is back", || {
        match Wire::login(proxy.address(), "root", "", None) {
            Ok(session) => Some(session),
            Err(LoginError::Refused(error)) => {
                assert!([1429, 1158].contains(&error.code), "{error:?}");
                None
            }
            Err(LoginError::Io(_)) => None,
        }
    });
    assert_ne!(server(&dir), Some(killed));
    assert_predicts(&mut session);

    // A killed proxy takes the server along, and leaves a directory that starts again.
    let orphan = server(&dir).unwrap();
    proxy.signal(Signal::KILL);
    proxy.wait();
    eventually("the server of the killed proxy ends", || {
        (!is_running(orphan)).then_some(())
    });
    assert_predicts(&mut start(&dir).root());
}

#[test]
fn a_directory_with_something_else_in_it_is_refused_and_left_alone() {
    let dir = new_dir("foreign");
    fs::write(dir.join("thesis.tex"), "mine").unwrap();
    let NotStarted { status, log } = refused(&dir);
    assert!(!status.success());
    assert!(
        log.contains("is not empty and was not made by PredictSQL"),
        "{log}"
    );
    let left: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["thesis.tex"]);
}

#[test]
fn an_open_door_is_refused_before_anything_is_made() {
    let dir = new_dir("open").join("data");
    let output = binary_command()
        .args(["serve", "--listen", "0.0.0.0:0"])
        .arg(format!("--embedded={}", dir.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("set a root password in PREDICTSQL_ROOT_PASSWORD"),
        "{said}"
    );
    assert!(!dir.exists());
}

#[test]
fn a_store_that_cannot_be_made_is_one_clear_error() {
    let file = new_dir("file").join("data");
    fs::write(&file, "a file").unwrap();
    let NotStarted { log, .. } = refused(&file);
    assert!(log.contains("predictsql: cannot create"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
