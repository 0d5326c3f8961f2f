//! Pass-through fidelity: answers through the proxy are, byte for byte, those of the store.
//!
//! Two stores with the same content run every script of the corpus side by side, one asked
//! directly and one through the proxy, for each set of capabilities that clients use. Every packet
//! of every answer must be the same, header included. What differs by nature is left out of the
//! scripts or masked (`tape.rs`): ids of connections and statements, random bytes of logins, and
//! the moments at which progress is reported.

mod capabilities;
pub mod encode;
mod scripts;
mod statements;
mod tape;

use capabilities::Set;
use encode::close;
use predictsql_proxy::wire::{Capabilities, Greeting};
use predictsql_tests::authority::{Authority, Pair};
use predictsql_tests::wire::Packet;
use predictsql_tests::{Proxy, Settings, Store, Wire};
use scripts::Script;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use tape::{Answer, Client, Tape, difference};

/// Both are as they would be behind a proxy. Durability is of no use here, and statistics that are
/// brought up to date in the background would change plans.
const STORE_ARGUMENTS: [&str; 5] = [
    "--debug-no-sync",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-stats-auto-recalc=0",
    "--progress-report-time=1",
];

/// The two ends that are compared. Scripts change the same database, so one test runs at a time.
struct Ends {
    direct: Store,
    proxied: Store,
    proxy: Proxy,
    authority: Authority,
    turn: Mutex<()>,
}

fn ends() -> (&'static Ends, MutexGuard<'static, ()>) {
    static ENDS: OnceLock<Ends> = OnceLock::new();
    let ends = ENDS.get_or_init(|| {
        let authority = Authority::new();
        let Pair { certificate, key } = authority.new_pair(&["127.0.0.1"]);
        let certificate_argument = format!("--ssl-cert={}", certificate.display());
        let key_argument = format!("--ssl-key={}", key.display());
        let mut arguments = STORE_ARGUMENTS.to_vec();
        arguments.extend([&*certificate_argument, &*key_argument]);
        let [direct, proxied] = [(); 2].map(|()| Store::start(&arguments));
        let settings = Settings {
            top: format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"),
            ..Settings::default()
        };
        let proxy = Proxy::start(&proxied, &settings);
        direct.init("ml", "service_ml");
        Ends {
            direct,
            proxied,
            proxy,
            authority,
            turn: Mutex::new(()),
        }
    });
    let turn = ends.turn.lock().unwrap_or_else(PoisonError::into_inner);
    (ends, turn)
}

/// How much was compared.
#[derive(Default)]
struct Compared {
    scripts: usize,
    answers: usize,
    packets: usize,
    differences: Vec<String>,
}

impl Ends {
    /// Makes the state of both sides anew.
    fn reset(&self) {
        on_both(&self.direct, &self.proxied, |store| {
            let mut root = store.root();
            for sql in statements::RESET {
                root.run(sql);
            }
        });
    }

    /// Runs a script on both sides at once, each in a session of its own,
    /// and compares what they were told.
    #[track_caller]
    fn compare(&self, set: &Set, script: &Script<'_>, compared: &mut Compared) {
        let tls = set.tls.then(|| self.authority.client_config());
        let run = |address: SocketAddr| -> (Vec<Answer>, Option<bool>) {
            let mut tape = Tape::open(&Client {
                address,
                capabilities: set.capabilities,
                tls: tls.clone(),
            });
            (script.run)(&mut tape);
            let is_followed = if address == self.proxy.address() {
                tape.is_followed()
            } else {
                None
            };
            (tape.into_answers(), is_followed)
        };
        let ((direct, _), (proxied, is_followed)) =
            on_both(self.direct.address(), self.proxy.address(), run);
        let name = format!("{} ({})", script.name, set.name);
        assert_eq!(direct.len(), proxied.len(), "{name}: number of answers");
        if is_followed.is_some_and(|is| is != script.is_followed) {
            let followed = if script.is_followed { "not " } else { "" };
            let message = format!("{name}: the session is {followed}followed afterwards");
            compared.differences.push(message);
        }
        for ((asked, a), (_, b)) in direct.iter().zip(&proxied) {
            if a != b {
                let difference = difference(a, b);
                compared
                    .differences
                    .push(format!("{name}, {asked}: {difference}"));
            }
            compared.packets += a.len();
        }
        compared.scripts += 1;
        compared.answers += direct.len();
    }

    /// Runs the scripts for each set of capabilities, each time from the same state.
    #[track_caller]
    fn compare_all(&self, scripts: &[Script<'_>]) -> Compared {
        let mut compared = Compared::default();
        for set in &capabilities::SETS {
            self.reset();
            for script in scripts.iter().filter(|script| script.suits(set)) {
                self.compare(set, script, &mut compared);
            }
        }
        compared
    }
}

/// Does the same with each, at the same time.
fn on_both<I: Send, O: Send>(a: I, b: I, act: impl Fn(I) -> O + Sync) -> (O, O) {
    thread::scope(|scope| {
        let other = scope.spawn(|| act(b));
        let one = act(a);
        match other.join() {
            Ok(other) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A script for each group that does `ask` with each statement.
fn groups(ask: fn(&mut Tape, &str)) -> Vec<Script<'static>> {
    let script = |&(name, statements): &(&'static str, &'static [&'static str])| {
        Script::new(name, move |tape: &mut Tape| {
            statements.iter().for_each(|sql| ask(tape, sql));
        })
    };
    statements::GROUPS.iter().map(script).collect()
}

fn distinct_statements() -> usize {
    let statements = statements::GROUPS.iter().flat_map(|(_, group)| *group);
    statements.collect::<BTreeSet<_>>().len()
}

#[track_caller]
fn report(what: &str, compared: &Compared) {
    let Compared {
        scripts,
        answers,
        packets,
        differences,
    } = compared;
    let sets = capabilities::SETS.len();
    println!(
        "fidelity: {what}; {sets} sets of capabilities, {scripts} runs, {answers} answers, {packets} packets the same"
    );
    assert!(packets > answers);
    let count = differences.len();
    assert!(
        count == 0,
        "{count} answers differ:\n{}",
        differences.join("\n")
    );
}

#[test]
fn statements_of_all_kinds() {
    let statements = distinct_statements();
    assert!(statements >= 300, "{statements}");
    let (ends, _turn) = ends();
    let compared = ends.compare_all(&groups(|tape, sql| {
        tape.query(sql);
    }));
    report(&format!("{statements} statements as text"), &compared);
}

#[test]
fn the_same_statements_prepared() {
    let (ends, _turn) = ends();
    let compared = ends.compare_all(&groups(|tape, sql| {
        let id = tape.prepare(sql);
        if id > 0 {
            tape.execute(id, 0, &[]);
            tape.command(&close(id));
        }
    }));
    report("the same statements prepared", &compared);
}

#[test]
fn commands_and_sequences_of_all_kinds() {
    let scripts = scripts::all();
    assert!(scripts.len() >= 60, "{}", scripts.len());
    let (ends, _turn) = ends();
    let compared = ends.compare_all(&scripts);
    report(
        &format!("{} sequences of commands", scripts.len()),
        &compared,
    );
}

/// Only offered capabilities differ, and only those that the relay clears; TLS is on here.
#[test]
fn the_greeting_is_the_stores_but_for_cleared_capabilities() {
    let (ends, _turn) = ends();
    let greeting = |address| {
        let wire = Wire::login(address, "root", "", None).unwrap();
        let Packet { seq, mut payload } = wire.handshake()[0].clone();
        let version = payload.iter().position(|&byte| byte == 0).unwrap() + 1;
        // Connection id and both parts of the nonce.
        payload[version..version + 12].fill(0);
        payload[version + 31..version + 43].fill(0);
        (seq, payload)
    };
    let (seq, mut direct) = greeting(ends.direct.address());
    let (proxied_seq, proxied) = greeting(ends.proxy.address());
    assert_eq!(seq, proxied_seq);
    assert_ne!(direct, proxied, "nothing was cleared");
    let relayed = Capabilities::RELAYED.or(Capabilities::SSL);
    Greeting::restrict(&mut direct, relayed).unwrap();
    assert_eq!(direct, proxied);
}
