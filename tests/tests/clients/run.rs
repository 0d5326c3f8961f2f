//! Runs a suite directly, through the proxy and through it by TLS, and compares the transcripts;
//! then has it predict, and compares with functions of a store that know the answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Store};

use crate::difference::{difference, last_lines};
use crate::place::Place;

/// How long one run of a suite may take. It bounds a client that hangs and decides nothing else.
const RUN_SECONDS_MAX: u32 = 240;
/// A transcript with fewer lines has tested nothing.
const TRANSCRIPT_LINES_MIN: usize = 5;

/// A client and the program that uses it.
pub struct Suite {
    /// Name of the test; the account and the database are named after it.
    pub name: &'static str,
    /// What is run.
    pub program: Program,
    /// What `scripts/setup.sh clients` installs for it.
    pub needs: &'static str,
    /// Whether it predicts where it is told to.
    pub predicts: bool,
    /// Whether it connects by TLS where it is told to.
    pub tls: bool,
}

/// How a suite is run.
pub enum Program {
    /// A program and its arguments, which prints the transcript.
    Command(&'static [&'static str]),
    /// Code of this binary, for clients in Rust; gives the transcript.
    Function(fn(&Place) -> String),
}

/// Runs the suite everywhere.
///
/// # Panics
/// The client fails, or sees through the proxy what it does not see directly.
#[track_caller]
pub fn check(suite: &Suite) {
    let proxy = Proxy::with_zoo();
    let mut place = Place::account(suite.name);
    let direct = run(suite, "direct", place.at(Store::shared().address()));
    let lines = direct.lines().count();
    assert!(lines >= TRANSCRIPT_LINES_MIN, "{lines} lines:\n{direct}");
    let proxied = run(suite, "proxied", place.at(proxy.address()));
    compare(suite, ("direct", &direct), ("proxied", &proxied));
    if suite.tls {
        let proxied = run(suite, "tls", place.at_tls_proxy());
        compare(suite, ("direct", &direct), ("tls", &proxied));
    }
    if suite.predicts {
        let predicted = run(suite, "predict", place.at_photos());
        let direct = run(suite, "functions", place.at_functions());
        compare(suite, ("functions", &direct), ("predict", &predicted));
    }
    place.drop_databases();
}

#[track_caller]
fn compare(suite: &Suite, direct: (&str, &str), proxied: (&str, &str)) {
    if let Some(difference) = difference(direct.1, proxied.1) {
        panic!(
            "{} sees other things through the proxy; compare {} with {}\n{difference}",
            suite.name,
            saved(suite, direct.0).display(),
            saved(suite, proxied.0).display(),
        );
    }
}

/// The transcript, which is saved as well; the suite has ended well.
#[track_caller]
fn run(suite: &Suite, kind: &str, place: &Place) -> String {
    let transcript = match suite.program {
        Program::Command(words) => run_command(suite, words, kind, place),
        Program::Function(function) => function(place),
    };
    fs::write(saved(suite, kind), &transcript).unwrap();
    transcript
}

/// Where the transcript of a run stays, for whoever looks into a difference.
fn saved(suite: &Suite, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}-{kind}.txt", suite.name))
}

#[track_caller]
fn run_command(suite: &Suite, words: &[&str], kind: &str, place: &Place) -> String {
    let dir = new_dir(&format!("{}-{kind}", suite.name));
    let words: Vec<String> = words.iter().map(|word| filled(word)).collect();
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", &RUN_SECONDS_MAX.to_string()])
        .args(&words)
        .current_dir(&dir)
        .stdin(Stdio::null())
        // No settings of the user's are read.
        .env("HOME", &dir)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    describe(place, &mut command);
    let output = command
        .output()
        .expect("timeout of the coreutils is needed");
    let transcript = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let what = format!(
        "{} {kind}, after\n{}\n",
        suite.name,
        last_lines(&transcript)
    );
    match output.status.code() {
        Some(0) => transcript,
        Some(124) => panic!("{what}not done in {RUN_SECONDS_MAX} s\n{said}"),
        // As `timeout` says that there is no such program.
        Some(126 | 127) => panic!(
            "{what}{} cannot be run; it needs {}: scripts/setup.sh clients installs it\n{said}",
            words[0], suite.needs
        ),
        _ => panic!(
            "{what}{} (where a library is missing: it needs {}, scripts/setup.sh clients installs it)\n{said}",
            output.status, suite.needs
        ),
    }
}

/// As `tests/clients/README.md` says.
fn describe(place: &Place, command: &mut Command) {
    command
        .env("CLIENT_HOST", place.address.ip().to_string())
        .env("CLIENT_PORT", place.address.port().to_string())
        .env("CLIENT_USER", &place.user)
        .env("CLIENT_PASSWORD", place.password)
        .env("CLIENT_DATABASE", &place.database);
    if let Some(labels) = place.expected {
        command.env("CLIENT_PREDICT", "1");
        command.env("CLIENT_EXPECT", labels.join(","));
    }
    if let Some(ca) = &place.ca {
        command.env("CLIENT_TLS", "1").env("CLIENT_CA", ca);
    }
}

/// A word of a command, with what stands in braces filled in.
pub fn filled(word: &str) -> String {
    let python = std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), PathBuf::from);
    word.replace("{python}", &python.to_string_lossy())
        .replace(
            "{clients}",
            &checkout().join("tests/clients").to_string_lossy(),
        )
        .replace("{cache}", &checkout().join(".cache").to_string_lossy())
}
