//! A bounded run of every target: its whole corpus, then mutations of it. A failure prints the
//! input, which should be added to the corpus once it is understood; PREDICTSQL_FUZZ_SEED repeats
//! a run, PREDICTSQL_FUZZ_RUNS makes it longer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::commands::ends_idle;
use super::mutation::{Random, mutated};
use super::{TARGETS, Target, seed};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Default number of mutations for each target: a second or two without optimisation.
const RUNS: u64 = 20_000;

fn folder(target: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.join("fuzz/corpus").join(target)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder(target))
        .unwrap_or_else(|error| panic!("the corpus of {target}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn run(target: &str, function: Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| function(input)));
    if let Err(panic) = outcome {
        println!("{target} fails on b\"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
}

fn bounded(target: &str) {
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "the corpus of {target} is empty");
    for input in &corpus {
        run(target, *function, input);
    }
    let seed = number("PREDICTSQL_FUZZ_SEED").unwrap_or_else(|| {
        seed::of_sources(
            Path::new(env!("CARGO_MANIFEST_DIR")),
            &["src", "../optimizer/src"],
        )
    });
    println!("PREDICTSQL_FUZZ_SEED={seed}");
    let mut random = Random::new(seed);
    for _ in 0..number("PREDICTSQL_FUZZ_RUNS").unwrap_or(RUNS) {
        run(target, *function, &mutated(&corpus, &mut random));
    }
}

/// Suffixes of the names of sessions recorded with MariaDB 10.11: the capability that the client
/// had requested.
const RECORDED: [&str; 4] = ["-eof", "-no-eof", "-found", "-mariadb"];

#[test]
fn recorded_sessions_are_followed_to_their_ends() {
    let mut recorded = 0;
    for entry in fs::read_dir(folder("commands")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if RECORDED.iter().any(|end| name.ends_with(end)) {
            recorded += 1;
            assert!(ends_idle(&fs::read(&path).unwrap()), "{name}");
        }
    }
    assert!(recorded >= 40, "{recorded} recorded sessions");
}

macro_rules! bounded_runs {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            bounded(stringify!($target));
        })*

        #[test]
        fn every_target_has_its_bounded_run_and_its_fuzzer() {
            let runs = [$(stringify!($target)),*];
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, runs);
            let fuzzers = folder("").join("../fuzz_targets");
            let mut files: Vec<_> = fs::read_dir(fuzzers)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned())
                .collect();
            files.sort();
            assert_eq!(files, runs);
        }
    };
}

bounded_runs! {
    analysis answers commands frames greeting handshake login parameters passwords payloads rows statements
}
