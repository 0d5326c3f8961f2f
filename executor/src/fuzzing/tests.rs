//! A bounded run of every target: its whole corpus, then mutations of it. A failure prints the
//! input, which should be added to the corpus once it is understood. PREDICTSQL_FUZZ_SEED repeats
//! a run, PREDICTSQL_FUZZ_RUNS makes it longer, PREDICTSQL_FUZZ_CPU_SECONDS ends it after that
//! much CPU time, and PREDICTSQL_FUZZ_THREADS distributes it over threads. A panic in a decoder
//! counts as a damaged image, like in the pipeline; a panic in this crate is a failure.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::mutation::Random;
use super::{images, resizes, seed, structure};
use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A target: returns for every input, or panics.
type Target = fn(&[u8]);
type Made = fn(&[Vec<u8>], &mut Random) -> Vec<u8>;

/// Default number of mutations of images, and of sizes: some seconds without optimisation.
const RUNS: u64 = 20_000;
const SIZES_RUNS: u64 = 200;

thread_local! {
    /// Whether the last panic of this thread began in a library.
    static IN_LIBRARY: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Distinguishes panics of libraries, which mean damaged images, from panics of this crate, and
/// suppresses their output.
fn tell_panics() {
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", std::panic::Location::file);
            let in_library = file.contains("/registry/src/");
            IN_LIBRARY.set(in_library);
            if !in_library {
                usual(info);
            }
        }));
    });
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/images");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 30, "the corpus has {} images", files.len());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs one input. Returns whether a library panicked.
fn run(name: &str, target: Target, input: &[u8]) -> bool {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) else {
        return false;
    };
    if !IN_LIBRARY.get() {
        println!("{name} fails on b\"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
    true
}

/// Runs the corpus and mutations of it on some threads.
fn bounded(name: &str, target: Target, make: Made, usual: u64) {
    tell_panics();
    let corpus = corpus();
    for input in &corpus {
        run(name, target, input);
    }
    let seed = number("PREDICTSQL_FUZZ_SEED")
        .unwrap_or_else(|| seed::of_sources(Path::new(env!("CARGO_MANIFEST_DIR")), &["src"]));
    println!("PREDICTSQL_FUZZ_SEED={seed}");
    let runs = number("PREDICTSQL_FUZZ_RUNS").unwrap_or(usual);
    let seconds = number("PREDICTSQL_FUZZ_CPU_SECONDS").unwrap_or(u64::MAX);
    let threads = number("PREDICTSQL_FUZZ_THREADS").unwrap_or(1).max(1);
    let (done, panics, peak) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (corpus, done, panics, peak) = (&corpus, &done, &panics, &peak);
            scope.spawn(move || {
                let mut random =
                    Random::new(seed.wrapping_add(thread.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
                while done.fetch_add(1, Ordering::Relaxed) < runs {
                    let input = make(corpus, &mut random);
                    let (panicked, held) = super::peak(|| run(name, target, &input));
                    panics.fetch_add(panicked.into(), Ordering::Relaxed);
                    peak.fetch_max(held, Ordering::Relaxed);
                    if cpu_seconds() >= seconds / threads {
                        break;
                    }
                }
            });
        }
    });
    let done = done.load(Ordering::Relaxed).min(runs);
    println!(
        "{name}: {done} inputs, {:.0} a second, {} refused by a panic of a decoder, none failed, peak {} bytes",
        done as f64 / begin.elapsed().as_secs_f64(),
        panics.load(Ordering::Relaxed),
        peak.load(Ordering::Relaxed)
    );
}

/// CPU time of this thread.
fn cpu_seconds() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0)
}

#[test]
fn image_files() {
    bounded("images", images, structure::image, RUNS);
}

#[test]
fn sizes() {
    let make: Made = |_, random| {
        let sides = (0..8).map(|_| random.byte());
        sides.chain([0, 255]).collect()
    };
    bounded("resizes", resizes, make, SIZES_RUNS);
}
