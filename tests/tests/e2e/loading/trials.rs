//! Models that nobody has tried yet: whatever they do, they do it in a process of their own,
//! which ends.

use std::fs;
use std::path::PathBuf;

use predictsql_proxy::wire::command;
use predictsql_tests::{Proxy, Wire, eventually};
use rustix::process::{Pid, Signal, kill_process};

use super::{catalog, create, proxy};

/// Limits that no trial meets.
const NO_LIMITS: &str = "[limits]\ntrial_seconds_max = 86400\n";

/// The processes in which the proxy tries models.
pub fn trials(proxy: &Proxy) -> Vec<Pid> {
    let parent = proxy.pid();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name();
        Pid::from_raw(name.to_str()?.parse().ok()?)
    });
    let is_trial = |pid: &Pid| {
        let stat = fs::read_to_string(of(*pid, "stat")).unwrap_or_default();
        // After the name, which may hold anything: state and parent.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let is_child =
            rest.split_ascii_whitespace().nth(1) == Some(&*parent.as_raw_nonzero().to_string());
        let command_line = fs::read(of(*pid, "cmdline")).unwrap_or_default();
        is_child && String::from_utf8_lossy(&command_line).contains("__try-model")
    };
    pids.filter(is_trial).collect()
}

fn of(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", pid.as_raw_nonzero()))
}

/// Waits until that many trials run.
#[track_caller]
pub fn await_trials(proxy: &Proxy, count: usize) -> Vec<Pid> {
    eventually(&format!("{count} trials"), || {
        let found = trials(proxy);
        (found.len() == count).then_some(found)
    })
}

fn send(session: &mut Wire, sql: &str) {
    let query = [&[command::QUERY], sql.as_bytes()].concat();
    session.send(&query).unwrap();
}

/// The error that a statement which was sent ends with.
fn error(session: &mut Wire) -> (u16, String) {
    let packets = session.read_answer(command::QUERY).unwrap();
    let payload = &packets.last().unwrap().payload;
    assert_eq!(payload[0], 0xff, "no error: {payload:?}");
    let code = u16::from_le_bytes([payload[1], payload[2]]);
    (code, String::from_utf8_lossy(&payload[9..]).into_owned())
}

#[test]
fn a_model_that_does_not_load_in_its_time_is_refused() {
    let proxy = proxy("trial_time", "[limits]\ntrial_seconds_max = 1\n");
    let mut session = proxy.root();
    let before = catalog(&mut session, "trial_time");
    for file in ["nested_functions", "endless"] {
        let error = session.error(&create(file));
        assert_eq!(error.code, 1290, "{error:?}");
        assert!(
            error.message.contains("within 1 s (trial_seconds_max)"),
            "{error:?}"
        );
        await_trials(&proxy, 0);
    }
    assert_eq!(catalog(&mut session, "trial_time"), before);
    let log = proxy.log();
    let told = log.matches("it took longer than trial_seconds_max").count();
    assert_eq!(told, 2);
    assert!(!log.contains("nested_functions.onnx"), "no literals");
}

#[test]
fn a_model_that_needs_too_much_memory_is_refused_and_the_proxy_stays_small() {
    let limit = 1 << 30;
    let proxy = proxy(
        "trial_memory",
        &format!("[limits]\ntrial_bytes_max = {limit}\n"),
    );
    let mut session = proxy.root();
    let before = catalog(&mut session, "trial_memory");
    let error = session.error(&create("large_constant"));
    assert_eq!(error.code, 1290, "{error:?}");
    assert!(error.message.contains("(trial_bytes_max)"), "{error:?}");
    await_trials(&proxy, 0);
    assert_eq!(catalog(&mut session, "trial_memory"), before);
    let status = fs::read_to_string(of(proxy.pid(), "status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.unwrap().trim().strip_suffix(" kB").unwrap();
    assert!(
        kibibytes.parse::<u64>().unwrap() << 10 < limit / 2,
        "{kibibytes}"
    );
    session.run(&create("colour_nchw"));
}

#[test]
fn others_go_on_while_a_model_hangs_and_each_way_to_end_it_leaves_nothing() {
    let proxy = proxy("trial_ends", NO_LIMITS);
    let (mut session, mut other) = (proxy.root(), proxy.root());
    let before = catalog(&mut other, "trial_ends");
    let hanging = create("nested_functions");

    send(&mut session, &hanging);
    await_trials(&proxy, 1);
    other.run(&create("colour_nchw"));
    other.run("DROP MODEL colour_nchw");
    let after = catalog(&mut other, "trial_ends");
    assert_ne!(after, before, "the epoch");
    other.run(&format!("KILL QUERY {}", session.connection_id()));
    assert_eq!(error(&mut session).0, 1317);
    await_trials(&proxy, 0);

    // A crash in ONNX Runtime is an error of the statement, no more.
    for (signal, said) in [
        (Signal::ABORT, "crashed (signal 6)"),
        (Signal::KILL, "was killed"),
    ] {
        send(&mut session, &hanging);
        let trial = await_trials(&proxy, 1);
        kill_process(trial[0], signal).unwrap();
        let (code, message) = error(&mut session);
        assert_eq!(code, 1105);
        assert!(message.contains(said), "{message}");
        await_trials(&proxy, 0);
    }
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));

    send(&mut session, &hanging);
    await_trials(&proxy, 1);
    drop(session);
    await_trials(&proxy, 0);
    assert_eq!(catalog(&mut other, "trial_ends"), after);
    other.run(&create("colour_nchw"));
}

#[test]
fn trials_wait_for_their_turn_no_longer_than_their_statement() {
    let proxy = proxy("trial_turns", &format!("{NO_LIMITS}trials_max = 2\n"));
    let mut hanging = [proxy.root(), proxy.root()];
    for (number, session) in hanging.iter_mut().enumerate() {
        send(
            session,
            &create("nested_functions").replace("MODEL n", &format!("MODEL n{number}")),
        );
    }
    await_trials(&proxy, 2);
    let mut other = proxy.root();
    other.run("SET max_statement_time = 1");
    assert_eq!(other.error(&create("colour_nchw")).code, 1969);
    assert_eq!(trials(&proxy).len(), 2, "none beyond");
    other.run(&format!("KILL QUERY {}", hanging[0].connection_id()));
    assert_eq!(error(&mut hanging[0]).0, 1317);
    other.run("SET max_statement_time = 0");
    other.run(&create("colour_nchw"));
}

#[test]
fn a_trial_has_nothing_of_the_proxys_and_ends_with_it() {
    let proxy = proxy("trial_clean", NO_LIMITS);
    let mut session = proxy.root();
    send(&mut session, &create("nested_functions"));
    let trial = await_trials(&proxy, 1)[0];
    // It sets one limit after the other.
    eventually("it has limited itself", || {
        let limits = fs::read_to_string(of(trial, "limits")).unwrap();
        let is_set = |(name, expected): (&str, &str)| {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split_ascii_whitespace().next() == Some(expected)
        };
        let all = [
            ("Max data size", "4294967296"),
            ("Max core file size", "0"),
            ("Max file size", "0"),
            ("Max cpu time", "86401"),
        ];
        all.into_iter().all(is_set).then_some(())
    });
    let environment = fs::read(of(trial, "environ")).unwrap();
    for variable in environment
        .split(|byte| *byte == 0)
        .filter(|v| !v.is_empty())
    {
        let variable = String::from_utf8_lossy(variable);
        let (name, _) = variable.split_once('=').unwrap();
        let known = [
            "LD_LIBRARY_PATH",
            "ORT_DISABLE_TELEMETRY",
            "HOME",
            "XDG_CACHE_HOME",
        ];
        assert!(known.contains(&name), "{variable}");
    }
    for entry in fs::read_dir(of(trial, "fd")).unwrap() {
        let entry = entry.unwrap();
        let Ok(open) = fs::read_link(entry.path()) else {
            continue; // closed since
        };
        let open = open.to_string_lossy();
        let expected = match entry.file_name().to_str().unwrap() {
            "0" => open.starts_with("/memfd:model"),
            // Whoever has started the proxy may have left it more than the usual three.
            _ => open.starts_with("pipe:") || open == "/dev/null" || open.contains("onnxruntime"),
        };
        assert!(expected, "{:?}: {open}", entry.file_name());
    }

    proxy.signal(Signal::KILL);
    proxy.wait();
    eventually("it has ended with the proxy", || {
        let stat = fs::read_to_string(of(trial, "stat")).unwrap_or_default();
        // Whoever takes it over may not have waited for it yet.
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}
