//! Runs a suite twice, directly and through the proxy, compares the transcripts, and has it predict.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use predictsql_tests::apparel::Photos;
use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Store, Wire};

/// How long one run of a suite may take. It bounds a client that hangs and decides nothing else.
const RUN_SECONDS_MAX: u32 = 240;
/// A transcript with fewer lines has tested nothing.
const TRANSCRIPT_LINES_MIN: usize = 3;
/// Photos that a suite has predicted, and the task that it names.
const PHOTOS: usize = 20;
const TASK: &str = "apparel";
/// Has characters that quoting loses.
const PASSWORD: &str = "it's 1 \"s&cret\"";
/// Longer lines are cut where transcripts are shown.
const SHOWN_LINE_CHARS_MAX: usize = 400;
/// Lines shown of each transcript, from the first that differs.
const SHOWN_LINES: usize = 6;

/// A client and the program that uses it.
pub struct Suite {
    /// Name of the test; the account and the database are named after it.
    pub name: &'static str,
    /// The program and its arguments.
    pub command: &'static [&'static str],
    /// What `scripts/setup.sh clients` installs for it.
    pub needs: &'static str,
    /// Whether the program predicts when `CLIENT_PREDICT` is set.
    pub predicts: bool,
}

/// Runs the suite everywhere.
///
/// # Panics
/// The client fails, or sees through the proxy what it does not see directly.
#[track_caller]
pub fn check(suite: &Suite) {
    let (store, proxy) = (Store::shared(), Proxy::with_zoo());
    let mut root = store.root();
    create_account(&mut root, suite);
    let mut transcribe = |kind: &str, address| {
        create_database(&mut root, suite);
        let transcript = run(suite, kind, address, &[]);
        save(suite, kind, &transcript);
        transcript
    };
    let direct = transcribe("direct", store.address());
    let lines = direct.lines().count();
    assert!(lines >= TRANSCRIPT_LINES_MIN, "{lines} lines:\n{direct}");
    let proxied = transcribe("proxied", proxy.address());
    if let Some(difference) = difference(&direct, &proxied) {
        panic!(
            "{} sees other things through the proxy; all of it is in {}\n{difference}",
            suite.name,
            saved(suite, "*").display()
        );
    }
    if suite.predicts {
        create_database(&mut root, suite);
        create_photos(&mut root, suite);
        let labels = labels().join(",");
        let predict = [("CLIENT_PREDICT", "1"), ("CLIENT_EXPECT", &labels)];
        run(suite, "predict", proxy.address(), &predict);
    }
    drop_databases(&mut root, suite);
}

/// What the suite prints; it has ended well.
#[track_caller]
fn run(suite: &Suite, kind: &str, address: SocketAddr, more: &[(&str, &str)]) -> String {
    let dir = new_dir(&format!("{}-{kind}", suite.name));
    let words: Vec<String> = suite.command.iter().map(|word| filled(word)).collect();
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", &RUN_SECONDS_MAX.to_string()])
        .args(&words)
        .current_dir(&dir)
        .stdin(Stdio::null())
        // No settings of the user's are read.
        .env("HOME", &dir)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("CLIENT_HOST", address.ip().to_string())
        .env("CLIENT_PORT", address.port().to_string())
        .env("CLIENT_USER", user(suite))
        .env("CLIENT_PASSWORD", PASSWORD)
        .env("CLIENT_DATABASE", database(suite))
        .envs(more.iter().copied());
    let output = command
        .output()
        .expect("timeout of the coreutils is needed");
    let transcript = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = transcript.lines().rev().take(SHOWN_LINES).collect();
    let last: Vec<String> = last.into_iter().rev().map(cut).collect();
    let what = format!("{} {kind}", suite.name);
    match output.status.code() {
        Some(0) => transcript,
        Some(124) => panic!(
            "{what}: not done in {RUN_SECONDS_MAX} s, after\n{}\n{said}",
            last.join("\n")
        ),
        // As shells and `timeout` say that there is no such program.
        Some(126 | 127) => panic!(
            "{what}: {} cannot be run; it needs {}: scripts/setup.sh clients installs it\n{said}",
            words[0], suite.needs
        ),
        _ => panic!(
            "{what}: {} (where a library is missing: it needs {}, scripts/setup.sh clients installs it), after\n{}\n{said}",
            output.status,
            suite.needs,
            last.join("\n")
        ),
    }
}

fn filled(word: &str) -> String {
    let python = std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), PathBuf::from);
    word.replace("{python}", &python.to_string_lossy())
        .replace(
            "{clients}",
            &checkout().join("tests/clients").to_string_lossy(),
        )
        .replace("{cache}", &checkout().join(".cache").to_string_lossy())
}

fn user(suite: &Suite) -> String {
    format!("user_{}", suite.name)
}

fn database(suite: &Suite) -> String {
    format!("client_{}", suite.name)
}

/// All rights on the suite's database and on databases whose names begin with it, and those of tasks.
fn create_account(root: &mut Wire, suite: &Suite) {
    let account = format!("{}@'127.0.0.1'", user(suite));
    root.run(&format!(
        "CREATE OR REPLACE USER {account} IDENTIFIED BY '{}'",
        PASSWORD.replace('\'', "''")
    ));
    let pattern = database(suite).replace('_', "\\_");
    for granted in [
        format!("ALL ON `{pattern}`.*"),
        format!("ALL ON `{pattern}\\_%`.*"),
        "EXECUTE ON ml.*".to_owned(),
    ] {
        root.run(&format!("GRANT {granted} TO {account}"));
    }
}

/// Drops what an earlier run has left.
fn drop_databases(root: &mut Wire, suite: &Suite) {
    let name = database(suite);
    let left = root.rows(&format!(
        "SELECT schema_name FROM information_schema.schemata \
         WHERE schema_name = '{name}' OR LEFT(schema_name, {}) = '{name}_'",
        name.len() + 1
    ));
    for left in left.iter().flatten().flatten() {
        root.run(&format!("DROP DATABASE `{left}`"));
    }
}

fn create_database(root: &mut Wire, suite: &Suite) {
    drop_databases(root, suite);
    root.run(&format!(
        "CREATE DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        database(suite)
    ));
}

/// Table `photos (id, photo)`, whose photos the image root holds.
fn create_photos(root: &mut Wire, suite: &Suite) {
    let table = format!("{}.photos", database(suite));
    root.run(&format!(
        "CREATE TABLE {table} (id INT PRIMARY KEY, photo VARCHAR(200) NOT NULL)"
    ));
    let values: Vec<String> = (1..=PHOTOS)
        .map(|id| format!("({id}, '{}')", Photos::path(id)))
        .collect();
    root.run(&format!("INSERT INTO {table} VALUES {}", values.join(", ")));
}

/// What the task predicts for the photos, as the raw client sees it.
fn labels() -> &'static [String] {
    static LABELS: OnceLock<Vec<String>> = OnceLock::new();
    LABELS.get_or_init(|| {
        let mut wire = Proxy::with_zoo().root();
        let label = |id| {
            let path = Photos::path(id);
            wire.value(&format!("SELECT ml.predict('{TASK}', '{path}')"))
                .unwrap()
        };
        (1..=PHOTOS).map(label).collect()
    })
}

/// Where the transcript of a run stays, for whoever looks into a difference.
fn saved(suite: &Suite, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}-{kind}.txt", suite.name))
}

fn save(suite: &Suite, kind: &str, transcript: &str) {
    fs::write(saved(suite, kind), transcript).unwrap();
}

/// The first lines that differ, or `None`.
fn difference(direct: &str, proxied: &str) -> Option<String> {
    if direct == proxied {
        return None;
    }
    let (direct, proxied): (Vec<&str>, Vec<&str>) =
        (direct.lines().collect(), proxied.lines().collect());
    let pairs = direct.iter().zip(&proxied);
    let same = pairs
        .take_while(|(direct, proxied)| direct == proxied)
        .count();
    let part = |mark: &str, lines: &[&str]| {
        let lines = lines.iter().skip(same).take(SHOWN_LINES);
        let shown: Vec<String> = lines
            .map(|line| format!("{mark} {}\n", cut(line)))
            .collect();
        shown.concat()
    };
    let before = same.checked_sub(1).and_then(|index| direct.get(index));
    Some(format!(
        "line {}, after {}\n{}{}",
        same + 1,
        before.map_or_else(|| "nothing".to_owned(), |line| cut(line)),
        part("direct: ", &direct),
        part("proxied:", &proxied)
    ))
}

fn cut(line: &str) -> String {
    line.chars().take(SHOWN_LINE_CHARS_MAX).collect()
}

#[test]
fn a_difference_is_seen_wherever_it_is() {
    let direct = "a\nb\nc\n";
    assert_eq!(difference(direct, direct), None);
    for (proxied, line) in [
        ("a\nb\nd\n", "line 3, after b\ndirect:  c\nproxied: d\n"),
        ("a\nb\n", "line 3, after b\ndirect:  c\n"),
        (
            "",
            "line 1, after nothing\ndirect:  a\ndirect:  b\ndirect:  c\n",
        ),
        ("a\nb\nc\nd\n", "line 4, after c\nproxied: d\n"),
        ("a\nb\nc", "line 4, after c\n"),
    ] {
        assert_eq!(
            difference(direct, proxied).as_deref(),
            Some(line),
            "{proxied:?}"
        );
    }
}
