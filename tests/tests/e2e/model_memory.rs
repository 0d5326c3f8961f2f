//! The memory of models: it is bounded, and goes back to the system when models are dropped.

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually, onnx};

const MODELS: u64 = 10;
/// Of the large ones of one model's weights.
const WEIGHT_BYTES: u64 = 14 * 1000 * 1000 * 4;

fn resident_bytes(proxy: &Proxy) -> u64 {
    let path = format!("/proc/{}/status", proxy.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().strip_suffix("kB").unwrap().trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// A proxy whose model root has `large.onnx` and the executor's test models, and task `colours`.
fn proxy(schema: &str, executor: &str) -> (Proxy, Wire) {
    let root = new_dir("large_models");
    onnx::write_large(&root.join("large.onnx"), 16, 1000);
    let settings = Settings {
        schema: schema.to_owned(),
        model_roots: vec![root, checkout().join("executor/tests/models")],
        executor: format!("threads = 2\n{executor}"),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    session.run("CREATE TASK colours CLASSES ('red', 'green', 'blue')");
    (proxy, session)
}

/// A BMP of one red pixel, as a literal.
const PIXEL: &str = "x'424d3a0000000000000036000000\
                     28000000010000000100000001001800000000000400000000000000000000000000000000000000\
                     0000ff00'";

/// Creates a model of its own, though of the same file, and has it used.
fn use_model(session: &mut Wire, schema: &str, number: u64) {
    session.run(&format!(
        "CREATE MODEL large{number} FOR TASK colours FROM 'large.onnx' \
         OPTIONS (size = '8x8', mean = (0.0{number:02}, 0, 0), std = (1, 1, 1))"
    ));
    predict(session, schema, number);
}

fn predict(session: &mut Wire, schema: &str, number: u64) {
    let kind = session.value(&format!(
        "SELECT {schema}.predict('large{number}', {PIXEL})"
    ));
    assert!(kind.is_some());
}

#[test]
fn models_that_are_dropped_give_their_memory_back() {
    let (proxy, mut session) = proxy("mm_drop", "models_bytes_max = 8_000_000_000");
    // One is made, used and dropped before, so that what the process needs once is there.
    use_model(&mut session, "mm_drop", 0);
    session.run("DROP MODEL large0");
    eventually("it is freed", || {
        (proxy.metric("predictsql_models_loaded") == 0).then_some(())
    });
    let before = resident_bytes(&proxy);
    for number in 1..=MODELS {
        use_model(&mut session, "mm_drop", number);
    }
    assert_eq!(proxy.metric("predictsql_models_loaded"), MODELS);
    let bytes = proxy.metric("predictsql_models_bytes");
    assert!(bytes > MODELS * WEIGHT_BYTES, "{bytes}");
    let held = resident_bytes(&proxy);
    assert!(
        held > before + MODELS * WEIGHT_BYTES,
        "{before}, then {held}"
    );
    for number in 1..=MODELS {
        session.run(&format!("DROP MODEL large{number}"));
    }
    // Nobody asks for a prediction meanwhile.
    eventually("they are freed", || {
        let left = resident_bytes(&proxy).saturating_sub(before);
        let none_is_loaded = proxy.metric("predictsql_models_loaded") == 0;
        (none_is_loaded && left < MODELS * WEIGHT_BYTES / 5).then_some(())
    });
}

#[test]
fn models_beyond_the_bytes_for_them_go_least_recently_used_first() {
    let (proxy, mut session) = proxy("mm_bytes", "models_bytes_max = 1_000_000_000");
    let mut loaded = Vec::new();
    for number in 1..=MODELS {
        use_model(&mut session, "mm_bytes", number);
        // The first is used all the time.
        predict(&mut session, "mm_bytes", 1);
        let bytes = proxy.metric("predictsql_models_bytes");
        assert!(bytes <= 1_000_000_000, "{bytes}");
        loaded.push(proxy.metric("predictsql_models_loaded"));
    }
    assert!(
        loaded.iter().all(|models| (1..MODELS).contains(models)),
        "{loaded:?}"
    );
}

#[test]
fn a_model_that_alone_takes_too_much_is_refused() {
    let (_proxy, mut session) = proxy("mm_alone", "models_bytes_max = 50_000_000");
    let error = session
        .error("CREATE MODEL large FOR TASK colours FROM 'large.onnx' OPTIONS (size = '8x8')");
    assert!(
        error.message.contains("models_bytes_max = 50000000"),
        "{error:?}"
    );
    let small = checkout().join("executor/tests/models/colour_nchw.onnx");
    session.run(&format!(
        "CREATE MODEL c FOR TASK colours FROM '{}' OPTIONS (size = '8x8')",
        small.display()
    ));
}
