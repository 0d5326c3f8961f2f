//! An embedded store whose files are damaged, or whose disk is full: a clear error in bounded
//! time, and nothing destroyed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use predictsql_tests::process::{is_running, new_dir};
use predictsql_tests::proxy::NotStarted;
use predictsql_tests::{Proxy, Settings};
use rustix::process::{Pid, Signal, kill_process};

/// A directory of an embedded store with a table in it, made once; each test damages a copy.
fn whole() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = new_dir("whole").join("data");
        let proxy = Proxy::embedded(&dir, &Settings::default()).unwrap();
        let mut root = proxy.root();
        root.run("CREATE DATABASE shop");
        root.run("CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20))");
        root.run("INSERT INTO shop.t SELECT seq, 'kept' FROM shop.seq_1_to_500");
        drop(root);
        proxy.signal(Signal::TERM);
        assert!(proxy.wait().success());
        dir
    })
}

fn copy() -> PathBuf {
    let dir = new_dir("damaged").join("data");
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([whole(), &dir])
        .status();
    assert!(copied.unwrap().success());
    dir
}

fn rows(proxy: &Proxy) -> Option<String> {
    let sql = "SELECT COUNT(*) FROM shop.t WHERE v = 'kept'";
    proxy.root().value(sql)
}

/// The contents of what belongs to tables. The server brings its logs, and what is Aria's of them,
/// up to date before it gives up.
fn tables(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = dir.join("store");
    let mut files = vec![store.join("ibdata1"), store.join("ib_logfile0")];
    for database in ["shop", "mysql", "ml"] {
        let Ok(entries) = fs::read_dir(store.join(database)) else {
            continue;
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "ibd")));
    }
    let read = |path: PathBuf| Some((path.clone(), fs::read(&path).ok()?));
    files.into_iter().filter_map(read).collect()
}

#[track_caller]
fn refused(dir: &Path) -> NotStarted {
    match Proxy::embedded(dir, &Settings::default()) {
        Ok(_) => panic!("the proxy starts"),
        Err(not_started) => not_started,
    }
}

fn garbage(bytes: usize) -> Vec<u8> {
    // A linear congruential generator: the same each time.
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

type Damage = fn(&Path);

#[test]
fn a_damaged_file_is_told_at_the_start_and_the_rest_is_left_as_it_is() {
    let damages: [(&str, &str, Damage); 9] = [
        ("ibdata1", "InnoDB", |file| {
            let bytes = fs::metadata(file).unwrap().len();
            fs::write(file, garbage(bytes as usize)).unwrap();
        }),
        ("ibdata1", "is missing or empty", |file| {
            fs::write(file, "").unwrap()
        }),
        ("ibdata1", "is missing or empty", |file| {
            fs::remove_file(file).unwrap()
        }),
        // Without this one, too, a server would make both anew, and forget all tables.
        ("ibdata1", "is missing or empty", |file| {
            fs::remove_file(file).unwrap();
            fs::remove_file(file.with_file_name("ib_logfile0")).unwrap();
        }),
        ("ibdata1", "Is a directory", |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
        ("ib_logfile0", "InnoDB", |file| fs::write(file, "").unwrap()),
        ("ib_logfile0", "InnoDB", |file| {
            fs::remove_file(file).unwrap()
        }),
        ("aria_log_control", "aria_log_control", |file| {
            fs::write(file, "").unwrap();
        }),
        ("aria_log_control", "aria_log_control", |file| {
            fs::write(file, garbage(52)).unwrap();
        }),
    ];
    for (number, (name, says, damage)) in damages.into_iter().enumerate() {
        let dir = copy();
        let file = dir.join("store").join(name);
        damage(&file);
        let before = tables(&dir);
        let NotStarted { status, log } = refused(&dir);
        assert!(!status.success(), "{number}: {name}");
        assert!(!log.contains("panicked"), "{number}: {log}");
        let last: Vec<&str> = log.lines().rev().take(20).collect();
        let told = last.iter().any(|line| line.contains("predictsql: "));
        assert!(told && log.contains(says), "{number}: {name}: {log}");
        assert!(
            tables(&dir) == before,
            "{number}: {name}: tables have changed"
        );
        fs::remove_dir_all(&dir).unwrap();
    }
    // The undamaged one is what it was.
    assert_eq!(
        rows(&Proxy::embedded(&copy(), &Settings::default()).unwrap()).as_deref(),
        Some("500")
    );
}

#[test]
fn files_that_may_not_be_read_are_told_at_the_start() {
    // Root may read and write all; a folder in the place of a file nobody can.
    let dir = copy();
    let store = dir.join("store");
    if rustix::process::geteuid().is_root() {
        let frm = store.join("ib_logfile0");
        fs::remove_file(&frm).unwrap();
        fs::create_dir(&frm).unwrap();
    } else {
        fs::set_permissions(store.join("ibdata1"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let NotStarted { status, log } = refused(&dir);
    assert!(!status.success());
    assert!(log.contains("predictsql: "), "{log}");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_store_that_is_damaged_while_it_runs_is_not_started_for_ever() {
    let dir = copy();
    let proxy = Proxy::embedded(&dir, &Settings::default()).unwrap();
    assert_eq!(rows(&proxy).as_deref(), Some("500"));
    let pid = fs::read_to_string(dir.join("store.pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    fs::write(dir.join("store/aria_log_control"), "").unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    // Five times, and then the proxy ends: whoever supervises it is told.
    assert!(!proxy.wait().success());
    assert!(proxy.log().contains("it is not started again"));
    assert!(!is_running(pid));
}

/// Runs the proxy where no file may grow beyond some size, as on a full disk: a write fails.
fn limited(bytes: usize) -> Settings {
    Settings {
        file_bytes_max: Some(bytes),
        ..Settings::default()
    }
}

#[test]
fn a_full_disk_while_the_store_is_made_leaves_nothing_in_its_way() {
    let dir = new_dir("full").join("data");
    let Err(NotStarted { status, log }) = Proxy::embedded(&dir, &limited(8 << 20)) else {
        panic!("the proxy starts");
    };
    assert!(!status.success());
    assert!(
        log.contains("the embedded store could not be created"),
        "{log}"
    );
    // With room it is made.
    let proxy = Proxy::embedded(&dir, &Settings::default()).unwrap();
    assert_eq!(proxy.root().value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_full_disk_of_a_running_store_is_an_error_of_the_statement() {
    let dir = copy();
    // The log of InnoDB has 96 MiB.
    let proxy = Proxy::embedded(&dir, &limited(100 << 20)).unwrap();
    let mut session = proxy.root();
    session.run("CREATE TABLE shop.big (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)");
    let insert = |rows: usize| {
        format!("INSERT INTO shop.big (v) SELECT REPEAT('x', 60000) FROM shop.seq_1_to_{rows}")
    };
    session.run(&insert(100));
    let error = session.error(&insert(3000));
    assert_eq!(error.code, 1114, "{error:?}");
    let count = "SELECT COUNT(*) FROM shop.big";
    assert_eq!(session.value(count).as_deref(), Some("100"));
    session.run("INSERT INTO shop.t VALUES (1000, 'kept')");
    assert_eq!(rows(&proxy).as_deref(), Some("501"));
    drop(session);
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    let proxy = Proxy::embedded(&dir, &Settings::default()).unwrap();
    assert_eq!(rows(&proxy).as_deref(), Some("501"));
    assert_eq!(proxy.root().value(count).as_deref(), Some("100"));
}
