//! Tests of the interpretation of a trial's end.
#![allow(clippy::unwrap_used)]

use std::io::Read as _;

use predictsql_catalog::{ModelInput, ModelOptions, Output};

use super::*;

fn trials() -> Trials {
    Trials::new(TrialConfig {
        trial_seconds_max: 7,
        trial_bytes_max: 1000,
        ..TrialConfig::default()
    })
}

/// How a shell that runs `script` ends.
fn ended(script: &str) -> Ended {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null());
    process::run(command, Duration::from_secs(60), &Interrupt::default()).unwrap()
}

fn judged(script: &str) -> Result<Tried, ModelError> {
    match ended(script) {
        Ended::Itself(child) => trials().judge(&child),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_counts_and_a_death_without_one_is_told() {
    let tried = judged(r#"echo '{"Ok":{"seconds_per_image":0.25}}'; echo noise >&2"#).unwrap();
    assert_eq!(tried.seconds_per_image, Some(0.25));
    assert_eq!(
        judged(r#"echo '{"Err":{"Corrupt":{"reason":"no"}}}'"#),
        Err(ModelError::Corrupt {
            reason: "no".into()
        })
    );
    let died = |script: &str| match judged(script) {
        Err(ModelError::TrialDied { how }) => how,
        other => panic!("{script}: {other:?}"),
    };
    assert_eq!(died("kill -SEGV $$"), "crashed (signal 11)");
    assert!(died("kill -KILL $$").starts_with("was killed"));
    assert!(died("exit 3").contains("exit status: 3"));
    assert!(died(r#"echo '{"Ok":{"seconds'"#).contains("without a word"));
}

#[test]
fn lack_of_memory_and_of_time_are_told_from_other_ends() {
    let memory = Err(ModelError::TrialMemory { bytes_max: 1000 });
    for script in [
        r#"echo '{"Err":{"Runtime":{"reason":"Failed to allocate memory for a buffer"}}}'"#,
        r#"echo '{"Err":{"Runtime":{"reason":"std::bad_alloc"}}}'"#,
        "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$",
    ] {
        assert_eq!(judged(script), memory, "{script}");
    }
    let seconds = Err(ModelError::TrialSeconds { seconds_max: 7 });
    assert_eq!(judged("kill -XCPU $$"), seconds);
}

#[test]
fn much_noise_neither_blocks_a_trial_nor_is_kept() {
    let much = "head -c 3000000 /dev/zero";
    match ended(&format!("{much} >&2; {much}; {much} >&2")) {
        Ended::Itself(child) => {
            assert_eq!(child.reply.len(), 1 << 20);
            assert_eq!(child.said.len(), 4 << 10);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trial_ends_at_its_limit_and_when_it_is_interrupted() {
    let forever = || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec sleep 1000000"]);
        command.stdin(Stdio::null());
        command
    };
    let limit = Duration::from_millis(50);
    let ended = process::run(forever(), limit, &Interrupt::default()).unwrap();
    assert!(matches!(ended, Ended::Late), "{ended:?}");
    let interrupt = Interrupt::default();
    let ended = std::thread::scope(|scope| {
        let run = || process::run(forever(), Duration::from_secs(3600), &interrupt);
        let running = scope.spawn(run);
        interrupt.set();
        running.join().unwrap().unwrap()
    });
    assert!(matches!(ended, Ended::Interrupted), "{ended:?}");
}

#[test]
fn a_request_arrives_as_it_was_sealed() {
    let options = ModelOptions {
        input: ModelInput::Columns {
            columns: Vec::new(),
        },
        labels: vec!["a".into()],
        other: None,
        output: Output::Softmax,
        output_name: None,
        accuracy: Some(0.5),
    };
    let settings = crate::model::CompileSettings {
        provider: crate::provider::Provider::Cpu,
        sessions_max: 8,
        batch_images_max: 32,
        tensor_bytes_max: 1 << 20,
        model_memory_bytes_max: 1 << 30,
        output_bytes_max: 1 << 20,
        run_max: std::time::Duration::from_millis(10),
    };
    let request = Request::new(&options, &settings);
    let mut sealed = std::fs::File::from(request.seal(b"a model").unwrap());
    assert!(std::io::Write::write_all(&mut sealed, b"x").is_err());
    let (read, file) = Request::read(sealed.by_ref()).unwrap();
    assert_eq!((read, &file[..]), (request, &b"a model"[..]));
    assert!(Request::read(&b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"[..]).is_err());
    assert!(Request::read(&b"short"[..]).is_err());
}
